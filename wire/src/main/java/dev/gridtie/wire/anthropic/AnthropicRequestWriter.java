package dev.gridtie.wire.anthropic;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Expressible;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Sampling;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.Seals;
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.ToolChoice;
import dev.gridtie.wire.chat.ToolSpec;
import dev.gridtie.wire.chat.Translator.Written;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes {@code POST /v1/messages}. */
final class AnthropicRequestWriter {
  /** The limit for those who name none, which Anthropic requires. */
  private static final int MAX_TOKENS_DEFAULT = 4096;

  /** The least budget of thought that Anthropic takes. */
  private static final int BUDGET_MIN = 1024;

  private final Expressible target = new Expressible(Dialect.ANTHROPIC);
  private final ObjectNode out = Json.object();

  Written write(ChatRequest request) throws RefusedException {
    out.put("model", request.model());
    Sampling s = request.sampling();
    int maxTokens = s.maxTokens() == null ? MAX_TOKENS_DEFAULT : s.maxTokens();
    out.put("max_tokens", maxTokens);
    messages(request.messages());
    sampling(s);
    tools(request);
    ObjectNode output = Json.object();
    thinking(request.thinking(), maxTokens, output);
    format(request.format(), output);
    if (!output.isEmpty()) {
      out.set("output_config", output);
    }
    target.refuseIf(request.verbosity() != null, "verbosity");
    if (request.user() != null) {
      out.putObject("metadata").put("user_id", request.user());
    }
    if (request.stream()) {
      out.put("stream", true);
    }
    target.others(request);
    if (request.source() == Dialect.ANTHROPIC) {
      request.others().forEach(out::set);
    }
    return new Written(out, target.dropped());
  }

  private void sampling(Sampling s) throws RefusedException {
    if (s.temperature() != null) {
      target.refuseIf(s.temperature() > 1, "temperature");
      out.put("temperature", s.temperature());
    }
    if (s.topP() != null) {
      out.put("top_p", s.topP());
    }
    if (s.topK() != null && s.topK() > 0) {
      out.put("top_k", s.topK());
    }
    if (!s.stop().isEmpty()) {
      ArrayNode stops = out.putArray("stop_sequences");
      s.stop().forEach(stops::add);
    }
    target.plainSampling(s);
  }

  private void tools(ChatRequest request) throws RefusedException {
    if (request.tools().isEmpty()) {
      return;
    }
    ArrayNode tools = out.putArray("tools");
    for (ToolSpec tool : request.tools()) {
      ObjectNode json = tools.addObject().put("name", tool.name());
      if (tool.description() != null) {
        json.put("description", tool.description());
      }
      json.set("input_schema", tool.parameters());
      if (tool.strict() != null) {
        json.put("strict", tool.strict());
      }
      if (tool.cacheControl() != null) {
        json.set("cache_control", tool.cacheControl());
      }
    }
    ObjectNode choice = Json.object();
    switch (request.toolChoice()) {
      case ToolChoice.Auto auto -> choice.put("type", "auto");
      case ToolChoice.None none -> choice.put("type", "none");
      case ToolChoice.Required required -> choice.put("type", "any");
      case ToolChoice.Named named -> {
        target.refuseIf(named.names().size() != 1, "tool_choice");
        choice.put("type", "tool").put("name", named.names().getFirst());
      }
    }
    boolean free = request.toolChoice() instanceof ToolChoice.None;
    if (request.parallelTools() != null && !free) {
      choice.put("disable_parallel_tool_use", !request.parallelTools());
    }
    if (!(request.toolChoice() instanceof ToolChoice.Auto) || choice.size() > 1) {
      out.set("tool_choice", choice);
    }
  }

  private void thinking(Thinking thinking, int maxTokens, ObjectNode output) {
    if (thinking.isForbidden()) {
      out.putObject("thinking").put("type", "disabled");
      return;
    }
    Integer budget = thinking.budgetTokens();
    if (budget != null && budget > 0 && maxTokens > BUDGET_MIN) {
      ObjectNode json = out.putObject("thinking").put("type", "enabled");
      json.put("budget_tokens", Math.min(Math.max(budget, BUDGET_MIN), maxTokens - 1));
      display(json, thinking);
    } else if (thinking.isAsked()) {
      display(out.putObject("thinking").put("type", "adaptive"), thinking);
    }
    if (thinking.effort() != null) {
      output.put("effort", thinking.effort().equals("minimal") ? "low" : thinking.effort());
    }
  }

  private static void display(ObjectNode json, Thinking thinking) {
    if (thinking.show() != null) {
      json.put("display", thinking.show() ? "summarized" : "omitted");
    }
  }

  private void format(OutputFormat format, ObjectNode output) throws RefusedException {
    switch (format) {
      case OutputFormat.Plain plain -> {}
      case OutputFormat.JsonObject object -> throw target.refusal("response_format");
      case OutputFormat.JsonSchema schema -> {
        ObjectNode json = output.putObject("format").put("type", "json_schema");
        json.set("schema", schema.schema());
      }
    }
  }

