package dev.gridtie.gateway.provider;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Usage;
import java.util.Arrays;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Ends a server's stream in its own dialect before the server does, as if its limit of tokens had
 * been reached there. Remembers of the stream what that takes: its first event, the open block
 * (Anthropic), the text (OpenAI's responses).
 */
final class EarlyEnd {
  private final Dialect dialect;
  private final StringBuilder text = new StringBuilder();
  private byte[] first = new byte[0];
  private int blocks;
  private boolean open;
  private long events;

  EarlyEnd(Dialect dialect) {
    this.dialect = dialect;
  }

  /** An event's data has passed, with these words in it. */
  void heard(byte[] bytes, int from, int to, CharSequence words) {
    if (events++ == 0) {
      first = Arrays.copyOfRange(bytes, from, to);
    }
    if (dialect == Dialect.RESPONSES) {
      text.append(words);
    }
  }

  void blockBegan() {
    blocks++;
    open = true;
  }

  void blockEnded() {
    open = false;
  }

  /**
   * The stream's last events.
   *
   * @param withUsage whether a chat completion is to end with its usage
   */
  String write(Usage usage, boolean withUsage) {
    return switch (dialect) {
      case OPENAI -> openAi(usage, withUsage);
      case ANTHROPIC -> anthropic(usage);
      case RESPONSES -> responses(usage);
      case GEMINI -> gemini(usage);
    };
  }

  private JsonNode first() {
    try {
      return Json.parse(first);
    } catch (Json.MalformedJsonException e) {
      return Json.object();
    }
  }

  private static String data(ObjectNode json) {
    return "data: " + Json.write(json) + "\n\n";
  }

  private static String event(ObjectNode json) {
    return "event: " + json.path("type").asString() + "\n" + data(json);
  }

  private String openAi(Usage usage, boolean withUsage) {
    JsonNode begun = first();
    ObjectNode chunk = Json.object();
    chunk.put("id", begun.path("id").asString(""));
    chunk.put("object", "chat.completion.chunk");
    chunk.put("created", begun.path("created").asLong(0));
    chunk.put("model", begun.path("model").asString(""));
    ObjectNode last = chunk.deepCopy();
    ObjectNode choice = chunk.putArray("choices").addObject().put("index", 0);
    choice.putObject("delta");
    choice.put("finish_reason", "length");
    last.putArray("choices");
    ObjectNode counts = last.putObject("usage");
    counts.put("prompt_tokens", usage.input());
    counts.put("completion_tokens", usage.output());
    counts.put("total_tokens", usage.input() + usage.output());
    return data(chunk) + (withUsage ? data(last) : "") + "data: [DONE]\n\n";
  }

  private String anthropic(Usage usage) {
    ObjectNode stop = Json.object().put("type", "content_block_stop").put("index", blocks - 1);
    ObjectNode delta = Json.object().put("type", "message_delta");
    delta.putObject("delta").put("stop_reason", "max_tokens").putNull("stop_sequence");
    delta.putObject("usage").put("output_tokens", usage.output());
    return (open ? event(stop) : "")
        + event(delta)
        + event(Json.object().put("type", "message_stop"));
  }

  private String responses(Usage usage) {
    ObjectNode end = Json.object().put("type", "response.incomplete");
    end.put("sequence_number", events);
    ObjectNode response =
        first().path("response") instanceof ObjectNode begun ? begun.deepCopy() : Json.object();
    response.put("status", "incomplete");
    response.putObject("incomplete_details").put("reason", "max_output_tokens");
    ObjectNode message = response.putArray("output").addObject().put("type", "message");
    message.put("id", "msg_" + response.path("id").asString(""));
    message.put("status", "incomplete").put("role", "assistant");
    ObjectNode part = message.putArray("content").addObject().put("type", "output_text");
    part.put("text", text.toString()).putArray("annotations");
    ObjectNode counts = response.putObject("usage");
    counts.put("input_tokens", usage.input());
    counts.putObject("input_tokens_details").put("cached_tokens", usage.cacheRead());
    counts.put("output_tokens", usage.output());
    counts.putObject("output_tokens_details").put("reasoning_tokens", usage.reasoning());
    counts.put("total_tokens", usage.input() + usage.output());
    end.set("response", response);
    return event(end);
  }

  private String gemini(Usage usage) {
    ObjectNode end = Json.object();
    ObjectNode candidate = end.putArray("candidates").addObject();
    ObjectNode content = candidate.putObject("content").put("role", "model");
    content.putArray("parts").addObject().put("text", "");
    candidate.put("finishReason", "MAX_TOKENS").put("index", 0);
    ObjectNode counts = end.putObject("usageMetadata");
    counts.put("promptTokenCount", usage.input());
    counts.put("candidatesTokenCount", usage.output());
    counts.put("totalTokenCount", usage.input() + usage.output());
    return data(end);
  }
}
