package dev.gridtie.wire.anthropic;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.UpstreamErrors;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Translator;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Anthropic messages. */
public final class AnthropicTranslator implements Translator {
  /** The ids of calls that Anthropic takes: letters, digits, underscores, hyphens. */
  static String callId(String id) {
    return id.isEmpty() ? "call" : id.replaceAll("[^a-zA-Z0-9_-]", "_");
  }

  @Override
  public Dialect dialect() {
    return Dialect.ANTHROPIC;
  }

  @Override
  public Outcome<ChatRequest> readRequest(JsonNode body, Call call) {
    return Fields.outcome(() -> AnthropicRequestReader.read(body, false));
  }

  /** Reads {@code POST /v1/messages/count_tokens}. */
  public Outcome<ChatRequest> readCountRequest(JsonNode body) {
    return Fields.outcome(() -> AnthropicRequestReader.read(body, true));
  }

  @Override
  public Outcome<Written> writeRequest(ChatRequest request) {
    return Fields.outcome(() -> new AnthropicRequestWriter().write(request));
  }

  @Override
  public Outcome<ChatAnswer> readAnswer(JsonNode body) {
    return Fields.outcome(() -> AnthropicAnswerReader.read(body));
  }

  @Override
  public ObjectNode writeAnswer(ChatAnswer answer, Head head) {
    return AnthropicAnswerWriter.write(answer, head);
  }

  @Override
  public StreamReader streamReader() {
    return new AnthropicStreamReader();
  }

  @Override
  public StreamWriter streamWriter(Head head) {
    return new AnthropicStreamWriter(head);
  }

  @Override
  public ObjectNode writeError(ApiError error) {
    return errorJson(error);
  }

  static ObjectNode errorJson(ApiError error) {
    ObjectNode json = Json.object().put("type", "error");
    json.putObject("error").put("type", type(error.kind())).put("message", error.message());
    return json;
  }

  private static String type(ApiError.Kind kind) {
    return switch (kind) {
      case INVALID_REQUEST, METHOD_NOT_ALLOWED, CONFLICT, UNSUPPORTED_MEDIA_TYPE ->
          "invalid_request_error";
      case AUTHENTICATION -> "authentication_error";
      case PAYMENT_REQUIRED -> "billing_error";
      case PERMISSION -> "permission_error";
      case NOT_FOUND -> "not_found_error";
      case TOO_LARGE -> "request_too_large";
      case RATE_LIMITED -> "rate_limit_error";
      case TIMEOUT -> "timeout_error";
      case INTERNAL, BAD_GATEWAY -> "api_error";
      case UNAVAILABLE, OVERLOADED -> "overloaded_error";
    };
  }

  @Override
  public ApiError readError(int status, byte[] body) {
    JsonNode error = UpstreamErrors.json(body).path("error");
    return UpstreamErrors.of(status, "", error.path("message").asString(""), null);
  }
}
