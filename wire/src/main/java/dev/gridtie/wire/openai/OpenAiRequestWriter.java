package dev.gridtie.wire.openai;

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
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes {@code POST /v1/chat/completions}. */
final class OpenAiRequestWriter {
  private final boolean extended;
  private final Expressible target = new Expressible(Dialect.OPENAI);
  private final ObjectNode out = Json.object();

  /**
   * @param extended whether the server knows OpenRouter's additions; OpenAI's own refuses fields it
   *     does not know
   */
  OpenAiRequestWriter(boolean extended) {
    this.extended = extended;
  }

  Written write(ChatRequest request) throws RefusedException {
    out.put("model", request.model());
    ArrayNode messages = out.putArray("messages");
    int index = 0;
    for (Message message : request.messages()) {
      write(message, messages, "messages[" + index++ + "]");
    }
    sampling(request.sampling());
    tools(request);
    format(request.format());
    thinking(request.thinking());
    if (request.verbosity() != null) {
      out.put("verbosity", request.verbosity());
    }
    if (request.user() != null) {
      out.put("user", request.user());
    }
    if (request.stream()) {
      out.put("stream", true);
      out.putObject("stream_options").put("include_usage", true);
    }
    target.others(request);
    if (request.source() == Dialect.OPENAI) {
      request
          .others()
          .forEach(
              (key, value) -> {
                if (!Expressible.isRouting(key)) {
                  out.set(key, value);
                }
              });
    }
    return new Written(out, target.dropped());
  }

  private void sampling(Sampling s) throws RefusedException {
    put("max_completion_tokens", s.maxTokens());
    put("temperature", s.temperature());
    put("top_p", s.topP());
    extension("top_k", s.topK(), s.topK() != null && s.topK() == 0);
    extension("min_p", s.minP(), s.minP() != null && s.minP() == 0);
    extension("top_a", s.topA(), s.topA() != null && s.topA() == 0);
    put("frequency_penalty", s.frequencyPenalty());
    put("presence_penalty", s.presencePenalty());
    extension(
        "repetition_penalty",
        s.repetitionPenalty(),
        s.repetitionPenalty() != null && s.repetitionPenalty() == 1);
    if (s.seed() != null) {
      out.put("seed", s.seed());
    }
    if (s.choices() != 1) {
      out.put("n", s.choices());
    }
    if (!s.stop().isEmpty()) {
      ArrayNode stop = out.putArray("stop");
      s.stop().forEach(stop::add);
    }
    if (s.logprobs() != null) {
      out.put("logprobs", true);
      out.put("top_logprobs", s.logprobs());
    }
    if (s.logitBias() != null) {
      out.set("logit_bias", s.logitBias());
    }
  }

  private void put(String key, @org.jspecify.annotations.Nullable Number value) {
    switch (value) {
      case null -> {}
      case Integer i -> out.put(key, i);
      default -> out.put(key, value.doubleValue());
    }
  }

  /** A field that OpenAI's own server does not know. */
  private void extension(
      String key, @org.jspecify.annotations.Nullable Number value, boolean saysNothing)
      throws RefusedException {
    if (extended) {
      put(key, value);
    } else {
      target.refuseIf(value != null && !saysNothing, key);
    }
  }

  private void tools(ChatRequest request) {
    if (request.tools().isEmpty()) {
      return;
    }
    ArrayNode tools = out.putArray("tools");
    for (ToolSpec tool : request.tools()) {
      ObjectNode json = tools.addObject().put("type", "function");
      ObjectNode function = json.putObject("function").put("name", tool.name());
      if (tool.description() != null) {
        function.put("description", tool.description());
      }
      function.set("parameters", tool.parameters());
      if (tool.strict() != null) {
        function.put("strict", tool.strict());
      }
      cacheControl(json, tool.cacheControl());
    }
    switch (request.toolChoice()) {
      case ToolChoice.Auto auto -> {}
      case ToolChoice.None none -> out.put("tool_choice", "none");
      case ToolChoice.Required required -> out.put("tool_choice", "required");
      case ToolChoice.Named named -> out.set("tool_choice", named(named));
    }
    if (request.parallelTools() != null) {
      out.put("parallel_tool_calls", request.parallelTools());
    }
  }

