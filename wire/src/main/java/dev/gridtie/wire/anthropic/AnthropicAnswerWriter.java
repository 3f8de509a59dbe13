package dev.gridtie.wire.anthropic;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.Seals;
import dev.gridtie.wire.chat.Translator.Head;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes a whole message. */
final class AnthropicAnswerWriter {
  private AnthropicAnswerWriter() {}

  static ObjectNode write(ChatAnswer answer, Head head) {
    ObjectNode json = shell(head);
    ArrayNode content = json.putArray("content");
    Seals.detach(answer.parts()).forEach(part -> block(part, content));
    FinishReason finish = ChatAnswer.reconcile(answer.finish(), answer.parts());
    json.put("stop_reason", AnthropicFinish.write(finish, answer.stopSequence()));
    json.put("stop_sequence", answer.stopSequence());
    ObjectNode usage = json.putObject("usage");
    AnthropicUsage.write(answer.usage(), usage);
    head.note().add(answer.usage(), usage);
    return json;
  }

  static ObjectNode shell(Head head) {
    ObjectNode json = Json.object();
    json.put("id", head.id().startsWith("gen-") ? head.id() : "msg_" + head.id());
    json.put("type", "message");
    json.put("role", "assistant");
    json.put("model", head.model());
    return json;
  }

  private static void block(Part part, ArrayNode content) {
    switch (part) {
      case Part.Text p -> {
        if (!p.text().isEmpty()) {
          ObjectNode json = content.addObject().put("type", "text").put("text", p.text());
          json.putNull("citations");
        }
      }
      case Part.Refusal p -> {
        ObjectNode json = content.addObject().put("type", "text").put("text", p.text());
        json.putNull("citations");
      }
      case Part.Reasoning p -> content.add(thought(p));
      case Part.ToolCall p -> {
        ObjectNode json = content.addObject().put("type", "tool_use");
        json.put("id", AnthropicTranslator.callId(p.id())).put("name", p.name());
        json.set("input", input(p.arguments()));
      }
      case Part.Media p -> {}
      case Part.ToolResult p -> {}
    }
  }

  /** A thought, with whatever must come back for it in the field that clients return unread. */
  static ObjectNode thought(Part.Reasoning thought) {
    Seal seal = thought.seal();
    ObjectNode json = Json.object();
    if (seal != null && seal.origin() == Seal.Origin.ANTHROPIC_REDACTED) {
      return json.put("type", "redacted_thinking").put("data", seal.data());
    }
    json.put("type", "thinking").put("thinking", thought.text());
    return json.put("signature", seal == null ? "" : seal.in(Seal.Origin.ANTHROPIC));
  }

  /** A model may write arguments that are no object; a client must still get one. */
  private static JsonNode input(String arguments) {
    try {
      JsonNode input = Json.parse(arguments.getBytes(java.nio.charset.StandardCharsets.UTF_8));
      return input.isObject() ? input : Json.object().set("value", input);
    } catch (Json.MalformedJsonException e) {
      return Json.object().put("unparsable", arguments);
    }
  }
}
