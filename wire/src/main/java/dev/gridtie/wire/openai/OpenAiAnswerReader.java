package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** Reads a whole chat completion. */
final class OpenAiAnswerReader {
  private OpenAiAnswerReader() {}

  static ChatAnswer read(JsonNode json) throws RefusedException {
    Fields in = Fields.root(json);
    List<Fields> choices = in.objects("choices", 128);
    Fields message = choices.isEmpty() ? null : choices.getFirst().object("message");
    if (message == null) {
      throw new RefusedException("upstream_malformed", "The answer has no message.", null);
    }
    List<Part> parts = parts(message);
    String reason = choices.getFirst().text("finish_reason");
    return new ChatAnswer(
        String.valueOf(Json.text(json, "id")),
        String.valueOf(Json.text(json, "model")),
        json.path("created").asLong(0),
        parts,
        ChatAnswer.reconcile(OpenAiFinish.read(reason == null ? "stop" : reason), parts),
        null,
        OpenAiUsage.read(json.path("usage")));
  }

  private static List<Part> parts(Fields message) throws RefusedException {
    List<Part> parts = new ArrayList<>(ReasoningDetails.read(message));
    JsonNode content = message.raw("content");
    if (content.isString() && !content.stringValue().isEmpty()) {
      Seal seal = OpenAiRequestReader.googleSeal(message);
      parts.add(new Part.Text(content.stringValue(), seal, null));
    } else if (content.isArray()) {
      for (JsonNode part : content) {
        parts.add(new Part.Text(part.path("text").asString("")));
      }
    }
    String refusal = message.text("refusal");
    if (refusal != null && !refusal.isEmpty()) {
      parts.add(new Part.Refusal(refusal));
    }
    for (Fields call : message.objects("tool_calls", OpenAiRequestReader.TOOLS_MAX)) {
      Fields function = call.object("function");
      if (function != null) {
        String arguments = function.text("arguments");
        parts.add(
            new Part.ToolCall(
                call.requiredText("id"),
                function.requiredText("name"),
                arguments == null || arguments.isEmpty() ? "{}" : arguments,
                OpenAiRequestReader.googleSeal(call)));
      }
    }
    return parts;
  }
}
