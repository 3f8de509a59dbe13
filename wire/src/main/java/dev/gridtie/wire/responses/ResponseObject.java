package dev.gridtie.wire.responses;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.Seals;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Usage;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The {@code response} object, whole or growing, and the items of its output. */
final class ResponseObject {
  private ResponseObject() {}

  static String id(Head head) {
    return head.id().startsWith("gen-") ? head.id() : "resp_" + head.id();
  }

  /** All of a response but its output's items. */
  static ObjectNode shell(
      Head head, String status, ArrayNode output, @Nullable Usage usage, FinishReason finish) {
    ChatRequest request = head.request();
    ObjectNode json = Json.object();
    json.put("id", id(head));
    json.put("object", "response");
    json.put("created_at", head.created());
    json.put("status", status);
    json.put("background", false);
    json.putNull("error");
    if (status.equals("incomplete")) {
      String reason =
          finish == FinishReason.CONTENT_FILTER ? "content_filter" : "max_output_tokens";
      json.putObject("incomplete_details").put("reason", reason);
    } else {
      json.putNull("incomplete_details");
    }
    json.putNull("instructions");
    json.put("max_output_tokens", request.maxTokens());
    json.put("model", head.model());
    json.set("output", output);
    json.put("parallel_tool_calls", !Boolean.FALSE.equals(request.parallelTools()));
    json.putNull("previous_response_id");
    ObjectNode reasoning = json.putObject("reasoning");
    reasoning.put("effort", request.thinking().effort());
    reasoning.putNull("summary");
    json.put("store", false);
    json.put("temperature", request.sampling().temperature());
    json.putObject("text").putObject("format").put("type", "text");
    json.put("tool_choice", "auto");
    json.putArray("tools");
    json.put("top_p", request.sampling().topP());
    json.put("truncation", "disabled");
    if (usage == null) {
      json.putNull("usage");
    } else {
      json.set("usage", ResponsesUsage.write(usage, head));
    }
    json.put("user", request.user());
    json.putObject("metadata");
    return json;
  }

  static String status(FinishReason finish) {
    return switch (finish) {
      case LENGTH, CONTENT_FILTER -> "incomplete";
      case ERROR -> "failed";
      case STOP, TOOL_CALLS, PAUSE -> "completed";
    };
  }

  static ObjectNode write(ChatAnswer answer, Head head) {
    ArrayNode output = Json.array();
    List<Part> said = new ArrayList<>();
    for (Part part : Seals.detach(answer.parts())) {
      if (part instanceof Part.Text || part instanceof Part.Refusal) {
        said.add(part);
      } else {
        flush(said, output, head);
        ObjectNode item = item(part, head, output.size());
        if (item != null) {
          output.add(item);
        }
      }
    }
    flush(said, output, head);
    boolean declined = answer.parts().stream().anyMatch(Part.Refusal.class::isInstance);
    FinishReason finish =
        declined && answer.finish() == FinishReason.CONTENT_FILTER
            ? FinishReason.STOP
            : answer.finish();
    return shell(head, status(finish), output, answer.usage(), finish);
  }

  private static void flush(List<Part> said, ArrayNode output, Head head) {
    if (said.isEmpty()) {
      return;
    }
    ObjectNode item = message(itemId("msg", head, output.size()), "completed");
    ArrayNode content = item.putArray("content");
    for (Part part : said) {
      content.add(
          part instanceof Part.Refusal refusal
              ? Json.object().put("type", "refusal").put("refusal", refusal.text())
              : text(((Part.Text) part).text()));
    }
    output.add(item);
    said.clear();
  }

  static ObjectNode message(String id, String status) {
    return Json.object()
        .put("id", id)
        .put("type", "message")
        .put("status", status)
        .put("role", "assistant");
  }

  static ObjectNode text(String text) {
    ObjectNode part = Json.object().put("type", "output_text").put("text", text);
    part.putArray("annotations");
    part.putArray("logprobs");
    return part;
  }

  static @Nullable ObjectNode item(Part part, Head head, int index) {
    return switch (part) {
      case Part.ToolCall call ->
          call(itemId("fc", head, index), call.id(), call.name(), call.arguments(), "completed");
      case Part.Reasoning thought -> reasoning(thought, itemId("rs", head, index));
      default -> null;
    };
  }

  static ObjectNode call(String id, String callId, String name, String arguments, String status) {
    return Json.object()
        .put("id", id)
        .put("type", "function_call")
        .put("status", status)
        .put("arguments", arguments)
        .put("call_id", callId)
        .put("name", name);
  }

  /** A thought; what must come back for it is in the field that clients return unread. */
  static ObjectNode reasoning(Part.Reasoning thought, String id) {
    Seal seal = thought.seal();
    String own = seal != null && seal.origin() == Seal.Origin.OPENAI ? seal.id() : null;
    ObjectNode item = Json.object().put("id", own == null ? id : own).put("type", "reasoning");
    ArrayNode summary = item.putArray("summary");
    if (!thought.text().isEmpty()) {
      summary.addObject().put("type", "summary_text").put("text", thought.text());
    }
    if (seal != null) {
      item.put("encrypted_content", seal.in(Seal.Origin.OPENAI));
    }
    return item;
  }

  static String itemId(String prefix, Head head, int index) {
    return prefix + "_" + head.id() + "_" + index;
  }
}
