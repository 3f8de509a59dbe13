package dev.gridtie.wire.anthropic;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.UpstreamErrors;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator.MalformedStreamException;
import dev.gridtie.wire.chat.Translator.StreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/** Reads the events of a streamed message. */
final class AnthropicStreamReader implements StreamReader {
  private static final int BLOCKS_MAX = 4096;

  private final Map<Integer, Block> blocks = new HashMap<>();
  private boolean called;
  private boolean finished;
  private boolean over;

  private static final class Block {
    final String type;
    final JsonNode start;
    final StringBuilder signature = new StringBuilder();
    boolean hasArguments;

    Block(String type, JsonNode start) {
      this.type = type;
      this.start = start;
    }
  }

  @Override
  public List<StreamEvent> read(String data) throws MalformedStreamException {
    List<StreamEvent> events = new ArrayList<>();
    if (over) {
      return events;
    }
    JsonNode json;
    try {
      json = Json.parse(data.getBytes(UTF_8));
    } catch (Json.MalformedJsonException e) {
      throw new MalformedStreamException(String.valueOf(e.getMessage()));
    }
    switch (json.path("type").asString("")) {
      case "message_start" -> {
        JsonNode message = json.path("message");
        events.add(
            new StreamEvent.Started(
                message.path("id").asString(""),
                message.path("model").asString(""),
                AnthropicUsage.read(message.path("usage"))));
      }
      case "content_block_start" -> start(json, events);
      case "content_block_delta" -> delta(json, events);
      case "content_block_stop" -> stop(json, events);
      case "message_delta" -> messageDelta(json, events);
      case "message_stop" -> events.addAll(end());
      case "error" -> {
        over = true;
        events.add(
            new StreamEvent.Failed(
                UpstreamErrors.streamed(json.path("error").path("message").asString(""))));
      }
      default -> {} // ping, and whatever comes to be
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

  private void start(JsonNode json, List<StreamEvent> events) throws MalformedStreamException {
    int index = json.path("index").asInt(-1);
    JsonNode start = json.path("content_block");
    String type = start.path("type").asString("");
    if (index < 0 || index > BLOCKS_MAX) {
      throw new MalformedStreamException("a content block without an index");
    }
    blocks.put(index, new Block(type, start));
    if (type.equals("text") && !start.path("text").asString("").isEmpty()) {
      events.add(new StreamEvent.TextDelta(start.path("text").stringValue()));
    }
    if (type.equals("tool_use")) {
      called = true;
      events.add(
          new StreamEvent.ToolCallStarted(
              index, start.path("id").asString(""), start.path("name").asString(""), null));
    }
  }

  private void delta(JsonNode json, List<StreamEvent> events) throws MalformedStreamException {
    int index = json.path("index").asInt(-1);
    Block block = blocks.get(index);
    if (block == null) {
      throw new MalformedStreamException("a delta for a content block that never began");
    }
    JsonNode delta = json.path("delta");
    switch (delta.path("type").asString("")) {
      case "text_delta" -> events.add(new StreamEvent.TextDelta(delta.path("text").asString("")));
      case "thinking_delta" ->
          events.add(new StreamEvent.ReasoningDelta(delta.path("thinking").asString("")));
      case "signature_delta" -> block.signature.append(delta.path("signature").asString(""));
      case "input_json_delta" -> {
        String piece = delta.path("partial_json").asString("");
        if (!piece.isEmpty() && block.type.equals("tool_use")) {
          block.hasArguments = true;
          events.add(new StreamEvent.ToolArgumentsDelta(index, piece));
        }
      }
      default -> {}
    }
  }

  private void stop(JsonNode json, List<StreamEvent> events) {
    int index = json.path("index").asInt(-1);
    Block block = blocks.remove(index);
    if (block == null) {
      return;
    }
    switch (block.type) {
      case "thinking" -> {
        block.signature.append(block.start.path("signature").asString(""));
        events.add(
            block.signature.isEmpty()
                ? new StreamEvent.ReasoningEnded()
                : new StreamEvent.ReasoningSeal(
                    Seal.read(Seal.Origin.ANTHROPIC, block.signature.toString(), null)));
      }
      case "redacted_thinking" ->
          events.add(
              new StreamEvent.ReasoningSeal(
                  Seal.read(
                      Seal.Origin.ANTHROPIC_REDACTED,
                      block.start.path("data").asString(""),
                      null)));
      case "tool_use" -> {
        JsonNode input = block.start.path("input");
        if (!block.hasArguments) {
          String whole = input.isObject() ? Json.write(input) : "{}";
          events.add(new StreamEvent.ToolArgumentsDelta(index, whole));
        }
        events.add(new StreamEvent.ToolCallEnded(index));
      }
      default -> {}
    }
  }

  private void messageDelta(JsonNode json, List<StreamEvent> events) {
    JsonNode usage = json.path("usage");
    if (usage.isObject()) {
      events.add(new StreamEvent.UsageReported(AnthropicUsage.read(usage)));
    }
    String reason = json.path("delta").path("stop_reason").asString("");
    if (!reason.isEmpty() && !finished) {
      finished = true;
      FinishReason said = AnthropicFinish.read(reason);
      String sequence = Json.text(json.path("delta"), "stop_sequence");
      boolean mixed = said == FinishReason.STOP && called;
      events.add(new StreamEvent.Finished(mixed ? FinishReason.TOOL_CALLS : said, sequence));
    }
  }
}
