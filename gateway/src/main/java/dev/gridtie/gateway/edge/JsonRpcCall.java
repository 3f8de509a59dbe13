package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * One call of JSON-RPC 2.0.
 *
 * @param id a text or a number; missing of a notification, which is not answered
 * @param params an object; empty where there are none
 */
record JsonRpcCall(JsonNode id, String method, ObjectNode params) {
  static final int PARSE_ERROR = -32700;
  static final int INVALID_REQUEST = -32600;
  static final int METHOD_NOT_FOUND = -32601;
  static final int INVALID_PARAMS = -32602;

  /** It is not one; says why, and with which code. */
  static final class MalformedCallException extends Exception {
    private static final long serialVersionUID = 1L;
    private final int code;

    MalformedCallException(int code, String message) {
      super(message);
      this.code = code;
    }

    ObjectNode toJson() {
      return failed(Json.object().nullNode(), code, String.valueOf(getMessage()));
    }
  }

  static JsonRpcCall read(byte[] body) throws MalformedCallException {
    JsonNode json;
    try {
      json = Json.parse(body);
    } catch (Json.MalformedJsonException e) {
      throw new MalformedCallException(PARSE_ERROR, "the body is not JSON: " + e.getMessage());
    }
    if (!json.isObject()) {
      throw new MalformedCallException(INVALID_REQUEST, "send one call at a time, an object");
    }
    String method = Json.text(json, "method");
    JsonNode id = json.path("id");
    boolean named = id.isMissingNode() || id.isString() || id.isIntegralNumber();
    if (!"2.0".equals(Json.text(json, "jsonrpc")) || method == null || !named) {
      throw new MalformedCallException(
          INVALID_REQUEST, "jsonrpc must be \"2.0\", method a text, id a text or a number");
    }
    JsonNode params = json.path("params");
    if (!params.isMissingNode() && !params.isObject()) {
      throw new MalformedCallException(INVALID_REQUEST, "params must be an object");
    }
    return new JsonRpcCall(id, method, params instanceof ObjectNode p ? p : Json.object());
  }

  boolean isNotification() {
    return id.isMissingNode();
  }

  ObjectNode result(ObjectNode result) {
    ObjectNode json = Json.object().put("jsonrpc", "2.0");
    json.set("id", id);
    json.set("result", result);
    return json;
  }

  ObjectNode failed(int code, String message) {
    return failed(id, code, message);
  }

  private static ObjectNode failed(JsonNode id, int code, String message) {
    ObjectNode json = Json.object().put("jsonrpc", "2.0");
    json.set("id", id);
    json.putObject("error").put("code", code).put("message", message);
    return json;
  }
}