  private static JsonNode named(ToolChoice.Named named) {
    ObjectNode choice = Json.object();
    if (named.names().size() == 1) {
      choice.put("type", "function");
      choice.putObject("function").put("name", named.names().getFirst());
      return choice;
    }
    choice.put("type", "allowed_tools");
    ObjectNode allowed = choice.putObject("allowed_tools").put("mode", "required");
    ArrayNode tools = allowed.putArray("tools");
    for (String name : named.names()) {
      tools.addObject().put("type", "function").putObject("function").put("name", name);
    }
    return choice;
  }

  private void format(OutputFormat format) {
    switch (format) {
      case OutputFormat.Plain plain -> {}
      case OutputFormat.JsonObject object ->
          out.putObject("response_format").put("type", "json_object");
      case OutputFormat.JsonSchema schema -> {
        ObjectNode json = out.putObject("response_format").put("type", "json_schema");
        ObjectNode inner = json.putObject("json_schema").put("name", schema.name());
        if (schema.description() != null) {
          inner.put("description", schema.description());
        }
        inner.set("schema", schema.schema());
        if (schema.strict() != null) {
          inner.put("strict", schema.strict());
        }
      }
    }
  }

  private void thinking(Thinking thinking) {
    if (extended) {
      if (thinking.equals(Thinking.UNSAID)) {
        return;
      }
      ObjectNode reasoning = out.putObject("reasoning");
      if (thinking.budgetTokens() != null && thinking.budgetTokens() >= 0) {
        reasoning.put("max_tokens", thinking.budgetTokens());
      } else if (thinking.effortOrNearest() != null) {
        reasoning.put("effort", thinking.effortOrNearest());
      }
      if (thinking.show() != null) {
        reasoning.put("exclude", !thinking.show());
      }
      return;
    }
    String effort = thinking.effortOrNearest();
    if (effort != null) {
      out.put("reasoning_effort", effort.equals("max") ? "xhigh" : effort);
    }
  }

  private void write(Message message, ArrayNode messages, String path) throws RefusedException {
    switch (message.role()) {
      case SYSTEM -> content(messages.addObject().put("role", "system"), message, path);
      case USER -> user(message, messages, path);
      case ASSISTANT -> assistant(message, messages);
    }
  }

  /** Results of tools are messages of their own, before what the user says. */
  private void user(Message message, ArrayNode messages, String path) throws RefusedException {
    List<Part> said = new ArrayList<>();
    for (Part part : message.parts()) {
      if (part instanceof Part.ToolResult result) {
        toolResult(result, messages, said);
      } else {
        said.add(part);
      }
    }
    if (!said.isEmpty()) {
      content(
          messages.addObject().put("role", "user"),
          new Message(Message.Role.USER, said, message.name()),
          path);
    }
  }

  /** A tool's message holds text alone; media it gave follow in the user's words. */
  private void toolResult(Part.ToolResult result, ArrayNode messages, List<Part> said) {
    ObjectNode json = messages.addObject().put("role", "tool");
    json.put("tool_call_id", result.callId());
    List<Part> texts = new ArrayList<>();
    for (Part part : result.content()) {
      if (part instanceof Part.Text) {
        texts.add(part);
      } else {
        said.add(part);
      }
    }
    String text = new Message(Message.Role.USER, texts).text();
    if (texts.size() <= 1) {
      json.put("content", result.isError() && text.isEmpty() ? "error" : text);
    } else {
      ArrayNode content = json.putArray("content");
      texts.forEach(
          t -> content.addObject().put("type", "text").put("text", ((Part.Text) t).text()));
    }
    target.dropIf(result.isError(), "is_error");
  }

