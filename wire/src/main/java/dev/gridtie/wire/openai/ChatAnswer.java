package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes chat completions: whole, or as the events of a stream (server-sent events, the last being
 * {@code [DONE]}).
 */
public final class ChatAnswer {
  /** The end of a stream. */
  public static final String DONE = "data: [DONE]\n\n";

  private static final String PLACEHOLDER = "text";

  private final String id;
  private final long created;
  private final String model;
  private final String beforeText;
  private final String afterText;

  /**
   * @param id of the answer, {@code chatcmpl-…}
   * @param created Unix seconds
   */
  public ChatAnswer(String id, long created, String model) {
    this.id = id;
    this.created = created;
    this.model = model;
    // Every piece of a stream is the same but for its text: written once, and taken apart there.
    String piece = chunk(Json.object().put("content", PLACEHOLDER), null);
    String quoted = Json.quote(PLACEHOLDER);
    int at = piece.lastIndexOf(quoted);
    this.beforeText = piece.substring(0, at);
    this.afterText = piece.substring(at + quoted.length());
  }

  /** Tokens of an answer, as the engine counted them. */
  public record Usage(int promptTokens, int completionTokens) {
    ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.put("prompt_tokens", promptTokens);
      json.put("completion_tokens", completionTokens);
      json.put("total_tokens", promptTokens + completionTokens);
      return json;
    }
  }

  private ObjectNode head(String object) {
    ObjectNode json = Json.object();
    json.put("id", id);
    json.put("object", object);
    json.put("created", created);
    json.put("model", model);
    return json;
  }

  /** A whole answer. */
  public byte[] whole(String text, String finishReason, Usage usage) {
    ObjectNode json = head("chat.completion");
    ObjectNode choice = json.putArray("choices").addObject();
    choice.put("index", 0);
    ObjectNode message = choice.putObject("message");
    message.put("role", "assistant");
    message.put("content", text);
    message.putNull("refusal");
    choice.putNull("logprobs");
    choice.put("finish_reason", finishReason);
    json.set("usage", usage.toJson());
    return Json.writeBytes(json);
  }

  /** The first event: whose turn it is. */
  public String opening() {
    ObjectNode delta = Json.object();
    delta.put("role", "assistant");
    delta.put("content", "");
    return chunk(delta, null);
  }

  /** A piece of text. */
  public String piece(String text) {
    return beforeText + Json.quote(text) + afterText;
  }

  /** Why it ended. */
  public String closing(String finishReason) {
    return chunk(Json.object(), finishReason);
  }

  /** The usage, where the request wanted it. */
  public String usage(Usage usage) {
    ObjectNode json = head("chat.completion.chunk");
    json.putArray("choices");
    json.set("usage", usage.toJson());
    return event(json);
  }

  private String chunk(ObjectNode delta, @Nullable String finishReason) {
    ObjectNode json = head("chat.completion.chunk");
    ObjectNode choice = json.putArray("choices").addObject();
    choice.put("index", 0);
    choice.set("delta", delta);
    choice.put("finish_reason", finishReason);
    return event(json);
  }

  /** Any JSON as an event. */
  public static String event(ObjectNode json) {
    return "data: " + Json.write(json) + "\n\n";
  }
}
