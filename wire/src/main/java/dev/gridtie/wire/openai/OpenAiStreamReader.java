package dev.gridtie.wire.openai;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.JsonProgress;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator.MalformedStreamException;
import dev.gridtie.wire.chat.Translator.StreamReader;
import dev.gridtie.wire.chat.Usage;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/** Reads the chunks of a streamed chat completion. */
final class OpenAiStreamReader implements StreamReader {
  private static final String DONE = "[DONE]";

  /** How far the arguments of the call at each index have come. */
  private final Map<Integer, JsonProgress> calls = new HashMap<>();

  private final Set<Integer> ended = new HashSet<>();

  private boolean started;
  private boolean finished;
  private boolean over;
  private boolean thinking;
  private int lastIndex = -1;

  @Override
  public List<StreamEvent> read(String data) throws MalformedStreamException {
    List<StreamEvent> events = new ArrayList<>();
    if (over) {
      return events;
    }
    if (data.equals(DONE)) {
      return end();
    }
    try {
      chunk(Json.parse(data.getBytes(UTF_8)), events);
    } catch (Json.MalformedJsonException | RefusedException e) {
      throw new MalformedStreamException(String.valueOf(e.getMessage()));
    }
    return events;
  }

  @Override
  public List<StreamEvent> end() {
    if (over) {
      return List.of();
    }
    over = true;
    return List.of(finished ? new StreamEvent.Ended() : new StreamEvent.Failed(ApiError.cut()));
  }

  private void chunk(JsonNode json, List<StreamEvent> events) throws RefusedException {
    if (json.has("error") && !json.path("error").isNull()) {
      over = true;
      events.add(new StreamEvent.Failed(ErrorEnvelope.readStreamed(json.path("error"))));
      return;
    }
    Fields in = Fields.root(json);
    if (!started) {
      started = true;
      String id = in.text("id");
      String model = in.text("model");
      events.add(
          new StreamEvent.Started(id == null ? "" : id, model == null ? "" : model, Usage.NONE));
    }
    List<Fields> choices = in.objects("choices", 128);
    if (!choices.isEmpty()) {
      choice(choices.getFirst(), events);
    }
    JsonNode usage = in.raw("usage");
    if (usage.isObject()) {
      events.add(new StreamEvent.UsageReported(OpenAiUsage.read(usage)));
    }
  }

  private void choice(Fields choice, List<StreamEvent> events) throws RefusedException {
    Fields delta = choice.object("delta");
    if (delta != null) {
      reasoning(delta, events);
      String text = delta.has("content") ? contentText(delta.raw("content")) : "";
      if (!text.isEmpty()) {
        endThinking(events);
        events.add(new StreamEvent.TextDelta(text));
      }
      Seal seal = OpenAiRequestReader.googleSeal(delta);
      if (seal != null) {
        events.add(new StreamEvent.TextSeal(seal));
      }
      String refusal = delta.text("refusal");
      if (refusal != null && !refusal.isEmpty()) {
        events.add(new StreamEvent.RefusalDelta(refusal));
      }
      for (Fields call : delta.objects("tool_calls", OpenAiRequestReader.TOOLS_MAX)) {
        endThinking(events);
        call(call, events);
      }
    }
    String reason = choice.text("finish_reason");
    if (reason != null && !reason.isEmpty() && !finished) {
      finished = true;
      endThinking(events);
      calls.keySet().stream().sorted().forEach(index -> end(index, events));
      FinishReason said = OpenAiFinish.read(reason);
      boolean called = said == FinishReason.STOP && !calls.isEmpty();
      events.add(new StreamEvent.Finished(called ? FinishReason.TOOL_CALLS : said, null));
    }
  }

  private static String contentText(JsonNode content) {
    if (content.isString()) {
      return content.stringValue();
    }
    StringBuilder text = new StringBuilder();
    content.forEach(part -> text.append(part.path("text").asString("")));
    return text.toString();
  }

  private void reasoning(Fields delta, List<StreamEvent> events) throws RefusedException {
    for (Part part : ReasoningDetails.read(delta)) {
      Part.Reasoning thought = (Part.Reasoning) part;
      if (!thought.text().isEmpty()) {
        thinking = true;
        events.add(new StreamEvent.ReasoningDelta(thought.text()));
      }
      if (thought.seal() != null) {
        thinking = false;
        events.add(new StreamEvent.ReasoningSeal(thought.seal()));
      }
    }
  }

  private void endThinking(List<StreamEvent> events) {
    if (thinking) {
      thinking = false;
      events.add(new StreamEvent.ReasoningEnded());
    }
  }

  /** A fragment of a call. Servers that number none mean one call after the other. */
  private void call(Fields call, List<StreamEvent> events) throws RefusedException {
    Integer given = call.whole("index", 0);
    String id = call.text("id");
    Fields function = call.object("function");
    String name = function == null ? null : function.text("name");
    int index = given != null ? given : id != null && !id.isEmpty() ? lastIndex + 1 : lastIndex;
    if (!calls.containsKey(index)) {
      if (index > OpenAiRequestReader.TOOLS_MAX || name == null || name.isEmpty()) {
        throw new RefusedException("upstream_malformed", "a tool call has no name", null);
      }
      String actual = id == null || id.isEmpty() ? "call_" + index : id;
      // Servers may mix the fragments of several calls; a call whose object is whole has ended.
      calls.entrySet().stream()
          .filter(other -> other.getValue().isWhole())
          .map(Map.Entry::getKey)
          .sorted()
          .forEach(other -> end(other, events));
      calls.put(index, new JsonProgress());
      lastIndex = index;
      events.add(
          new StreamEvent.ToolCallStarted(
              index, actual, name, OpenAiRequestReader.googleSeal(call)));
    }
    String arguments = function == null ? null : function.text("arguments");
    JsonProgress progress = calls.get(index);
    if (progress != null && !ended.contains(index) && arguments != null && !arguments.isEmpty()) {
      progress.push(arguments);
      events.add(new StreamEvent.ToolArgumentsDelta(index, arguments));
    }
  }

  private void end(int index, List<StreamEvent> events) {
    if (ended.add(index)) {
      events.add(new StreamEvent.ToolCallEnded(index));
    }
  }
}
