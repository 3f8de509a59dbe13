package dev.gridtie.wire.responses;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.UpstreamErrors;
import dev.gridtie.wire.chat.FinishReason;
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

/** Reads the events of a streamed response. */
final class ResponsesStreamReader implements StreamReader {
  /** The seals that stand for what comes after them, by the id of the call. */
  private final Map<String, Seal> named = new HashMap<>();

  private final Set<Integer> withArguments = new HashSet<>();
  private boolean called;
  private boolean refused;
  private boolean over;

  @Override
  public List<StreamEvent> read(String data) throws MalformedStreamException {
    List<StreamEvent> events = new ArrayList<>();
    if (over || data.equals("[DONE]")) {
      return events;
    }
    try {
      event(Json.parse(data.getBytes(UTF_8)), events);
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
    return List.of(new StreamEvent.Failed(ApiError.cut()));
  }

  private void event(JsonNode json, List<StreamEvent> events) throws RefusedException {
    int index = json.path("output_index").asInt(-1);
    String delta = json.path("delta").asString("");
    switch (json.path("type").asString("")) {
      case "response.created" -> {
        JsonNode response = json.path("response");
        events.add(
            new StreamEvent.Started(
                response.path("id").asString(""), response.path("model").asString(""), Usage.NONE));
      }
      case "response.output_item.added" -> added(json.path("item"), index, events);
      case "response.output_text.delta" -> events.add(new StreamEvent.TextDelta(delta));
      case "response.refusal.delta" -> {
        refused = true;
        events.add(new StreamEvent.RefusalDelta(delta));
      }
      case "response.reasoning_summary_text.delta", "response.reasoning_text.delta" ->
          events.add(new StreamEvent.ReasoningDelta(delta));
      case "response.function_call_arguments.delta" -> {
        withArguments.add(index);
        events.add(new StreamEvent.ToolArgumentsDelta(index, delta));
      }
      case "response.output_item.done" -> done(json.path("item"), index, events);
      case "response.completed", "response.incomplete" -> {
        JsonNode response = json.path("response");
        events.add(new StreamEvent.UsageReported(ResponsesUsage.read(response.path("usage"))));
        FinishReason said = ResponsesAnswerReader.finish(response, List.of());
        if (said == FinishReason.STOP) {
          said =
              called
                  ? FinishReason.TOOL_CALLS
                  : refused ? FinishReason.CONTENT_FILTER : FinishReason.STOP;
        }
        over = true;
        events.add(new StreamEvent.Finished(said, null));
        events.add(new StreamEvent.Ended());
      }
      case "response.failed" ->
          failed(json.path("response").path("error").path("message").asString(""), events);
      case "error" -> failed(json.path("message").asString(""), events);
      default -> {}
    }
  }

  private void failed(String message, List<StreamEvent> events) {
    over = true;
    events.add(new StreamEvent.Failed(UpstreamErrors.streamed(message)));
  }

  private void added(JsonNode item, int index, List<StreamEvent> events) {
    if (item.path("type").asString("").equals("function_call")) {
      called = true;
      String id = item.path("call_id").asString("");
      events.add(
          new StreamEvent.ToolCallStarted(
              index, id, item.path("name").asString(""), named.remove(id)));
    }
  }

  private void done(JsonNode item, int index, List<StreamEvent> events) throws RefusedException {
    switch (item.path("type").asString("")) {
      case "function_call" -> {
        String arguments = item.path("arguments").asString("");
        if (!withArguments.contains(index)) {
          events.add(
              new StreamEvent.ToolArgumentsDelta(index, arguments.isEmpty() ? "{}" : arguments));
        }
        events.add(new StreamEvent.ToolCallEnded(index));
      }
      case "reasoning" -> {
        Part.Reasoning thought = ResponsesRequestReader.reasoning(Fields.of(item, "item"));
        Seal seal = thought.seal();
        if (seal == null) {
          events.add(new StreamEvent.ReasoningEnded());
        } else if (seal.origin() == Seal.Origin.GEMINI && seal.id() != null) {
          named.put(seal.id(), Seal.of(seal.origin(), seal.data()));
        } else {
          events.add(new StreamEvent.ReasoningSeal(seal));
        }
      }
      default -> {}
    }
  }
}