  /** System's words at the beginning stand apart; turns of one role in a row become one. */
  private void messages(List<Message> messages) throws RefusedException {
    List<Part> system = new ArrayList<>();
    int first = 0;
    while (first < messages.size() && messages.get(first).role() == Message.Role.SYSTEM) {
      system.addAll(messages.get(first++).parts());
    }
    if (!system.isEmpty()) {
      out.set("system", blocks(system, "system"));
    }
    ArrayNode list = out.putArray("messages");
    Message.@Nullable Role last = null;
    for (int i = first; i < messages.size(); i++) {
      Message message = messages.get(i);
      String path = "messages[" + i + "]";
      target.refuseIf(message.name() != null, path + ".name");
      ArrayNode blocks = blocks(ordered(message), path);
      if (message.role() == last) {
        ((ArrayNode) list.get(list.size() - 1).path("content")).addAll(blocks);
      } else {
        ObjectNode json = list.addObject();
        json.put("role", message.role().name().toLowerCase(java.util.Locale.ROOT));
        json.set("content", blocks);
      }
      last = message.role();
    }
  }

  /** Results of tools come first in the user's turn. */
  private static List<Part> ordered(Message message) {
    if (message.role() != Message.Role.USER) {
      return Seals.detach(message.parts());
    }
    List<Part> ordered = new ArrayList<>();
    message.parts().stream().filter(Part.ToolResult.class::isInstance).forEach(ordered::add);
    message.parts().stream().filter(p -> !(p instanceof Part.ToolResult)).forEach(ordered::add);
    return ordered;
  }

  private ArrayNode blocks(List<Part> parts, String path) throws RefusedException {
    ArrayNode blocks = Json.array();
    for (Part part : parts) {
      block(part, blocks, path);
    }
    return blocks;
  }

  private void block(Part part, ArrayNode blocks, String path) throws RefusedException {
    switch (part) {
      case Part.Text text -> {
        if (!text.text().isEmpty()) { // Anthropic refuses empty blocks
          ObjectNode json = blocks.addObject().put("type", "text").put("text", text.text());
          if (text.cacheControl() != null) {
            json.set("cache_control", text.cacheControl());
          }
        }
      }
      case Part.Refusal refusal ->
          blocks.addObject().put("type", "text").put("text", refusal.text());
      case Part.Media media -> media(media, blocks, path);
      case Part.Reasoning thought -> reasoning(thought, blocks);
      case Part.ToolCall call -> {
        ObjectNode json = blocks.addObject().put("type", "tool_use");
        json.put("id", AnthropicTranslator.callId(call.id())).put("name", call.name());
        json.set("input", input(call, path));
      }
      case Part.ToolResult result -> {
        ObjectNode json = blocks.addObject().put("type", "tool_result");
        json.put("tool_use_id", AnthropicTranslator.callId(result.callId()));
        if (!result.content().isEmpty()) {
          json.set("content", blocks(result.content(), path));
        }
        if (result.isError()) {
          json.put("is_error", true);
        }
      }
    }
  }

  static JsonNode input(Part.ToolCall call, String path) throws RefusedException {
    try {
      JsonNode input = Json.parse(call.arguments().getBytes(UTF_8));
      if (input.isObject()) {
        return input;
      }
    } catch (Json.MalformedJsonException e) {
      // Said below: only an object will do.
    }
    throw new RefusedException(
        "invalid_value", "'" + path + "': a tool call's arguments must be a JSON object.", path);
  }

  /** Only Anthropic's own thoughts mean anything to it; it refuses any other. */
  private void reasoning(Part.Reasoning thought, ArrayNode blocks) {
    Seal seal = thought.seal();
    if (seal != null && seal.origin() == Seal.Origin.ANTHROPIC) {
      ObjectNode json = blocks.addObject().put("type", "thinking");
      json.put("thinking", thought.text()).put("signature", seal.data());
    } else if (seal != null && seal.origin() == Seal.Origin.ANTHROPIC_REDACTED) {
      blocks.addObject().put("type", "redacted_thinking").put("data", seal.data());
    } else {
      target.drop("reasoning");
    }
  }

  private void media(Part.Media media, ArrayNode blocks, String path) throws RefusedException {
    String type =
        switch (media.kind()) {
          case IMAGE -> "image";
          case DOCUMENT -> "document";
          case AUDIO -> throw target.refusal(path);
        };
    ObjectNode json = blocks.addObject().put("type", type);
    ObjectNode source = json.putObject("source");
    if (media.data() != null) {
      source.put("type", "base64");
      source.put("media_type", media.mimeType());
      source.put("data", media.data());
    } else {
      source.put("type", "url").put("url", media.url());
    }
    if (media.name() != null && media.kind() == Part.MediaKind.DOCUMENT) {
      json.put("title", media.name());
    }
    target.dropIf(media.detail() != null, "detail");
  }
}
