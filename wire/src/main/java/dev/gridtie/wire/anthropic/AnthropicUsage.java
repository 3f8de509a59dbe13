package dev.gridtie.wire.anthropic;

import static dev.gridtie.wire.openai.OpenAiUsage.count;

import dev.gridtie.wire.chat.Usage;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Messages' usage: the input leaves out what was read from a cache or written to one. */
public final class AnthropicUsage {
  private AnthropicUsage() {}

  public static Usage read(JsonNode usage) {
    long cacheRead = count(usage, "cache_read_input_tokens");
    long cacheWrite = count(usage, "cache_creation_input_tokens");
    return new Usage(
        count(usage, "input_tokens") + cacheRead + cacheWrite,
        cacheRead,
        cacheWrite,
        count(usage, "output_tokens"),
        count(usage.path("output_tokens_details"), "thinking_tokens"));
  }

  static void write(Usage usage, ObjectNode json) {
    json.put("input_tokens", usage.inputUncached());
    json.put("cache_creation_input_tokens", usage.cacheWrite());
    json.put("cache_read_input_tokens", usage.cacheRead());
    json.put("output_tokens", usage.output());
  }
}
