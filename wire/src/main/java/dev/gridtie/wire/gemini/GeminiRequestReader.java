package dev.gridtie.wire.gemini;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Costs;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Sampling;
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.ToolChoice;
import dev.gridtie.wire.chat.ToolSpec;
import dev.gridtie.wire.chat.Translator.Call;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Reads {@code POST …:generateContent} and {@code …:streamGenerateContent}. */
final class GeminiRequestReader {
  private static final int CONTENTS_MAX = 4096;
  private static final int TOOLS_MAX = 512;
  private static final int STOPS_MAX = 16;

  private GeminiRequestReader() {}

  static ChatRequest read(JsonNode json, Call call) throws RefusedException {
    Fields in = Fields.root(json.isObject() ? Costs.camel(json, "") : json);
    GeminiParts parts = new GeminiParts("call_");
    List<Message> messages = new ArrayList<>();
    Fields system = in.object("systemInstruction");
    if (system != null) {
      messages.add(new Message(Message.Role.SYSTEM, parts.read(system)));
    }
    List<Fields> contents = in.objects("contents", CONTENTS_MAX);
    if (contents.isEmpty()) {
      throw new RefusedException(
          "missing_required_parameter",
          "'contents' must be a list of at least one turn.",
          "contents");
    }
    for (Fields content : contents) {
      messages.add(content(content, parts));
    }
    List<ToolSpec> tools = new ArrayList<>();
    for (Fields tool : in.objects("tools", TOOLS_MAX)) {
      for (Fields function :
          tool.objects(tool.first("functionDeclarations", "function_declarations"), TOOLS_MAX)) {
        tools.add(tool(function));
      }
      tool.refuseRest(
          java.util.Set.of(), key -> "is a vendor's own tool, which does not cross to others.");
    }
    Fields config = camel(in, "generationConfig");
    Map<String, JsonNode> others = new LinkedHashMap<>();
    Sampling sampling = Sampling.UNSAID;
    OutputFormat format = new OutputFormat.Plain();
    Thinking thinking = Thinking.UNSAID;
    if (config != null) {
      sampling = sampling(config);
      format = format(config);
      thinking = thinking(config);
      modalities(config);
      config.rest().forEach((key, value) -> others.put("generationConfig." + key, value));
    }
    Fields toolConfig = in.object("toolConfig");
    ToolChoice choice = toolConfig == null ? new ToolChoice.Auto() : toolChoice(toolConfig);
    if (!call.model().isEmpty()) {
      JsonNode unused = in.raw("model"); // the URL names it
    }
    others.putAll(in.rest());
    return new ChatRequest(
        call.model().isEmpty() ? in.requiredText("model") : call.model(),
        messages,
        sampling,
        tools,
        choice,
        null,
        format,
        thinking,
        null,
        null,
        call.stream(),
        true,
        Dialect.GEMINI,
        others);
  }

  /** An object whose fields may be in snake case too. */
  private static @Nullable Fields camel(Fields in, String key) throws RefusedException {
    JsonNode json = in.rawOrNull(key);
    return json == null
        ? null
        : Fields.of(json.isObject() ? Costs.camel(json, in.path(key)) : json, in.path(key));
  }

  private static void modalities(Fields config) throws RefusedException {
    for (String modality : config.texts("responseModalities", 8)) {
      if (!modality.equalsIgnoreCase("TEXT")) {
        throw config.unsupported("responseModalities", "can only be TEXT.");
      }
    }
  }

  private static Message content(Fields in, GeminiParts parts) throws RefusedException {
    String role = in.text("role");
    return switch (role == null ? "user" : role) {
      case "user", "function" -> new Message(Message.Role.USER, parts.read(in));
      case "model" -> new Message(Message.Role.ASSISTANT, parts.read(in));
      default -> throw in.wrongValue("role", "must be user or model.");
    };
  }

  private static ToolSpec tool(Fields in) throws RefusedException {
    JsonNode own = in.rawOrNull("parameters");
    JsonNode plain = in.rawOrNull(in.first("parametersJsonSchema", "parameters_json_schema"));
    JsonNode schema = plain != null ? plain : own == null ? null : GeminiSchemas.toJsonSchema(own);
    if (schema == null) {
      var empty = Json.object().put("type", "object");
      empty.putObject("properties");
      schema = empty;
    }
    return new ToolSpec(in.requiredText("name"), in.text("description"), schema, null, null);
  }

  private static Sampling sampling(Fields in) throws RefusedException {
    Boolean logprobs = in.flag("responseLogprobs");
    Integer top = in.whole("logprobs", 0);
    Integer candidates = in.whole("candidateCount", 1);
    return new Sampling(
        in.whole("maxOutputTokens", 1),
        in.number("temperature", 0, 2),
        in.number("topP", 0, 1),
        in.whole("topK", 0),
        null,
        null,
        in.number("frequencyPenalty", -2, 2),
        in.number("presencePenalty", -2, 2),
        null,
        in.wholeLong("seed"),
        candidates == null ? 1 : candidates,
        in.texts("stopSequences", STOPS_MAX),
        Boolean.TRUE.equals(logprobs) ? Integer.valueOf(top == null ? 0 : top) : null,
        null);
  }

  private static OutputFormat format(Fields in) throws RefusedException {
    String mime = in.text("responseMimeType");
    JsonNode own = in.rawOrNull("responseSchema");
    JsonNode plain = in.rawOrNull("responseJsonSchema");
    if (mime == null || mime.equals("text/plain")) {
      return new OutputFormat.Plain();
    }
    if (!mime.equals("application/json")) {
      throw in.unsupported("responseMimeType", "must be text/plain or application/json.");
    }
    if (own == null && plain == null) {
      return new OutputFormat.JsonObject();
    }
    JsonNode schema =
        plain != null ? plain : GeminiSchemas.toJsonSchema(own == null ? Json.object() : own);
    return new OutputFormat.JsonSchema("answer", null, schema, null);
  }

  private static Thinking thinking(Fields in) throws RefusedException {
    Fields config = camel(in, "thinkingConfig");
    if (config == null) {
      return Thinking.UNSAID;
    }
    String level = config.text("thinkingLevel");
    Integer budget = config.whole("thinkingBudget", -1);
    return new Thinking(
        level == null ? null : level.toLowerCase(Locale.ROOT),
        budget,
        config.flag("includeThoughts"));
  }

  private static ToolChoice toolChoice(Fields in) throws RefusedException {
    Fields config = in.object(in.first("functionCallingConfig", "function_calling_config"));
    String mode = config == null ? null : config.text("mode");
    if (config == null || mode == null) {
      return new ToolChoice.Auto();
    }
    List<String> names = config.texts("allowedFunctionNames", TOOLS_MAX);
    return switch (mode.toUpperCase(Locale.ROOT)) {
      case "AUTO", "VALIDATED", "MODE_UNSPECIFIED" -> new ToolChoice.Auto();
      case "NONE" -> new ToolChoice.None();
      case "ANY" -> names.isEmpty() ? new ToolChoice.Required() : new ToolChoice.Named(names);
      default -> throw config.wrongValue("mode", "must be AUTO, ANY or NONE.");
    };
  }
}
