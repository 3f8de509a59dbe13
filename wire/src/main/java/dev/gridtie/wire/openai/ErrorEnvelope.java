package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
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
}
