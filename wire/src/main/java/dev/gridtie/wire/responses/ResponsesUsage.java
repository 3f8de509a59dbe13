package dev.gridtie.wire.responses;

import static dev.gridtie.wire.openai.OpenAiUsage.count;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Usage;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Responses' usage: input includes what was cached, output what was thought. */
public final class ResponsesUsage {
  private ResponsesUsage() {}

  public static Usage read(JsonNode usage) {
    return new Usage(
        count(usage, "input_tokens"),
        count(usage.path("input_tokens_details"), "cached_tokens"),
        count(usage.path("input_tokens_details"), "cache_write_tokens"),
        count(usage, "output_tokens"),
        count(usage.path("output_tokens_details"), "reasoning_tokens"));
  }

  static ObjectNode write(Usage usage, Head head) {
    ObjectNode json = Json.object();
    json.put("input_tokens", usage.input());
    json.putObject("input_tokens_details")
        .put("cached_tokens", usage.cacheRead())
        .put("cache_write_tokens", usage.cacheWrite());
    json.put("output_tokens", usage.output());
    json.putObject("output_tokens_details").put("reasoning_tokens", usage.reasoning());
    json.put("total_tokens", usage.input() + usage.output());
    head.note().add(usage, json);
    return json;
  }
}
