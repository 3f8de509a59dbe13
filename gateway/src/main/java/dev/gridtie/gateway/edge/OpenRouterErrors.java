package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import tools.jackson.databind.node.ObjectNode;

/** OpenRouter's form of an error: {@code {"error": {"code": 402, "message", "metadata"}}}. */
final class OpenRouterErrors {
  private OpenRouterErrors() {}

  static ObjectNode of(ApiError error) {
    ObjectNode json = Json.object();
    ObjectNode inner = json.putObject("error");
    inner.put("code", error.kind().status());
    inner.put("message", error.message());
    ObjectNode metadata = inner.putObject("metadata");
    metadata.put("error_type", error.code());
    if (error.parameter() != null) {
      metadata.put("param", error.parameter());
    }
    return json;
  }
}
