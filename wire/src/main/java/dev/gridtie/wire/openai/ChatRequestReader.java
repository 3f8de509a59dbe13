package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.openai.ChatRequest.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Reads chat completion requests. A field that would change the answer and that we cannot honour is
 * refused by name.
 */
public final class ChatRequestReader {
  /** The most messages in one conversation. */
  public static final int MESSAGES_MAX = 1024;

  /** The most stop texts, as OpenAI has it. */
  public static final int STOPS_MAX = 4;

  /** The longest stop text, in characters. */
  public static final int STOP_LENGTH_MAX = 256;

  private static final double DEFAULT_TEMPERATURE = 1;

  /**
   * Fields that change the answer, the values that ask for nothing, and what each is, for the
   * message.
   */
  private static final Map<String, Set<String>> UNSUPPORTED =
      Map.ofEntries(
          Map.entry("tools", Set.of("[]")),
          Map.entry("functions", Set.of("[]")),
          Map.entry("tool_choice", Set.of("\"none\"", "\"auto\"")),
          Map.entry("function_call", Set.of("\"none\"", "\"auto\"")),
          Map.entry("response_format", Set.of("{\"type\":\"text\"}")),
          Map.entry("logprobs", Set.of("false")),
          Map.entry("top_logprobs", Set.of("0")),
          Map.entry("logit_bias", Set.of("{}")),
          Map.entry("frequency_penalty", Set.of("0", "0.0")),
          Map.entry("presence_penalty", Set.of("0", "0.0")),
          Map.entry("n", Set.of("1")),
          Map.entry("modalities", Set.of("[\"text\"]")),
          Map.entry("audio", Set.of()),
          Map.entry("prediction", Set.of()),
          Map.entry("web_search_options", Set.of()));

  /** Ends reading with a refusal; never leaves this class. */
  private static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;
    private final transient ApiError error;

