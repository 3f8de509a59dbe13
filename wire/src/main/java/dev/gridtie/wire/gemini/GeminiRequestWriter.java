package dev.gridtie.wire.gemini;

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
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.ToolChoice;
import dev.gridtie.wire.chat.ToolSpec;
import dev.gridtie.wire.chat.Translator.Written;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes {@code POST …:generateContent}; the model's name and the stream are in the URL. */
final class GeminiRequestWriter {
  private final Expressible target = new Expressible(Dialect.GEMINI);
  private final ObjectNode out = Json.object();
  private final ObjectNode config = Json.object();

  /** The name of each call, for results that do not say. */
  private final Map<String, String> names = new HashMap<>();

  Written write(ChatRequest request) throws RefusedException {
    contents(request.messages());
    sampling(request.sampling());
    tools(request);
    format(request.format());
    thinking(request.thinking());
    target.refuseIf(Boolean.FALSE.equals(request.parallelTools()), "parallel_tool_calls");
    target.refuseIf(request.verbosity() != null, "verbosity");
    target.dropIf(request.user() != null, "user");
    target.others(request);
    if (request.source() == Dialect.GEMINI) {
      request.others().forEach(this::own);
    }
    if (!config.isEmpty()) {
      out.set("generationConfig", config);
    }
    return new Written(out, target.dropped());
  }

  private void own(String key, JsonNode value) {
    if (key.startsWith("generationConfig.")) {
      config.set(key.substring("generationConfig.".length()), value);
    } else {
      out.set(key, value);
    }
  }

  private void sampling(Sampling s) throws RefusedException {
    if (s.maxTokens() != null) {
      config.put("maxOutputTokens", s.maxTokens());
    }
    number("temperature", s.temperature());
    number("topP", s.topP());
    if (s.topK() != null && s.topK() > 0) {
      config.put("topK", s.topK());
    }
    number("frequencyPenalty", s.frequencyPenalty());
    number("presencePenalty", s.presencePenalty());
    if (s.seed() != null) {
      boolean fits = s.seed() == (int) (long) s.seed();
      target.dropIf(!fits, "seed");
      if (fits) {
        config.put("seed", s.seed());
      }
    }
    if (!s.stop().isEmpty()) {
      ArrayNode stops = config.putArray("stopSequences");
      s.stop().forEach(stops::add);
    }
    if (s.choices() > 1) {
      config.put("candidateCount", s.choices());
    }
    if (s.logprobs() != null) {
      config.put("responseLogprobs", true).put("logprobs", s.logprobs());
    }
    target.refuseIf(s.minP() != null && s.minP() != 0, "min_p");
    target.refuseIf(s.topA() != null && s.topA() != 0, "top_a");
    target.refuseIf(
        s.repetitionPenalty() != null && s.repetitionPenalty() != 1, "repetition_penalty");
    target.refuseIf(s.logitBias() != null, "logit_bias");
  }

  private void number(String key, @Nullable Double value) {
    if (value != null) {
      config.put(key, value);
    }
  }

  private void tools(ChatRequest request) {
    if (request.tools().isEmpty()) {
      return;
    }
    ArrayNode functions = out.putArray("tools").addObject().putArray("functionDeclarations");
    for (ToolSpec tool : request.tools()) {
      ObjectNode json = functions.addObject().put("name", tool.name());
      if (tool.description() != null) {
        json.put("description", tool.description());
      }
      json.set("parametersJsonSchema", tool.parameters());
      target.dropIf(tool.strict() != null, "strict");
      target.dropIf(tool.cacheControl() != null, "cache_control");
    }
    switch (request.toolChoice()) {
      case ToolChoice.Auto auto -> {}
      case ToolChoice.None none -> calling("NONE");
      case ToolChoice.Required required -> calling("ANY");
      case ToolChoice.Named named -> {
        ArrayNode allowed = calling("ANY").putArray("allowedFunctionNames");
        named.names().forEach(allowed::add);
      }
    }
  }

  private ObjectNode calling(String mode) {
    return out.putObject("toolConfig").putObject("functionCallingConfig").put("mode", mode);
  }

  private void format(OutputFormat format) {
    switch (format) {
      case OutputFormat.Plain plain -> {}
      case OutputFormat.JsonObject object -> config.put("responseMimeType", "application/json");
      case OutputFormat.JsonSchema schema -> {
        config.put("responseMimeType", "application/json");
        config.set("responseJsonSchema", schema.schema());
        target.dropIf(schema.strict() != null, "strict");
      }
    }
  }

