package dev.gridtie.wire.gemini;

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

/** Gemini generateContent. */
public final class GeminiTranslator implements Translator {
  private final boolean array;

  /**
   * @param array whether streams are written as one JSON array, as they are without {@code alt=sse}
   */
  public GeminiTranslator(boolean array) {
    this.array = array;
  }

  @Override
  public Dialect dialect() {
    return Dialect.GEMINI;
  }

  @Override
  public Outcome<ChatRequest> readRequest(JsonNode body, Call call) {
    return Fields.outcome(() -> GeminiRequestReader.read(body, call));
  }

  @Override
  public Outcome<Written> writeRequest(ChatRequest request) {
    return Fields.outcome(() -> new GeminiRequestWriter().write(request));
  }

  @Override
  public Outcome<ChatAnswer> readAnswer(JsonNode body) {
    return Fields.outcome(() -> GeminiAnswers.read(body));
  }

  @Override
  public ObjectNode writeAnswer(ChatAnswer answer, Head head) {
    return GeminiAnswers.write(answer, head);
  }

  @Override
  public StreamReader streamReader() {
    return new GeminiStreamReader();
  }

  @Override
  public StreamWriter streamWriter(Head head) {
    return new GeminiStreamWriter(head, array);
  }

  @Override
  public ObjectNode writeError(ApiError error) {
    return errorJson(error);
  }

  static ObjectNode errorJson(ApiError error) {
    ObjectNode json = Json.object();
    ObjectNode inner = json.putObject("error");
    inner.put("code", error.kind().status());
    inner.put("message", error.message());
    inner.put("status", status(error.kind()));
    return json;
  }

  private static String status(ApiError.Kind kind) {
    return switch (kind) {
      case INVALID_REQUEST, METHOD_NOT_ALLOWED, UNSUPPORTED_MEDIA_TYPE, TOO_LARGE ->
          "INVALID_ARGUMENT";
      case PAYMENT_REQUIRED, CONFLICT -> "FAILED_PRECONDITION";
      case AUTHENTICATION -> "UNAUTHENTICATED";
      case PERMISSION -> "PERMISSION_DENIED";
      case NOT_FOUND -> "NOT_FOUND";
      case RATE_LIMITED -> "RESOURCE_EXHAUSTED";
      case TIMEOUT -> "DEADLINE_EXCEEDED";
      case INTERNAL -> "INTERNAL";
      case BAD_GATEWAY, UNAVAILABLE, OVERLOADED -> "UNAVAILABLE";
    };
  }

  @Override
  public ApiError readError(int status, byte[] body) {
    JsonNode error = UpstreamErrors.json(body).path("error");
    String message = error.path("message").asString("");
    // A bad key is a 400 here, and none of the client's doing.
    boolean key = status == 400 && message.toLowerCase(java.util.Locale.ROOT).contains("api key");
    return UpstreamErrors.of(key ? 401 : status, "", message, null);
  }
}
