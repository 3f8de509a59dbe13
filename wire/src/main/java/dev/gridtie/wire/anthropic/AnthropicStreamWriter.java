package dev.gridtie.wire.anthropic;

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
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes a streamed message. Blocks never overlap: the first open call's arguments go out as they
 * come, those of calls mixed with it wait until it ends.
 */
final class AnthropicStreamWriter implements StreamWriter {
  private final Head head;
  private final boolean shows;

  /** Calls that wait for the open one, and what came for them, in order. */
  private final Map<Integer, Waiting> waiting = new LinkedHashMap<>();

  private Open open = Open.NOTHING;
  private int openCall = -1;
  private int block = -1;
  private boolean called;
  private boolean opened;
  private Usage usage = Usage.NONE;
  private FinishReason finish = FinishReason.STOP;
  private @Nullable String stopSequence;

  private enum Open {
    NOTHING,
    TEXT,
    THINKING,
    CALL
  }

  private static final class Waiting {
    final StreamEvent.ToolCallStarted start;
    final StringBuilder arguments = new StringBuilder();
    boolean ended;

    Waiting(StreamEvent.ToolCallStarted start) {
      this.start = start;
    }
  }

  AnthropicStreamWriter(Head head) {
    this.head = head;
    this.shows = !Boolean.FALSE.equals(head.request().thinking().show());
  }

  @Override
  public String write(StreamEvent event) {
    StringBuilder out = new StringBuilder();
    switch (event) {
      case StreamEvent.Started e -> {
        usage = usage.merge(e.usage());
        begin(out);
      }
      case StreamEvent.TextDelta e -> text(e.text(), out);
      case StreamEvent.RefusalDelta e -> text(e.text(), out);
      case StreamEvent.TextSeal e -> {
        closeAll(out);
        whole(Seals.carrier(e.seal(), "text"), out);
      }
      case StreamEvent.ReasoningDelta e -> thinking(e.text(), out);
      case StreamEvent.ReasoningSeal e -> seal(e.seal(), out);
      case StreamEvent.ReasoningEnded e -> {
        if (open == Open.THINKING) {
          close(out);
        }
      }
      case StreamEvent.ToolCallStarted e -> call(e, out);
      case StreamEvent.ToolArgumentsDelta e -> arguments(e.index(), e.json(), out);
      case StreamEvent.ToolCallEnded e -> callEnded(e.index(), out);
      case StreamEvent.UsageReported e -> usage = usage.merge(e.usage());
      case StreamEvent.Finished e -> {
        closeAll(out);
        finish = e.reason() == FinishReason.STOP && called ? FinishReason.TOOL_CALLS : e.reason();
        stopSequence = e.stopSequence();
      }
      case StreamEvent.Ended e -> end(out);
      case StreamEvent.Failed e ->
          out.append(event("error", AnthropicTranslator.errorJson(e.error())));
    }
    return out.toString();
  }

  private static String event(String type, ObjectNode json) {
    return "event: " + type + "\ndata: " + Json.write(json) + "\n\n";
  }

  private static ObjectNode typed(String type) {
    return Json.object().put("type", type);
  }

  private void begin(StringBuilder out) {
    if (opened) {
      return;
    }
    opened = true;
    ObjectNode json = typed("message_start");
    ObjectNode message = AnthropicAnswerWriter.shell(head);
    message.putArray("content");
    message.putNull("stop_reason");
    message.putNull("stop_sequence");
    AnthropicUsage.write(usage, message.putObject("usage"));
    json.set("message", message);
    out.append(event("message_start", json));
  }

  private void start(ObjectNode contentBlock, Open kind, StringBuilder out) {
    begin(out);
    open = kind;
    block++;
    ObjectNode json = typed("content_block_start").put("index", block);
    json.set("content_block", contentBlock);
    out.append(event("content_block_start", json));
  }

  private void delta(ObjectNode delta, StringBuilder out) {
    ObjectNode json = typed("content_block_delta").put("index", block);
    json.set("delta", delta);
    out.append(event("content_block_delta", json));
  }

