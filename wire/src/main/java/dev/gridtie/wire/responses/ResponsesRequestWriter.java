package dev.gridtie.wire.responses;

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
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.ToolChoice;
import dev.gridtie.wire.chat.ToolSpec;
import dev.gridtie.wire.chat.Translator.Written;
import dev.gridtie.wire.openai.Medias;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes {@code POST /v1/responses}, asking the server to keep nothing. */
final class ResponsesRequestWriter {
  private final Expressible target = new Expressible(Dialect.RESPONSES);
  private final ObjectNode out = Json.object();
  private boolean sealed;

  Written write(ChatRequest request) throws RefusedException {
    out.put("model", request.model());
    ArrayNode input = Json.array();
    for (int i = 0; i < request.messages().size(); i++) {
      message(request.messages().get(i), input, "messages[" + i + "]", i == 0);
    }
    out.set("input", input);
    sampling(request.sampling());
    tools(request);
    text(request);
    thinking(request.thinking());
    out.put("store", false);
    if (sealed || request.thinking().isAsked()) {
      out.putArray("include").add("reasoning.encrypted_content");
    }
    if (request.user() != null) {
      out.put("user", request.user());
    }
    if (request.stream()) {
      out.put("stream", true);
    }
    target.others(request);
    if (request.source() == Dialect.RESPONSES) {
      request.others().forEach(out::set);
    }
    return new Written(out, target.dropped());
  }

  private void sampling(Sampling s) throws RefusedException {
    if (s.maxTokens() != null) {
      out.put("max_output_tokens", Math.max(s.maxTokens(), MAX_OUTPUT_TOKENS_MIN));
    }
    if (s.temperature() != null) {
      out.put("temperature", s.temperature());
    }
    if (s.topP() != null) {
      out.put("top_p", s.topP());
    }
    target.refuseIf(!s.stop().isEmpty(), "stop");
    target.refuseIf(s.topK() != null && s.topK() != 0, "top_k");
    target.plainSampling(s);
  }

  /** The least limit that OpenAI takes here. */
  private static final int MAX_OUTPUT_TOKENS_MIN = 16;

  private void tools(ChatRequest request) {
    if (request.tools().isEmpty()) {
      return;
    }
    ArrayNode tools = out.putArray("tools");
    for (ToolSpec tool : request.tools()) {
      ObjectNode json = tools.addObject().put("type", "function").put("name", tool.name());
      if (tool.description() != null) {
        json.put("description", tool.description());
      }
      json.set("parameters", tool.parameters());
      // Left out, it would be true here, and false everywhere else.
      json.put("strict", Boolean.TRUE.equals(tool.strict()));
      target.dropIf(tool.cacheControl() != null, "cache_control");
    }
    switch (request.toolChoice()) {
      case ToolChoice.Auto auto -> {}
      case ToolChoice.None none -> out.put("tool_choice", "none");
      case ToolChoice.Required required -> out.put("tool_choice", "required");
      case ToolChoice.Named named -> {
        if (named.names().size() == 1) {
          ObjectNode choice = out.putObject("tool_choice").put("type", "function");
          choice.put("name", named.names().getFirst());
        } else {
          ObjectNode choice = out.putObject("tool_choice").put("type", "allowed_tools");
          ArrayNode allowed = choice.put("mode", "required").putArray("tools");
          named.names().forEach(n -> allowed.addObject().put("type", "function").put("name", n));
        }
      }
    }
    if (request.parallelTools() != null) {
      out.put("parallel_tool_calls", request.parallelTools());
    }
  }

  private void text(ChatRequest request) {
    ObjectNode text = Json.object();
    switch (request.format()) {
      case OutputFormat.Plain plain -> {}
      case OutputFormat.JsonObject object -> text.putObject("format").put("type", "json_object");
      case OutputFormat.JsonSchema schema -> {
        ObjectNode format = text.putObject("format").put("type", "json_schema");
        format.put("name", schema.name());
        if (schema.description() != null) {
          format.put("description", schema.description());
        }
        format.set("schema", schema.schema());
        if (schema.strict() != null) {
          format.put("strict", schema.strict());
        }
      }
    }
    if (request.verbosity() != null) {
      text.put("verbosity", request.verbosity());
    }
    if (!text.isEmpty()) {
      out.set("text", text);
    }
  }

  private void thinking(Thinking thinking) {
    ObjectNode reasoning = Json.object();
    String effort = thinking.effortOrNearest();
    if (effort != null) {
      reasoning.put("effort", effort.equals("max") ? "xhigh" : effort);
    }
    if (Boolean.TRUE.equals(thinking.show()) || (thinking.isAsked() && thinking.show() == null)) {
      reasoning.put("summary", "auto");
    }
    if (!reasoning.isEmpty()) {
      out.set("reasoning", reasoning);
    }
  }

