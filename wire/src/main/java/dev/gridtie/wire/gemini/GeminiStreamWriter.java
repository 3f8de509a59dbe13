package dev.gridtie.wire.gemini;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Translator.StreamWriter;
import dev.gridtie.wire.chat.Usage;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes a streamed answer of Gemini: pieces with whole calls; the last has the reason and usage.
 */
final class GeminiStreamWriter implements StreamWriter {
  private final Head head;
  private final boolean array;
  private final boolean shows;
  private final Map<Integer, Growing> calls = new LinkedHashMap<>();
  private Usage usage = Usage.NONE;
  private FinishReason finish = FinishReason.STOP;
  private boolean begun;

  private static final class Growing {
    final StreamEvent.ToolCallStarted start;
    final StringBuilder arguments = new StringBuilder();

    Growing(StreamEvent.ToolCallStarted start) {
      this.start = start;
    }
  }

  /**
   * @param array whether the pieces come as one JSON array, as they do without {@code alt=sse}
   */
  GeminiStreamWriter(Head head, boolean array) {
    this.head = head;
    this.array = array;
    this.shows = GeminiAnswers.shows(head);
  }

  @Override
  public String write(StreamEvent event) {
    return switch (event) {
      case StreamEvent.Started e -> {
        usage = usage.merge(e.usage());
        yield "";
      }
      case StreamEvent.TextDelta e -> piece(new Part.Text(e.text()));
      case StreamEvent.TextSeal e -> piece(new Part.Text("", e.seal(), null));
      case StreamEvent.RefusalDelta e -> piece(new Part.Refusal(e.text()));
      case StreamEvent.ReasoningDelta e -> shows ? piece(new Part.Reasoning(e.text(), null)) : "";
      case StreamEvent.ReasoningSeal e -> seal(e.seal());
      case StreamEvent.ReasoningEnded e -> "";
      case StreamEvent.ToolCallStarted e -> {
        calls.put(e.index(), new Growing(e));
        yield "";
      }
      case StreamEvent.ToolArgumentsDelta e -> {
        Growing call = calls.get(e.index());
        if (call != null) {
          call.arguments.append(e.json());
        }
        yield "";
      }
      case StreamEvent.ToolCallEnded e -> call(e.index());
      case StreamEvent.UsageReported e -> {
        usage = usage.merge(e.usage());
        yield "";
      }
      case StreamEvent.Finished e -> {
        finish = e.reason();
        StringBuilder rest = new StringBuilder();
        new java.util.ArrayList<>(calls.keySet()).forEach(index -> rest.append(call(index)));
        yield rest.toString();
      }
      case StreamEvent.Ended e -> {
        ObjectNode json = shell(null);
        ((ObjectNode) json.path("candidates").path(0))
            .put("finishReason", GeminiAnswers.finish(finish));
        json.set("usageMetadata", GeminiAnswers.usage(usage, head));
        yield frame(json) + (array ? "]" : "");
      }
      case StreamEvent.Failed e ->
          frame(GeminiTranslator.errorJson(e.error())) + (array ? "]" : "");
    };
  }

  /** State without words travels on an empty thought; Gemini's own kind does as well. */
  private String seal(Seal seal) {
    return piece(new Part.Reasoning("", seal));
  }

  private String call(int index) {
    Growing call = calls.remove(index);
    if (call == null) {
      return "";
    }
    String arguments = call.arguments.isEmpty() ? "{}" : call.arguments.toString();
    return piece(
        new Part.ToolCall(call.start.id(), call.start.name(), arguments, call.start.seal()));
  }

  private String piece(Part part) {
    ObjectNode written = GeminiParts.write(part, true);
    return written == null ? "" : frame(shell(written));
  }

  private ObjectNode shell(@Nullable ObjectNode part) {
    ObjectNode json = Json.object();
    ObjectNode candidate = json.putArray("candidates").addObject();
    ObjectNode content = candidate.putObject("content").put("role", "model");
    var parts = content.putArray("parts");
    if (part != null) {
      parts.add(part);
    } else {
      parts.addObject().put("text", "");
    }
    candidate.put("index", 0);
    GeminiAnswers.tail(json, head);
    return json;
  }

  private String frame(ObjectNode json) {
    if (!array) {
      return "data: " + Json.write(json) + "\r\n\r\n";
    }
    String before = begun ? ",\r\n" : "[";
    begun = true;
    return before + Json.write(json);
  }
}
