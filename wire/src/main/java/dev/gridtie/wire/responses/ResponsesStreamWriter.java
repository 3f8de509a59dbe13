package dev.gridtie.wire.responses;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.Seals;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Translator.StreamWriter;
import dev.gridtie.wire.chat.Usage;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes a streamed response: every item announced, grown, and repeated whole when it is done. */
final class ResponsesStreamWriter implements StreamWriter {
  private final Head head;

  /** The items that are done, by their place. */
  private final Map<Integer, ObjectNode> done = new LinkedHashMap<>();

  private final Map<Integer, Call> calls = new LinkedHashMap<>();
  private int items;
  private int sequence;
  private boolean opened;
  private @Nullable Text text;
  private @Nullable Thought thought;
  private Usage usage = Usage.NONE;
  private FinishReason finish = FinishReason.STOP;

  /** The message that is open. */
  private static final class Text {
    final int place;
    final String id;
    final boolean refusal;
    final StringBuilder said = new StringBuilder();

    Text(int place, String id, boolean refusal) {
      this.place = place;
      this.id = id;
      this.refusal = refusal;
    }
  }

  private static final class Thought {
    final int place;
    final String id;
    final StringBuilder said = new StringBuilder();

    Thought(int place, String id) {
      this.place = place;
      this.id = id;
    }
  }

  private static final class Call {
    final int place;
    final String id;
    final StreamEvent.ToolCallStarted start;
    final StringBuilder arguments = new StringBuilder();

    Call(int place, String id, StreamEvent.ToolCallStarted start) {
      this.place = place;
      this.id = id;
      this.start = start;
    }
  }

  ResponsesStreamWriter(Head head) {
    this.head = head;
  }

  @Override
  public String write(StreamEvent event) {
    StringBuilder out = new StringBuilder();
    if (!(event instanceof StreamEvent.Failed)) {
      open(out);
    }
    switch (event) {
      case StreamEvent.Started e -> usage = usage.merge(e.usage());
      case StreamEvent.TextDelta e -> text(e.text(), false, out);
      case StreamEvent.RefusalDelta e -> text(e.text(), true, out);
      case StreamEvent.TextSeal e -> {
        closeText(out);
        sealed(Seals.carrier(e.seal(), "text"), out);
      }
      case StreamEvent.ReasoningDelta e -> thought(e.text(), out);
      case StreamEvent.ReasoningSeal e -> {
        if (thought == null) {
          closeText(out);
          sealed(new Part.Reasoning("", e.seal()), out);
        } else {
          closeThought(e.seal(), out);
        }
      }
      case StreamEvent.ReasoningEnded e -> closeThought(null, out);
      case StreamEvent.ToolCallStarted e -> call(e, out);
      case StreamEvent.ToolArgumentsDelta e -> arguments(e, out);
      case StreamEvent.ToolCallEnded e -> callEnded(e.index(), out);
      case StreamEvent.UsageReported e -> usage = usage.merge(e.usage());
      case StreamEvent.Finished e -> {
        closeText(out);
        closeThought(null, out);
        new java.util.ArrayList<>(calls.keySet()).forEach(index -> callEnded(index, out));
        finish = e.reason();
      }
      case StreamEvent.Ended e -> end(out);
      case StreamEvent.Failed e -> {
        ObjectNode json = event("error");
        json.put("code", e.error().code()).put("message", e.error().message()).putNull("param");
        frame(json, out);
      }
    }
    return out.toString();
  }

  private ObjectNode event(String type) {
    return Json.object().put("type", type).put("sequence_number", sequence++);
  }

  private static void frame(ObjectNode json, StringBuilder out) {
    out.append("event: ").append(json.path("type").stringValue()).append('\n');
    out.append("data: ").append(Json.write(json)).append("\n\n");
  }

  private void open(StringBuilder out) {
    if (opened) {
      return;
    }
    opened = true;
    for (String type : java.util.List.of("response.created", "response.in_progress")) {
      ObjectNode json = event(type);
      json.set(
          "response",
          ResponseObject.shell(head, "in_progress", Json.array(), null, FinishReason.STOP));
      frame(json, out);
    }
  }

  private void item(String type, int place, ObjectNode item, StringBuilder out) {
    ObjectNode json = event(type).put("output_index", place);
    json.set("item", item);
    frame(json, out);
    if (type.endsWith("done")) {
      done.put(place, item);
    }
  }

  private ObjectNode within(String type, String itemId, int place) {
    return event(type).put("item_id", itemId).put("output_index", place);
  }

  // Texts

  private void text(String piece, boolean refusal, StringBuilder out) {
    Text current = text;
    if (current == null || current.refusal != refusal) {
      closeText(out);
      closeThought(null, out);
      int place = items++;
      current = new Text(place, ResponseObject.itemId("msg", head, place), refusal);
      text = current;
      ObjectNode item = ResponseObject.message(current.id, "in_progress");
      item.putArray("content");
      item("response.output_item.added", place, item, out);
      ObjectNode added = within("response.content_part.added", current.id, place);
      added.put("content_index", 0).set("part", part(current, ""));
      frame(added, out);
    }
    current.said.append(piece);
    String kind = refusal ? "response.refusal.delta" : "response.output_text.delta";
    ObjectNode delta = within(kind, current.id, current.place);
    delta.put("content_index", 0).put("delta", piece);
    if (!refusal) {
      delta.putArray("logprobs");
    }
    frame(delta, out);
  }

