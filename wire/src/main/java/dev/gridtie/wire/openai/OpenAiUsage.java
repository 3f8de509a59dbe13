package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.Translator.UsageNote;
import dev.gridtie.wire.chat.Usage;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Chat completions' usage: the prompt includes what was cached, the completion what was thought.
 */
public final class OpenAiUsage {
  /** More tokens than any answer has: what claims more is not believed so far. */
  private static final long COUNT_MAX = 1_000_000_000_000L;

  private OpenAiUsage() {}

  /** Reads {@code usage}; what is missing or absurd counts as zero. */
  public static Usage read(JsonNode usage) {
    JsonNode prompt = usage.path("prompt_tokens_details");
    return new Usage(
        count(usage, "prompt_tokens"),
        count(prompt, "cached_tokens"),
        count(prompt, "cache_write_tokens"),
        count(usage, "completion_tokens"),
        count(usage.path("completion_tokens_details"), "reasoning_tokens"));
  }

  /** A count of tokens as any vendor writes it. */
  public static long count(JsonNode json, String key) {
    JsonNode value = json.path(key);
    return value.isNumber() ? Math.clamp((long) value.asDouble(0), 0, COUNT_MAX) : 0;
  }

  static ObjectNode write(Usage usage, UsageNote note) {
    ObjectNode json = Json.object();
    json.put("prompt_tokens", usage.input());
    json.put("completion_tokens", usage.output());
    json.put("total_tokens", usage.input() + usage.output());
    ObjectNode prompt = json.putObject("prompt_tokens_details");
    prompt.put("cached_tokens", usage.cacheRead());
    if (usage.cacheWrite() > 0) {
      prompt.put("cache_write_tokens", usage.cacheWrite());
    }
    json.putObject("completion_tokens_details").put("reasoning_tokens", usage.reasoning());
    note.add(usage, json);
    return json;
  }
}
