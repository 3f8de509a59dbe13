package dev.gridtie.wire.chat;

import dev.gridtie.base.Json;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** How an official client puts the answer that it got into its next request. */
final class Clients {
  private Clients() {}

  static JsonNode replaceAssistant(Dialect dialect, ObjectNode body, ObjectNode answer) {
    switch (dialect) {
      case OPENAI ->
          replace(
              body,
              "messages",
              m -> m.path("role").asString().equals("assistant"),
              answer.path("choices").path(0).path("message"));
      case ANTHROPIC -> {
        ObjectNode turn = Json.object().put("role", "assistant");
        turn.set("content", answer.path("content"));
        replace(body, "messages", m -> m.path("role").asString().equals("assistant"), turn);
      }
      case GEMINI ->
          replace(
              body,
              "contents",
              m -> m.path("role").asString().equals("model"),
              answer.path("candidates").path(0).path("content"));
      case RESPONSES -> {
        ArrayNode input = Json.array();
        boolean put = false;
        for (JsonNode item : body.path("input")) {
          boolean models =
              item.path("role").asString("").equals("assistant")
                  || item.path("type").asString("").equals("function_call");
          if (!models) {
            input.add(item);
          } else if (!put) {
            put = true;
            answer.path("output").forEach(input::add);
          }
        }
        body.set("input", input);
      }
    }
    return body;
  }

  private static void replace(
      ObjectNode body,
      String key,
      java.util.function.Predicate<JsonNode> which,
      JsonNode replacement) {
    ArrayNode list = Json.array();
    body.path(key).forEach(m -> list.add(which.test(m) ? replacement : m));
    body.set(key, list);
  }
}