  private void message(Message message, ArrayNode input, String path, boolean first)
      throws RefusedException {
    target.refuseIf(message.name() != null, path + ".name");
    switch (message.role()) {
      case SYSTEM -> {
        if (first
            && message.parts().size() == 1
            && message.parts().getFirst() instanceof Part.Text only) {
          target.dropIf(only.cacheControl() != null, "cache_control");
          out.put("instructions", only.text());
        } else {
          said(message.parts(), "system", "input_text", input, path);
        }
      }
      case USER -> {
        List<Part> said = new ArrayList<>();
        for (Part part : message.parts()) {
          if (part instanceof Part.ToolResult result) {
            result(result, input, said, path);
          } else {
            said.add(part);
          }
        }
        said(said, "user", "input_text", input, path);
      }
      case ASSISTANT -> assistant(message, input, path);
    }
  }

  private void result(Part.ToolResult result, ArrayNode input, List<Part> said, String path)
      throws RefusedException {
    ObjectNode item = input.addObject().put("type", "function_call_output");
    item.put("call_id", result.callId());
    target.dropIf(result.isError(), "is_error");
    if (result.content().stream().allMatch(Part.Text.class::isInstance)
        && result.content().size() <= 1) {
      item.put("output", new Message(Message.Role.USER, result.content()).text());
    } else {
      item.set("output", content(result.content(), "input_text", path));
    }
  }

  private void assistant(Message message, ArrayNode input, String path) throws RefusedException {
    List<Part> said = new ArrayList<>();
    for (Part part : message.parts()) {
      switch (part) {
        case Part.Reasoning thought -> {
          said(said, "assistant", "output_text", input, path);
          said.clear();
          reasoning(thought, input);
        }
        case Part.ToolCall call -> {
          said(said, "assistant", "output_text", input, path);
          said.clear();
          input
              .addObject()
              .put("type", "function_call")
              .put("call_id", call.id())
              .put("name", call.name())
              .put("arguments", call.arguments());
        }
        default -> said.add(part);
      }
    }
    said(said, "assistant", "output_text", input, path);
  }

  /** Only OpenAI's own thoughts mean anything to it. */
  private void reasoning(Part.Reasoning thought, ArrayNode input) {
    Seal seal = thought.seal();
    if (seal == null || seal.origin() != Seal.Origin.OPENAI) {
      target.drop("reasoning");
      return;
    }
    sealed = true;
    input.add(reasoningItem(thought, seal));
  }

  private static ObjectNode reasoningItem(Part.Reasoning thought, Seal seal) {
    ObjectNode item = Json.object().put("type", "reasoning");
    if (seal.id() != null) {
      item.put("id", seal.id());
    }
    ArrayNode summary = item.putArray("summary");
    if (!thought.text().isEmpty()) {
      summary.addObject().put("type", "summary_text").put("text", thought.text());
    }
    return item.put("encrypted_content", seal.data());
  }

  private void said(List<Part> parts, String role, String textType, ArrayNode input, String path)
      throws RefusedException {
    if (parts.isEmpty()) {
      return;
    }
    ObjectNode item = input.addObject().put("type", "message").put("role", role);
    item.set("content", content(parts, textType, path));
  }

  private ArrayNode content(List<Part> parts, String textType, String path)
      throws RefusedException {
    ArrayNode content = Json.array();
    for (Part part : parts) {
      switch (part) {
        case Part.Text text -> {
          target.dropIf(text.cacheControl() != null, "cache_control");
          content.addObject().put("type", textType).put("text", text.text());
        }
        case Part.Refusal refusal ->
            content.addObject().put("type", "refusal").put("refusal", refusal.text());
        case Part.Media media -> media(media, content, path);
        default -> throw target.refusal(path);
      }
    }
    return content;
  }

  private void media(Part.Media media, ArrayNode content, String path) throws RefusedException {
    switch (media.kind()) {
      case IMAGE -> {
        ObjectNode image = content.addObject().put("type", "input_image");
        image.put("image_url", Medias.toUrl(media));
        image.put("detail", media.detail() == null ? "auto" : media.detail());
      }
      case DOCUMENT -> {
        ObjectNode file = content.addObject().put("type", "input_file");
        if (media.data() == null) {
          file.put("file_url", media.url());
        } else {
          file.put("filename", media.name() == null ? "document" : media.name());
          file.put("file_data", Medias.toUrl(media));
        }
      }
      case AUDIO -> throw target.refusal(path);
    }
  }
}
