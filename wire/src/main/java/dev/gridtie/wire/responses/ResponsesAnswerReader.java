package dev.gridtie.wire.responses;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seals;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** Reads a whole response. */
final class ResponsesAnswerReader {
  private static final int ITEMS_MAX = 1024;

  private ResponsesAnswerReader() {}

  static ChatAnswer read(JsonNode json) throws RefusedException {
    Fields in = Fields.root(json);
    List<Part> parts = new ArrayList<>();
    for (Fields item : in.objects("output", ITEMS_MAX)) {
      switch (item.requiredText("type")) {
        case "message" -> {
          for (Fields part : item.objects("content", ITEMS_MAX)) {
            parts.add(
                "refusal".equals(part.text("type"))
                    ? new Part.Refusal(part.raw("refusal").asString(""))
                    : new Part.Text(part.raw("text").asString("")));
          }
        }
        case "function_call" ->
            parts.add(
                new Part.ToolCall(
                    item.requiredText("call_id"),
                    item.requiredText("name"),
                    arguments(item),
                    null));
        case "reasoning" -> parts.add(ResponsesRequestReader.reasoning(item));
        default -> {} // a vendor's own tool at work
      }
    }
    List<Part> attached = Seals.attach(parts);
    return new ChatAnswer(
        String.valueOf(Json.text(json, "id")),
        String.valueOf(Json.text(json, "model")),
        json.path("created_at").asLong(0),
        attached,
        finish(json, attached),
        null,
        ResponsesUsage.read(json.path("usage")));
  }

  private static String arguments(Fields item) throws RefusedException {
    String arguments = item.text("arguments");
    return arguments == null || arguments.isEmpty() ? "{}" : arguments;
  }

  static FinishReason finish(JsonNode response, List<Part> parts) {
    return switch (response.path("status").asString("completed")) {
      case "failed", "cancelled" -> FinishReason.ERROR;
      case "incomplete" ->
          response.path("incomplete_details").path("reason").asString("").equals("content_filter")
              ? FinishReason.CONTENT_FILTER
              : FinishReason.LENGTH;
      default ->
          ChatAnswer.reconcile(
              parts.stream().anyMatch(Part.Refusal.class::isInstance)
                  ? FinishReason.CONTENT_FILTER
                  : FinishReason.STOP,
              parts);
    };
  }
}