  private void close(StringBuilder out) {
    if (open != Open.NOTHING) {
      open = Open.NOTHING;
      out.append(event("content_block_stop", typed("content_block_stop").put("index", block)));
    }
  }

  private void text(String text, StringBuilder out) {
    if (open != Open.TEXT) {
      closeAll(out);
      start(typed("text").put("text", ""), Open.TEXT, out);
    }
    delta(typed("text_delta").put("text", text), out);
  }

  private void thinking(String text, StringBuilder out) {
    if (open != Open.THINKING) {
      closeAll(out);
      start(typed("thinking").put("thinking", "").put("signature", ""), Open.THINKING, out);
    }
    if (shows) {
      delta(typed("thinking_delta").put("thinking", text), out);
    }
  }

  private void seal(Seal seal, StringBuilder out) {
    if (open == Open.THINKING && seal.origin() != Seal.Origin.ANTHROPIC_REDACTED) {
      String signature = seal.in(Seal.Origin.ANTHROPIC);
      delta(typed("signature_delta").put("signature", signature), out);
      close(out);
    } else {
      closeAll(out);
      whole(new Part.Reasoning("", seal), out);
    }
  }

  /** A thought without words: a block that is whole as it begins, its signature as a delta. */
  private void whole(Part.Reasoning thought, StringBuilder out) {
    ObjectNode json = AnthropicAnswerWriter.thought(thought);
    String signature = Json.text(json, "signature");
    if (signature != null) {
      json.put("signature", "");
    }
    start(json, Open.THINKING, out);
    if (signature != null && !signature.isEmpty()) {
      delta(typed("signature_delta").put("signature", signature), out);
    }
    close(out);
  }

  private void call(StreamEvent.ToolCallStarted e, StringBuilder out) {
    called = true;
    if (open == Open.CALL) {
      waiting.put(e.index(), new Waiting(e));
      return;
    }
    closeAll(out);
    startCall(e, out);
  }

  private void startCall(StreamEvent.ToolCallStarted e, StringBuilder out) {
    if (e.seal() != null) {
      whole(Seals.carrier(e.seal(), e.id()), out);
    }
    ObjectNode json = typed("tool_use").put("id", AnthropicTranslator.callId(e.id()));
    json.put("name", e.name()).putObject("input");
    start(json, Open.CALL, out);
    openCall = e.index();
  }

  private void arguments(int index, String piece, StringBuilder out) {
    if (open == Open.CALL && index == openCall) {
      delta(typed("input_json_delta").put("partial_json", piece), out);
      return;
    }
    Waiting call = waiting.get(index);
    if (call != null) {
      call.arguments.append(piece);
    }
  }

  /** The open call has ended: those that waited go on, until one that is still growing. */
  private void callEnded(int index, StringBuilder out) {
    Waiting ended = waiting.get(index);
    if (ended != null) {
      ended.ended = true;
      return;
    }
    if (open != Open.CALL || index != openCall) {
      return;
    }
    close(out);
    while (open == Open.NOTHING && !waiting.isEmpty()) {
      nextWaiting(out);
    }
  }

  private void nextWaiting(StringBuilder out) {
    int index = waiting.keySet().iterator().next();
    Waiting next = waiting.get(index);
    waiting.remove(index);
    if (next == null) {
      return;
    }
    startCall(next.start, out);
    if (!next.arguments.isEmpty()) {
      arguments(index, next.arguments.toString(), out);
    }
    if (next.ended) {
      close(out);
    }
  }

  /** Closes what is open; calls that waited come whole. */
  private void closeAll(StringBuilder out) {
    close(out);
    while (!waiting.isEmpty()) {
      nextWaiting(out);
      close(out);
    }
  }

  private void end(StringBuilder out) {
    begin(out);
    closeAll(out);
    ObjectNode json = typed("message_delta");
    ObjectNode delta = json.putObject("delta");
    delta.put("stop_reason", AnthropicFinish.write(finish, stopSequence));
    delta.put("stop_sequence", stopSequence);
    ObjectNode counted = json.putObject("usage");
    AnthropicUsage.write(usage, counted);
    head.note().add(usage, counted);
    out.append(event("message_delta", json));
    out.append(event("message_stop", typed("message_stop")));
  }
}
