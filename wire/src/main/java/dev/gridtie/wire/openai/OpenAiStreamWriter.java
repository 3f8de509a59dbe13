package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Translator.StreamWriter;
import dev.gridtie.wire.chat.Usage;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes a streamed chat completion: chunks, then {@code [DONE]}. */
final class OpenAiStreamWriter implements StreamWriter {
  private static final String DONE = "data: [DONE]\n\n";
  private static final String PLACEHOLDER = "text";

  private final Head head;
  private final boolean shows;
  private final String beforeText;
  private final String afterText;

  /** Calls are numbered from 0 without gaps, whatever the server called them. */
  private final Map<Integer, Integer> calls = new HashMap<>();

  private int thoughts;
  private Usage usage = Usage.NONE;
  private boolean opened;

  OpenAiStreamWriter(Head head) {
    this.head = head;
    this.shows = OpenAiAnswerWriter.shows(head);
    // Every piece of text is the same but for the text: written once, and taken apart there.
    String piece = chunk(Json.object().put("content", PLACEHOLDER), null);
    String quoted = Json.quote(PLACEHOLDER);
    int at = piece.lastIndexOf(quoted);
    this.beforeText = piece.substring(0, at);
    this.afterText = piece.substring(at + quoted.length());
  }

  @Override
  public String write(StreamEvent event) {
    return switch (event) {
      case StreamEvent.Started e -> {
        usage = usage.merge(e.usage());
        yield open();
      }
      case StreamEvent.TextDelta e -> open() + beforeText + Json.quote(e.text()) + afterText;
      case StreamEvent.TextSeal e -> {
        ObjectNode delta = Json.object();
        OpenAiRequestWriter.google(delta, e.seal());
        yield open() + chunk(delta, null);
      }
      case StreamEvent.ReasoningDelta e -> shows ? open() + thought(e.text()) : open();
      case StreamEvent.ReasoningSeal e -> {
        ArrayNode details = ReasoningDetails.write(new Part.Reasoning("", e.seal()), thoughts++);
        ObjectNode delta = Json.object();
        delta.set("reasoning_details", details);
        yield shows ? open() + chunk(delta, null) : open();
      }
      case StreamEvent.ReasoningEnded e -> {
        thoughts++;
        yield "";
      }
      case StreamEvent.RefusalDelta e ->
          open() + chunk(Json.object().put("refusal", e.text()), null);
      case StreamEvent.ToolCallStarted e -> open() + call(e);
      case StreamEvent.ToolArgumentsDelta e -> arguments(e);
      case StreamEvent.ToolCallEnded e -> "";
      case StreamEvent.UsageReported e -> {
        usage = usage.merge(e.usage());
        yield "";
      }
      case StreamEvent.Finished e -> {
        FinishReason reason =
            e.reason() == FinishReason.STOP && !calls.isEmpty()
                ? FinishReason.TOOL_CALLS
                : e.reason();
        yield open() + chunk(Json.object(), OpenAiFinish.write(reason));
      }
      case StreamEvent.Ended e -> (head.request().includeUsage() ? usageChunk() : "") + DONE;
      // No [DONE]: nobody shall take this for whole.
      case StreamEvent.Failed e -> "data: " + Json.write(ErrorEnvelope.of(e.error())) + "\n\n";
    };
  }

  private String open() {
    if (opened) {
      return "";
    }
    opened = true;
    return chunk(Json.object().put("role", "assistant").put("content", ""), null);
  }

  private String thought(String text) {
    ObjectNode delta = Json.object().put("reasoning", text);
    ObjectNode detail = delta.putArray("reasoning_details").addObject();
    detail.put("type", "reasoning.text").put("index", thoughts).put("text", text);
    return chunk(delta, null);
  }

  private String call(StreamEvent.ToolCallStarted e) {
    int index = calls.size();
    calls.put(e.index(), index);
    ObjectNode delta = Json.object();
    ObjectNode call = delta.putArray("tool_calls").addObject();
    call.put("index", index).put("id", e.id()).put("type", "function");
    call.putObject("function").put("name", e.name()).put("arguments", "");
    if (e.seal() != null) {
      OpenAiRequestWriter.google(call, e.seal());
    }
    return chunk(delta, null);
  }

  private String arguments(StreamEvent.ToolArgumentsDelta e) {
    ObjectNode delta = Json.object();
    ObjectNode call = delta.putArray("tool_calls").addObject();
    call.put("index", calls.getOrDefault(e.index(), 0));
    call.putObject("function").put("arguments", e.json());
    return chunk(delta, null);
  }

  private ObjectNode chunkHead() {
    ObjectNode json = Json.object();
    json.put("id", OpenAiTranslator.answerId(head));
    json.put("object", "chat.completion.chunk");
    json.put("created", head.created());
    json.put("model", head.model());
    return json;
  }

  private String chunk(ObjectNode delta, @Nullable String finishReason) {
    ObjectNode json = chunkHead();
    ObjectNode choice = json.putArray("choices").addObject();
    choice.put("index", 0);
    choice.set("delta", delta);
    choice.put("finish_reason", finishReason);
    return "data: " + Json.write(json) + "\n\n";
  }

  private String usageChunk() {
    ObjectNode json = chunkHead();
    json.putArray("choices");
    json.set("usage", OpenAiUsage.write(usage, head.note()));
    return "data: " + Json.write(json) + "\n\n";
  }
}