  private void content(ObjectNode json, Message message, String path) throws RefusedException {
    if (message.name() != null) {
      json.put("name", message.name());
    }
    List<Part> parts = message.parts();
    if (parts.size() == 1
        && parts.getFirst() instanceof Part.Text only
        && (only.cacheControl() == null || !extended)) {
      target.dropIf(only.cacheControl() != null, "cache_control");
      json.put("content", only.text());
      return;
    }
    ArrayNode content = json.putArray("content");
    for (Part part : parts) {
      switch (part) {
        case Part.Text text -> {
          ObjectNode one = content.addObject().put("type", "text").put("text", text.text());
          cacheControl(one, text.cacheControl());
        }
        case Part.Media media -> media(content, media, path);
        case Part.Refusal refusal ->
            content.addObject().put("type", "refusal").put("refusal", refusal.text());
        case Part.Reasoning reasoning -> {}
        case Part.ToolCall call -> throw target.refusal(path);
        case Part.ToolResult result -> throw target.refusal(path);
      }
    }
  }

  private void cacheControl(
      ObjectNode json, @org.jspecify.annotations.Nullable JsonNode cacheControl) {
    if (cacheControl == null) {
      return;
    }
    if (extended) {
      json.set("cache_control", cacheControl);
    } else {
      target.drop("cache_control");
    }
  }

  private void media(ArrayNode content, Part.Media media, String path) throws RefusedException {
    switch (media.kind()) {
      case IMAGE -> {
        ObjectNode image = content.addObject().put("type", "image_url").putObject("image_url");
        image.put("url", Medias.toUrl(media));
        if (media.detail() != null) {
          image.put("detail", media.detail());
        }
      }
      case AUDIO -> {
        if (media.data() == null || media.mimeType() == null) {
          throw target.refusal(path);
        }
        ObjectNode audio = content.addObject().put("type", "input_audio").putObject("input_audio");
        audio.put("data", media.data());
        audio.put("format", media.mimeType().replaceFirst("^audio/(x-)?", ""));
      }
      case DOCUMENT -> {
        if (media.data() == null) {
          throw target.refusal(path);
        }
        ObjectNode file = content.addObject().put("type", "file").putObject("file");
        file.put("filename", media.name() == null ? "document" : media.name());
        file.put("file_data", Medias.toUrl(media));
      }
    }
  }

  private void assistant(Message message, ArrayNode messages) {
    ObjectNode json = messages.addObject().put("role", "assistant");
    if (message.name() != null) {
      json.put("name", message.name());
    }
    StringBuilder text = new StringBuilder();
    ArrayNode calls = Json.array();
    ArrayNode details = Json.array();
    StringBuilder refusal = new StringBuilder();
    int thoughts = 0;
    boolean said = false;
    for (Part part : message.parts()) {
      switch (part) {
        case Part.Text p -> {
          text.append(p.text());
          said = true;
          if (p.seal() != null && extended) {
            google(json, p.seal());
          }
        }
        case Part.Refusal p -> refusal.append(p.text());
        case Part.Reasoning p -> details.addAll(ReasoningDetails.write(p, thoughts++));
        case Part.ToolCall p -> {
          ObjectNode call = calls.addObject().put("id", p.id()).put("type", "function");
          call.putObject("function").put("name", p.name()).put("arguments", p.arguments());
          if (p.seal() != null && extended) {
            google(call, p.seal());
          }
        }
        case Part.Media p -> {}
        case Part.ToolResult p -> {}
      }
    }
    if (said || calls.isEmpty()) {
      json.put("content", text.toString());
    } else {
      json.putNull("content");
    }
    if (!refusal.isEmpty()) {
      json.put("refusal", refusal.toString());
    }
    if (!calls.isEmpty()) {
      json.set("tool_calls", calls);
    }
    if (!details.isEmpty() && extended) {
      json.set("reasoning_details", details);
    } else {
      target.dropIf(!details.isEmpty(), "reasoning");
    }
  }

  static void google(ObjectNode json, Seal seal) {
    json.putObject("extra_content")
        .putObject("google")
        .put("thought_signature", seal.in(Seal.Origin.GEMINI));
  }
}
