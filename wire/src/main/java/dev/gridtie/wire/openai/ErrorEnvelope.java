package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.UpstreamErrors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** OpenAI's form of an error: {@code {"error": {"message", "type", "param", "code"}}}. */
public final class ErrorEnvelope {
  private ErrorEnvelope() {}

  public static ObjectNode of(ApiError error) {
    ObjectNode json = Json.object();
    ObjectNode inner = json.putObject("error");
    inner.put("message", error.message());
    inner.put("type", error.kind().openAiType());
    inner.put("param", error.parameter());
    inner.put("code", error.code());
    return json;
  }

  /** Reads an error that a server sent instead of an answer. */
  public static ApiError read(int status, byte[] body) {
    JsonNode error = UpstreamErrors.json(body).path("error");
    JsonNode code = error.path("code");
    return UpstreamErrors.of(
        status,
        code.isString() ? code.stringValue() : "",
        error.isString() ? error.stringValue() : error.path("message").asString(""),
        Json.text(error, "param"));
  }

  /** Reads an error that came in the middle of a stream; it can be tried again. */
  static ApiError readStreamed(JsonNode error) {
    String message = error.isString() ? error.stringValue() : error.path("message").asString("");
    return UpstreamErrors.streamed(message);
  }
}