  private static ObjectNode part(Text text, String said) {
    return text.refusal
        ? Json.object().put("type", "refusal").put("refusal", said)
        : ResponseObject.text(said);
  }

  private void closeText(StringBuilder out) {
    Text current = text;
    if (current == null) {
      return;
    }
    text = null;
    String said = current.said.toString();
    String kind = current.refusal ? "response.refusal.done" : "response.output_text.done";
    ObjectNode whole = within(kind, current.id, current.place);
    whole.put("content_index", 0).put(current.refusal ? "refusal" : "text", said);
    if (!current.refusal) {
      whole.putArray("logprobs");
    }
    frame(whole, out);
    ObjectNode partDone = within("response.content_part.done", current.id, current.place);
    partDone.put("content_index", 0).set("part", part(current, said));
    frame(partDone, out);
    ObjectNode item = ResponseObject.message(current.id, "completed");
    item.putArray("content").add(part(current, said));
    item("response.output_item.done", current.place, item, out);
  }

  // Thoughts

  private void thought(String piece, StringBuilder out) {
    Thought current = thought;
    if (current == null) {
      closeText(out);
      int place = items++;
      current = new Thought(place, ResponseObject.itemId("rs", head, place));
      thought = current;
      item(
          "response.output_item.added",
          place,
          ResponseObject.reasoning(new Part.Reasoning("", null), current.id),
          out);
      ObjectNode added = within("response.reasoning_summary_part.added", current.id, place);
      added.put("summary_index", 0).set("part", summary(""));
      frame(added, out);
    }
    current.said.append(piece);
    ObjectNode delta = within("response.reasoning_summary_text.delta", current.id, current.place);
    frame(delta.put("summary_index", 0).put("delta", piece), out);
  }

  private static ObjectNode summary(String text) {
    return Json.object().put("type", "summary_text").put("text", text);
  }

  private void closeThought(@Nullable Seal seal, StringBuilder out) {
    Thought current = thought;
    if (current == null) {
      return;
    }
    thought = null;
    String said = current.said.toString();
    ObjectNode textDone = within("response.reasoning_summary_text.done", current.id, current.place);
    frame(textDone.put("summary_index", 0).put("text", said), out);
    ObjectNode partDone = within("response.reasoning_summary_part.done", current.id, current.place);
    partDone.put("summary_index", 0).set("part", summary(said));
    frame(partDone, out);
    // The item keeps the id under which it grew; a seal's own would name another.
    Seal kept = seal == null ? null : new Seal(seal.origin(), seal.data(), null);
    ObjectNode item = ResponseObject.reasoning(new Part.Reasoning(said, kept), current.id);
    if (seal != null && seal.id() != null) {
      item.put("id", seal.id());
    }
    item("response.output_item.done", current.place, item, out);
  }

  /** A thought of state alone: there is nothing to grow. */
  private void sealed(Part.Reasoning thoughtless, StringBuilder out) {
    int place = items++;
    String id = ResponseObject.itemId("rs", head, place);
    ObjectNode item = ResponseObject.reasoning(thoughtless, id);
    item("response.output_item.added", place, item, out);
    item("response.output_item.done", place, item, out);
  }

  // Calls

  private void call(StreamEvent.ToolCallStarted e, StringBuilder out) {
    closeText(out);
    closeThought(null, out);
    if (e.seal() != null) {
      sealed(Seals.carrier(e.seal(), e.id()), out);
    }
    int place = items++;
    Call call = new Call(place, ResponseObject.itemId("fc", head, place), e);
    calls.put(e.index(), call);
    item(
        "response.output_item.added",
        place,
        ResponseObject.call(call.id, e.id(), e.name(), "", "in_progress"),
        out);
  }

  private void arguments(StreamEvent.ToolArgumentsDelta e, StringBuilder out) {
    Call call = calls.get(e.index());
    if (call == null) {
      return;
    }
    call.arguments.append(e.json());
    ObjectNode delta = within("response.function_call_arguments.delta", call.id, call.place);
    frame(delta.put("delta", e.json()), out);
  }

  private void callEnded(int index, StringBuilder out) {
    Call call = calls.remove(index);
    if (call == null) {
      return;
    }
    String arguments = call.arguments.isEmpty() ? "{}" : call.arguments.toString();
    ObjectNode whole = within("response.function_call_arguments.done", call.id, call.place);
    frame(whole.put("name", call.start.name()).put("arguments", arguments), out);
    item(
        "response.output_item.done",
        call.place,
        ResponseObject.call(call.id, call.start.id(), call.start.name(), arguments, "completed"),
        out);
  }

  private void end(StringBuilder out) {
    ArrayNode output = Json.array();
    done.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .forEach(item -> output.add(item.getValue()));
    boolean declined = Json.write(output).contains("\"type\":\"refusal\"");
    FinishReason said =
        declined && finish == FinishReason.CONTENT_FILTER ? FinishReason.STOP : finish;
    String status = ResponseObject.status(said);
    ObjectNode json = event("response." + status);
    json.set("response", ResponseObject.shell(head, status, output, usage, said));
    frame(json, out);
  }
}