    Refused(String code, String message, @Nullable String parameter) {
      super(message);
      this.error = ApiError.invalid(code, message, parameter);
    }
  }

  private ChatRequestReader() {}

  /** Reads a request's body. */
  public static Outcome<ChatRequest> read(byte[] body) {
    try {
      JsonNode json = Json.parse(body);
      if (!json.isObject()) {
        throw new Refused("invalid_json", "The body must be a JSON object.", null);
      }
      return Outcome.ok(read(json));
    } catch (Json.MalformedJsonException e) {
      return Outcome.refused(
          ApiError.invalid(
              "invalid_json", "The body could not be read: " + e.getMessage() + ".", null));
    } catch (Refused e) {
      return Outcome.refused(e.error);
    }
  }

  private static ChatRequest read(JsonNode json) throws Refused {
    refuseUnsupported(json);
    return new ChatRequest(
        requiredText(json, "model"),
        messages(json.path("messages")),
        maxTokens(json),
        number(json, "temperature", 0, 2, DEFAULT_TEMPERATURE),
        topP(json),
        whole(json, "top_k", 0, Integer.MAX_VALUE, 0),
        number(json, "min_p", 0, 1, 0),
        seed(json),
        stops(json.path("stop")),
        flag(json, "stream"),
        flag(json.path("stream_options"), "include_usage"));
  }

  private static void refuseUnsupported(JsonNode json) throws Refused {
    for (var field : UNSUPPORTED.entrySet()) {
      JsonNode value = json.path(field.getKey());
      if (!absent(value) && !field.getValue().contains(Json.write(value))) {
        throw new Refused(
            "unsupported_parameter",
            "'"
                + field.getKey()
                + "' cannot be honoured by this model and would change the answer; leave it out.",
            field.getKey());
      }
    }
  }

  private static List<Message> messages(JsonNode list) throws Refused {
    if (!list.isArray() || list.isEmpty()) {
      throw new Refused(
          "missing_required_parameter",
          "'messages' must be a list of at least one message.",
          "messages");
    }
    if (list.size() > MESSAGES_MAX) {
      throw new Refused(
          "too_many_messages",
          "'messages' has "
              + list.size()
              + " messages, and at most "
              + MESSAGES_MAX
              + " are taken.",
          "messages");
    }
    List<Message> messages = new ArrayList<>();
    for (JsonNode one : list) {
      messages.add(message(one, "messages[" + messages.size() + "]"));
    }
    return messages;
  }

  private static Message message(JsonNode json, String where) throws Refused {
    if (!json.isObject()) {
      throw new Refused("invalid_type", "'" + where + "' must be an object.", where);
    }
    String role = requiredText(json, "role", where + ".role");
    switch (role) {
      case "system", "user", "assistant" -> {}
      case "developer" -> role = "system";
      default ->
          throw new Refused(
              "invalid_value",
              "'"
                  + where
                  + ".role' is '"
                  + clip(role)
                  + "'; this model takes system, developer, user and assistant.",
              where + ".role");
    }
    if (!absent(json.path("tool_calls")) && !json.path("tool_calls").isEmpty()) {
      throw new Refused(
          "unsupported_parameter",
          "'" + where + ".tool_calls': this model has no tools.",
          where + ".tool_calls");
    }
    return new Message(role, content(json.path("content"), where + ".content"));
  }

  private static String content(JsonNode content, String where) throws Refused {
    if (content.isString()) {
      return content.stringValue();
    }
    if (!content.isArray()) {
      throw new Refused(
          "invalid_type", "'" + where + "' must be a text or a list of parts.", where);
    }
    StringBuilder text = new StringBuilder();
    int index = 0;
    for (JsonNode part : content) {
      String at = where + "[" + index++ + "]";
      if (!"text".equals(Json.text(part, "type")) || !part.path("text").isString()) {
        throw new Refused(
            "unsupported_content",
            "'" + at + "' is not a text part, and this model reads only text.",
            at);
      }
      text.append(part.path("text").stringValue());
    }
    return text.toString();
  }

  private static OptionalInt maxTokens(JsonNode json) throws Refused {
    for (String key : List.of("max_completion_tokens", "max_tokens")) {
      if (!absent(json.path(key))) {
        return OptionalInt.of(whole(json, key, 1, Integer.MAX_VALUE, 0));
      }
    }
    return OptionalInt.empty();
  }

  private static double topP(JsonNode json) throws Refused {
    double value = number(json, "top_p", 0, 1, 1);
    // OpenAI takes 0 to mean the likeliest token only.
    return value == 0 ? Double.MIN_NORMAL : value;
  }

  private static OptionalLong seed(JsonNode json) throws Refused {
    JsonNode value = json.path("seed");
    if (absent(value)) {
      return OptionalLong.empty();
    }
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw new Refused("invalid_type", "'seed' must be a whole number of 64 bits.", "seed");
    }
    return OptionalLong.of(value.longValue());
  }

  private static List<String> stops(JsonNode value) throws Refused {
    if (absent(value)) {
      return List.of();
    }
    List<String> stops = new ArrayList<>();
    for (JsonNode one : value.isArray() ? value : Json.array().add(value)) {
      if (!one.isString()
          || one.stringValue().isEmpty()
          || one.stringValue().length() > STOP_LENGTH_MAX) {
        throw new Refused(
            "invalid_value",
            "'stop' must hold texts of 1 to " + STOP_LENGTH_MAX + " characters.",
            "stop");
      }
      stops.add(one.stringValue());
    }
    if (stops.size() > STOPS_MAX) {
      throw new Refused(
          "invalid_value", "'stop' holds " + stops.size() + " texts; at most 4 are taken.", "stop");
    }
    return stops;
  }

  private static boolean flag(JsonNode json, String key) throws Refused {
    JsonNode value = json.path(key);
    if (absent(value)) {
      return false;
    }
    if (!value.isBoolean()) {
      throw new Refused("invalid_type", "'" + key + "' must be true or false.", key);
    }
    return value.booleanValue();
  }

  private static double number(JsonNode json, String key, double min, double max, double absent)
      throws Refused {
    JsonNode value = json.path(key);
    if (absent(value)) {
      return absent;
    }
    if (!value.isNumber()) {
      throw new Refused("invalid_type", "'" + key + "' must be a number.", key);
    }
    double number = value.doubleValue();
    if (!(number >= min && number <= max)) {
      throw new Refused(
          "invalid_value", "'" + key + "' must be from " + min + " to " + max + ".", key);
    }
    return number;
  }

  private static int whole(JsonNode json, String key, int min, int max, int absent) throws Refused {
    JsonNode value = json.path(key);
    if (absent(value)) {
      return absent;
    }
    if (!value.isIntegralNumber()) {
      throw new Refused("invalid_type", "'" + key + "' must be a whole number.", key);
    }
    if (!value.canConvertToInt() || value.intValue() < min || value.intValue() > max) {
      throw new Refused(
          "invalid_value",
          "'" + key + "' is " + clip(value.asString()) + " and must be at least " + min + ".",
          key);
    }
    return value.intValue();
  }

  private static String requiredText(JsonNode json, String key) throws Refused {
    return requiredText(json, key, key);
  }

  private static String requiredText(JsonNode json, String key, String where) throws Refused {
    String value = Json.text(json, key);
    if (value == null || value.isEmpty()) {
      throw new Refused("missing_required_parameter", "'" + where + "' must be a text.", where);
    }
    return value;
  }

  private static boolean absent(JsonNode value) {
    return value.isMissingNode() || value.isNull();
  }

  private static String clip(String text) {
    return text.length() <= 40 ? text : text.substring(0, 40) + "…";
  }
}
