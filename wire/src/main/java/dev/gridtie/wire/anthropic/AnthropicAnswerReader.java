package dev.gridtie.wire.anthropic;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** Reads a whole message. */
final class AnthropicAnswerReader {
  private static final int BLOCKS_MAX = 1024;

  private AnthropicAnswerReader() {}

  static ChatAnswer read(JsonNode json) throws RefusedException {
    Fields in = Fields.root(json);
    List<Part> parts = new ArrayList<>();
    for (Fields block : in.objects("content", BLOCKS_MAX)) {
      switch (block.requiredText("type")) {
        case "text" -> parts.add(new Part.Text(String.valueOf(block.text("text"))));
        case "thinking" -> {
          String signature = block.text("signature");
          parts.add(
              new Part.Reasoning(
                  String.valueOf(block.text("thinking")),
                  signature == null || signature.isEmpty()
                      ? null
                      : Seal.read(Seal.Origin.ANTHROPIC, signature, null)));
        }
        case "redacted_thinking" ->
            parts.add(
                new Part.Reasoning(
                    "",
                    Seal.read(Seal.Origin.ANTHROPIC_REDACTED, block.requiredText("data"), null)));
        case "tool_use" ->
            parts.add(
                new Part.ToolCall(
                    block.requiredText("id"),
                    block.requiredText("name"),
                    Json.write(block.raw("input")),
                    null));
        default -> {} // a vendor's own tool at work: nothing another dialect has a place for
      }
    }
    List<Part> attached = dev.gridtie.wire.chat.Seals.attach(parts);
    String reason = in.text("stop_reason");
    return new ChatAnswer(
        String.valueOf(in.text("id")),
        String.valueOf(in.text("model")),
        0,
        attached,
        ChatAnswer.reconcile(AnthropicFinish.read(reason == null ? "end_turn" : reason), attached),
        in.text("stop_sequence"),
        AnthropicUsage.read(in.raw("usage")));
  }
}