  private void thinking(Thinking thinking) {
    if (thinking.equals(Thinking.UNSAID)) {
      return;
    }
    ObjectNode json = Json.object();
    String effort = thinking.effort();
    if (thinking.budgetTokens() != null) {
      json.put("thinkingBudget", thinking.budgetTokens());
    } else if (effort != null && effort.equals("none")) {
      json.put("thinkingBudget", 0);
    } else if (effort != null) {
      String level =
          switch (effort) {
            case "xhigh", "max" -> "HIGH";
            default -> effort.toUpperCase(Locale.ROOT);
          };
      json.put("thinkingLevel", level);
    }
    if (thinking.isAsked() || thinking.show() != null) {
      json.put("includeThoughts", !Boolean.FALSE.equals(thinking.show()));
    }
    config.set("thinkingConfig", json);
  }

  private void contents(List<Message> messages) throws RefusedException {
    ArrayNode system = Json.array();
    ArrayNode contents = out.putArray("contents");
    String last = "";
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      String path = "messages[" + i + "]";
      target.refuseIf(message.name() != null, path + ".name");
      if (message.role() == Message.Role.SYSTEM) {
        system.addAll(parts(message, path));
        continue;
      }
      String role = message.role() == Message.Role.USER ? "user" : "model";
      ArrayNode parts = parts(message, path);
      if (parts.isEmpty()) {
        continue;
      }
      if (role.equals(last)) {
        ((ArrayNode) contents.get(contents.size() - 1).path("parts")).addAll(parts);
      } else {
        contents.addObject().put("role", role).set("parts", parts);
      }
      last = role;
    }
    if (!system.isEmpty()) {
      out.putObject("systemInstruction").set("parts", system);
    }
  }

  private ArrayNode parts(Message message, String path) throws RefusedException {
    ArrayNode parts = Json.array();
    boolean firstCall = true;
    for (Part part : message.parts()) {
      switch (part) {
        case Part.ToolCall call -> {
          names.put(call.id(), call.name());
          parts.add(call(call, firstCall, path));
          firstCall = false;
        }
        case Part.ToolResult result -> result(result, parts, path);
        case Part.Reasoning thought -> reasoning(thought, parts);
        case Part.Media media -> {
          target.dropIf(media.detail() != null, "detail");
          parts.add(GeminiParts.media(media));
        }
        case Part.Text text -> {
          target.dropIf(text.cacheControl() != null, "cache_control");
          Seal seal = text.seal();
          boolean own = seal != null && seal.origin() == Seal.Origin.GEMINI;
          ObjectNode json = Json.object().put("text", text.text());
          parts.add(GeminiParts.sealed(json, own ? seal : null));
        }
        case Part.Refusal refusal -> parts.addObject().put("text", refusal.text());
      }
    }
    return parts;
  }

  private static ObjectNode call(Part.ToolCall call, boolean first, String path)
      throws RefusedException {
    JsonNode arguments;
    try {
      arguments = Json.parse(call.arguments().getBytes(UTF_8));
    } catch (Json.MalformedJsonException e) {
      arguments = Json.array();
    }
    if (!arguments.isObject()) {
      throw new RefusedException(
          "invalid_value", "'" + path + "': a tool call's arguments must be a JSON object.", path);
    }
    ObjectNode json = Json.object();
    ObjectNode function = json.putObject("functionCall").put("id", call.id());
    function.put("name", call.name()).set("args", arguments);
    Seal seal = call.seal();
    if (seal != null && seal.origin() == Seal.Origin.GEMINI) {
      json.put("thoughtSignature", seal.data());
    } else if (first) {
      // Gemini 3 wants one on the first call of a step, and names this one for calls that it did
      // not make itself.
      json.put("thoughtSignature", GeminiParts.NO_SIGNATURE);
    }
    return json;
  }

  private void result(Part.ToolResult result, ArrayNode parts, String path)
      throws RefusedException {
    String name = result.name().isEmpty() ? names.get(result.callId()) : result.name();
    if (name == null) {
      throw new RefusedException(
          "invalid_value", "'" + path + "' answers no tool call before it.", path);
    }
    List<Part> media = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    for (Part part : result.content()) {
      if (part instanceof Part.Text t) {
        text.append(t.text());
      } else {
        media.add(part);
      }
    }
    ObjectNode json = parts.addObject().putObject("functionResponse");
    json.put("id", result.callId()).put("name", name);
    json.set("response", GeminiParts.response(text.toString(), result.isError()));
    media.forEach(m -> parts.add(GeminiParts.media((Part.Media) m)));
  }

  /** Only Gemini's own thoughts mean anything to it. */
  private void reasoning(Part.Reasoning thought, ArrayNode parts) {
    Seal seal = thought.seal();
    if (seal != null && seal.origin() == Seal.Origin.GEMINI && seal.id() == null) {
      GeminiParts.addIfAny(parts, GeminiParts.write(thought, true));
    } else {
      target.drop("reasoning");
    }
  }
}
