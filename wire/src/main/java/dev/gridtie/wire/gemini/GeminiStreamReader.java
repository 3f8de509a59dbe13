package dev.gridtie.wire.gemini;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.UpstreamErrors;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator.MalformedStreamException;
import dev.gridtie.wire.chat.Translator.StreamReader;
import dev.gridtie.wire.chat.Usage;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** Reads the pieces of a streamed answer of Gemini; its end is the connection's. */
final class GeminiStreamReader implements StreamReader {
  private GeminiParts parts = new GeminiParts("call_");
  private int calls;
  private boolean started;
  private boolean thinking;
  private boolean finished;
  private boolean over;

  @Override
  public List<StreamEvent> read(String data) throws MalformedStreamException {
    List<StreamEvent> events = new ArrayList<>();
    if (over) {
      return events;
    }
    try {
      piece(Json.parse(data.getBytes(UTF_8)), events);
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

  private void piece(JsonNode json, List<StreamEvent> events) throws RefusedException {
    if (json.has("error")) {
      over = true;
      String message = json.path("error").path("message").asString("");
      events.add(new StreamEvent.Failed(UpstreamErrors.streamed(message)));
      return;
    }
    Fields in = Fields.root(json);
    if (!started) {
      started = true;
      parts = new GeminiParts(GeminiParts.idPrefix(json));
      events.add(
          new StreamEvent.Started(
              json.path("responseId").asString(""),
              json.path("modelVersion").asString(""),
              Usage.NONE));
    }
    String reason = "";
    List<Fields> candidates = in.objects("candidates", 16);
    if (!candidates.isEmpty()) {
      Fields content = candidates.getFirst().object("content");
      if (content != null) {
        parts.read(content).forEach(part -> part(part, events));
      }
      reason = json.path("candidates").path(0).path("finishReason").asString("");
    } else if (json.path("promptFeedback").has("blockReason")) {
      reason = "SAFETY";
    }
    JsonNode usage = json.path("usageMetadata");
    if (usage.isObject()) {
      events.add(new StreamEvent.UsageReported(GeminiAnswers.usage(usage)));
    }
    if (!reason.isEmpty() && !finished) {
      finished = true;
      endThinking(events);
      FinishReason said = GeminiAnswers.finish(reason);
      boolean called = said == FinishReason.STOP && calls > 0;
      events.add(new StreamEvent.Finished(called ? FinishReason.TOOL_CALLS : said, null));
    }
  }

  private void part(Part part, List<StreamEvent> events) {
    switch (part) {
      case Part.Reasoning p -> {
        if (!p.text().isEmpty()) {
          thinking = true;
          events.add(new StreamEvent.ReasoningDelta(p.text()));
        }
        if (p.seal() != null) {
          thinking = false;
          events.add(new StreamEvent.ReasoningSeal(p.seal()));
        }
      }
      case Part.Text p -> {
        endThinking(events);
        if (!p.text().isEmpty()) {
          events.add(new StreamEvent.TextDelta(p.text()));
        }
        if (p.seal() != null) {
          events.add(new StreamEvent.TextSeal(p.seal()));
        }
      }
      case Part.ToolCall p -> {
        endThinking(events);
        events.add(new StreamEvent.ToolCallStarted(calls, p.id(), p.name(), p.seal()));
        events.add(new StreamEvent.ToolArgumentsDelta(calls, p.arguments()));
        events.add(new StreamEvent.ToolCallEnded(calls++));
      }
      case Part.Media p -> {}
      case Part.Refusal p -> {}
      case Part.ToolResult p -> {}
    }
  }

  private void endThinking(List<StreamEvent> events) {
    if (thinking) {
      thinking = false;
      events.add(new StreamEvent.ReasoningEnded());
    }
  }
}
