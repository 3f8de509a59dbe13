package dev.gridtie.wire.chat;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Puts a stream's events together to a whole answer. */
public final class Collector {
  private final List<Object> items = new ArrayList<>();
  private final Map<Integer, OpenCall> calls = new LinkedHashMap<>();
  private @Nullable OpenText open;
  private String id = "";
  private String model = "";
  private FinishReason finish = FinishReason.ERROR;
  private @Nullable String stopSequence;
  private Usage usage = Usage.NONE;

  private enum TextKind {
    TEXT,
    REASONING,
    REFUSAL
  }

  /** A text that may still grow. */
  private static final class OpenText {
    final TextKind kind;
    final StringBuilder text = new StringBuilder();
    @Nullable Seal seal;

    OpenText(TextKind kind) {
      this.kind = kind;
    }

    Part toPart() {
      return switch (kind) {
        case TEXT -> new Part.Text(text.toString(), seal, null);
        case REASONING -> new Part.Reasoning(text.toString(), seal);
        case REFUSAL -> new Part.Refusal(text.toString());
      };
    }
  }

  private static final class OpenCall {
    final StreamEvent.ToolCallStarted start;
    final StringBuilder arguments = new StringBuilder();

    OpenCall(StreamEvent.ToolCallStarted start) {
      this.start = start;
    }

    Part toPart() {
      String json = arguments.isEmpty() ? "{}" : arguments.toString();
      return new Part.ToolCall(start.id(), start.name(), json, start.seal());
    }
  }

  /** Takes the next event. */
  public void add(StreamEvent event) {
    switch (event) {
      case StreamEvent.Started e -> {
        id = e.id();
        model = e.model();
        usage = usage.merge(e.usage());
      }
      case StreamEvent.TextDelta e -> open(TextKind.TEXT).text.append(e.text());
      case StreamEvent.TextSeal e -> {
        open(TextKind.TEXT).seal = e.seal();
        open = null;
      }
      case StreamEvent.ReasoningDelta e -> open(TextKind.REASONING).text.append(e.text());
      case StreamEvent.ReasoningSeal e -> {
        open(TextKind.REASONING).seal = e.seal();
        open = null;
      }
      case StreamEvent.ReasoningEnded e -> open = null;
      case StreamEvent.RefusalDelta e -> open(TextKind.REFUSAL).text.append(e.text());
      case StreamEvent.ToolCallStarted e -> {
        OpenCall call = new OpenCall(e);
        open = null;
        items.add(call);
        calls.put(e.index(), call);
      }
      case StreamEvent.ToolArgumentsDelta e -> {
        OpenCall call = calls.get(e.index());
        if (call != null) {
          call.arguments.append(e.json());
        }
      }
      case StreamEvent.ToolCallEnded e -> {}
      case StreamEvent.UsageReported e -> usage = usage.merge(e.usage());
      case StreamEvent.Finished e -> {
        finish = e.reason();
        stopSequence = e.stopSequence();
      }
      case StreamEvent.Ended e -> {}
      case StreamEvent.Failed e -> finish = FinishReason.ERROR;
    }
  }

  private OpenText open(TextKind kind) {
    OpenText current = open;
    if (current == null || current.kind != kind) {
      current = new OpenText(kind);
      items.add(current);
      open = current;
    }
    return current;
  }

  public Usage usage() {
    return usage;
  }

  /** All that was said so far. */
  public List<Part> parts() {
    List<Part> parts = new ArrayList<>();
    for (Object item : items) {
      parts.add(item instanceof OpenText text ? text.toPart() : ((OpenCall) item).toPart());
    }
    return Seals.attach(parts);
  }

  /** The answer, of what came so far. */
  public ChatAnswer answer(long created) {
    List<Part> parts = parts();
    return new ChatAnswer(
        id, model, created, parts, ChatAnswer.reconcile(finish, parts), stopSequence, usage);
  }

  /** The events that a whole answer would have come as. */
  public static List<StreamEvent> events(ChatAnswer answer) {
    List<StreamEvent> events = new ArrayList<>();
    events.add(
        new StreamEvent.Started(
            answer.id(),
            answer.model(),
            new Usage(
                answer.usage().input(),
                answer.usage().cacheRead(),
                answer.usage().cacheWrite(),
                0,
                0)));
    int calls = 0;
    for (Part part : answer.parts()) {
      switch (part) {
        case Part.Text p -> {
          events.add(new StreamEvent.TextDelta(p.text()));
          if (p.seal() != null) {
            events.add(new StreamEvent.TextSeal(p.seal()));
          }
        }
        case Part.Reasoning p -> {
          if (!p.text().isEmpty()) {
            events.add(new StreamEvent.ReasoningDelta(p.text()));
          }
          events.add(
              p.seal() == null
                  ? new StreamEvent.ReasoningEnded()
                  : new StreamEvent.ReasoningSeal(p.seal()));
        }
        case Part.Refusal p -> events.add(new StreamEvent.RefusalDelta(p.text()));
        case Part.ToolCall p -> {
          events.add(new StreamEvent.ToolCallStarted(calls, p.id(), p.name(), p.seal()));
          events.add(new StreamEvent.ToolArgumentsDelta(calls, p.arguments()));
          events.add(new StreamEvent.ToolCallEnded(calls++));
        }
        case Part.Media p -> {}
        case Part.ToolResult p -> {}
      }
    }
    events.add(new StreamEvent.Finished(answer.finish(), answer.stopSequence()));
    events.add(new StreamEvent.UsageReported(answer.usage()));
    events.add(new StreamEvent.Ended());
    return events;
  }
}
