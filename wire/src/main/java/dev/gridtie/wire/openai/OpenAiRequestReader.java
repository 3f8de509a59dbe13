package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Costs;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Sampling;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.ToolChoice;
import dev.gridtie.wire.chat.ToolSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Reads {@code POST /v1/chat/completions} (OpenAI, with OpenRouter's additions). */
final class OpenAiRequestReader {
  /** The most messages in one conversation. */
  static final int MESSAGES_MAX = 4096;

  static final int PARTS_MAX = 1024;
  static final int TOOLS_MAX = 512;

  /** The most stop texts, as OpenAI has it. */
  static final int STOPS_MAX = 4;

  /** The longest stop text, in characters. */
  static final int STOP_LENGTH_MAX = 256;

  private OpenAiRequestReader() {}

  static ChatRequest read(JsonNode json) throws RefusedException {
    Fields in = Fields.root(json);
    String model = in.requiredText("model");
    List<Message> messages = messages(in);
    Sampling sampling = sampling(in);
    List<ToolSpec> tools = new ArrayList<>();
    for (Fields tool : in.objects("tools", TOOLS_MAX)) {
      tools.add(tool(tool));
    }
    ToolChoice choice = toolChoice(in);
    Boolean parallel = in.flag("parallel_tool_calls");
    OutputFormat format = format(in);
    Thinking thinking = thinking(in);
    String verbosity = in.text("verbosity");
    String user = in.text("user");
    boolean stream = in.isTrue("stream");
    Fields options = in.object("stream_options");
    boolean usage = options != null && options.isTrue("include_usage");
    return new ChatRequest(
        model,
        messages,
        sampling,
        tools,
        choice,
        parallel,
        format,
        thinking,
        verbosity,
        user,
        stream,
        usage,
        Dialect.OPENAI,
        in.rest());
  }

  private static Sampling sampling(Fields in) throws RefusedException {
    Integer maxTokens = in.whole("max_completion_tokens", 1);
    Integer legacy = in.whole("max_tokens", 1);
    if (maxTokens != null && legacy != null && !maxTokens.equals(legacy)) {
      throw Costs.differ();
    }
    Double topP = in.number("top_p", 0, 1);
    Integer choices = in.whole("n", 1);
    Boolean logprobs = in.flag("logprobs");
    Integer top = in.whole("top_logprobs", 0);
    JsonNode bias = in.rawOrNull("logit_bias");
    return new Sampling(
        maxTokens == null ? legacy : maxTokens,
        in.number("temperature", 0, 2),
        topP,
        in.whole("top_k", 0),
        in.number("min_p", 0, 1),
        in.number("top_a", 0, 1),
        in.number("frequency_penalty", -2, 2),
        in.number("presence_penalty", -2, 2),
        in.number("repetition_penalty", 0, 2),
        in.wholeLong("seed"),
        choices == null ? 1 : choices,
        stops(in),
        Boolean.TRUE.equals(logprobs) ? Integer.valueOf(top == null ? 0 : top) : null,
        bias == null || bias.isEmpty() ? null : bias);
  }

  private static List<String> stops(Fields in) throws RefusedException {
    List<String> stops = in.texts("stop", STOPS_MAX);
    for (String stop : stops) {
      if (stop.isEmpty() || stop.length() > STOP_LENGTH_MAX) {
        throw in.wrongValue("stop", "must hold texts of 1 to " + STOP_LENGTH_MAX + " characters.");
      }
    }
    return stops;
  }

  private static ToolSpec tool(Fields tool) throws RefusedException {
    String type = tool.requiredText("type");
    if (!type.equals("function")) {
      throw tool.unsupported("type", "is '" + Fields.clip(type) + "'; only functions are taken.");
    }
    Fields function = tool.object("function");
    if (function == null) {
      throw tool.wrongType("function", "an object");
    }
    JsonNode parameters = function.rawOrNull("parameters");
    return new ToolSpec(
        function.requiredText("name"),
        function.text("description"),
        parameters == null ? emptySchema() : parameters,
        function.flag("strict"),
        tool.rawOrNull("cache_control"));
  }

  static JsonNode emptySchema() {
    var schema = Json.object().put("type", "object");
    schema.putObject("properties");
    return schema;
  }

  private static ToolChoice toolChoice(Fields in) throws RefusedException {
    JsonNode choice = in.raw("tool_choice");
    if (choice.isMissingNode()) {
      return new ToolChoice.Auto();
    }
    if (choice.isString()) {
      return switch (choice.stringValue()) {
        case "auto" -> new ToolChoice.Auto();
        case "none" -> new ToolChoice.None();
        case "required" -> new ToolChoice.Required();
        default ->
            throw in.wrongValue("tool_choice", "must be auto, none, required or a function.");
      };
    }
    Fields named = Fields.of(choice, "tool_choice");
    if ("function".equals(named.text("type"))) {
      Fields function = named.object("function");
      if (function != null) {
        return new ToolChoice.Named(List.of(function.requiredText("name")));
      }
    }
    if ("allowed_tools".equals(named.text("type"))) {
      Fields allowed = named.object("allowed_tools");
      if (allowed != null && "required".equals(allowed.text("mode"))) {
        List<String> names = new ArrayList<>();
        for (Fields each : allowed.objects("tools", TOOLS_MAX)) {
          Fields function = each.object("function");
          names.add(function == null ? each.requiredText("name") : function.requiredText("name"));
        }
        return new ToolChoice.Named(names);
      }
    }
    throw in.wrongValue("tool_choice", "must be auto, none, required or a function.");
  }

  private static OutputFormat format(Fields in) throws RefusedException {
    Fields format = in.object("response_format");
    if (format == null) {
      return new OutputFormat.Plain();
    }
    String type = format.requiredText("type");
    return switch (type) {
      case "text" -> new OutputFormat.Plain();
      case "json_object" -> new OutputFormat.JsonObject();
      case "json_schema" -> {
        Fields schema = format.object("json_schema");
        if (schema == null) {
          throw format.wrongType("json_schema", "an object");
        }
        JsonNode definition = schema.rawOrNull("schema");
        yield new OutputFormat.JsonSchema(
            schema.requiredText("name"),
            schema.text("description"),
            definition == null ? Json.object() : definition,
            schema.flag("strict"));
      }
      default ->
          throw format.unsupported(
              "type", "is '" + Fields.clip(type) + "'; text, json_object and json_schema are.");
    };
  }

  private static Thinking thinking(Fields in) throws RefusedException {
    String effort = in.text("reasoning_effort");
    Boolean include = in.flag("include_reasoning");
    Fields reasoning = in.object("reasoning");
    if (reasoning == null) {
      return new Thinking(effort, null, include);
    }
    String own = reasoning.text("effort");
    Integer budget = reasoning.whole("max_tokens", 0);
    Boolean exclude = reasoning.flag("exclude");
    Boolean enabled = reasoning.flag("enabled");
    String summary = reasoning.text("summary");
    String wanted = own == null ? effort : own;
    if (wanted == null && budget == null && enabled != null) {
      wanted = enabled ? "medium" : "none";
    }
    Boolean show = include;
    if (exclude != null) {
      show = !exclude;
    } else if (summary != null) {
      show = true;
    }
    return new Thinking(wanted, budget, show);
  }

  private static List<Message> messages(Fields in) throws RefusedException {
    List<Fields> list = in.objects("messages", MESSAGES_MAX);
    if (list.isEmpty()) {
      throw new RefusedException(
          "missing_required_parameter",
          "'messages' must be a list of at least one message.",
          "messages");
    }
    List<Message> messages = new ArrayList<>();
    List<Part> results = new ArrayList<>(); // of tools, in a row: one turn together
    for (Fields one : list) {
      String role = one.requiredText("role");
      if (role.equals("tool")) {
        results.add(toolResult(one));
      } else {
        endTurn(results, messages);
        messages.add(message(one, role));
      }
    }
    endTurn(results, messages);
    return messages;
  }

  private static void endTurn(List<Part> results, List<Message> messages) {
    if (!results.isEmpty()) {
      messages.add(new Message(Message.Role.USER, List.copyOf(results)));
      results.clear();
    }
  }

  private static Message message(Fields in, String role) throws RefusedException {
    String name = in.text("name");
    switch (role) {
      case "system", "developer" -> {
        return new Message(Message.Role.SYSTEM, content(in), name);
      }
      case "user" -> {
        return new Message(Message.Role.USER, content(in), name);
      }
      case "assistant" -> {
        return new Message(Message.Role.ASSISTANT, assistant(in), name);
      }
      default ->
          throw in.wrongValue(
              "role",
              "is '"
                  + Fields.clip(role)
                  + "'; it must be system, developer, user, assistant or tool.");
    }
  }

  private static Part toolResult(Fields in) throws RefusedException {
    String name = in.text("name");
    return new Part.ToolResult(
        in.requiredText("tool_call_id"), name == null ? "" : name, content(in), false);
  }

  private static List<Part> assistant(Fields in) throws RefusedException {
    List<Part> parts = new ArrayList<>(ReasoningDetails.read(in));
    if (in.has("content")) {
      parts.addAll(content(in));
    }
    String refusal = in.text("refusal");
    if (refusal != null) {
      parts.add(new Part.Refusal(refusal));
    }
    Seal seal = googleSeal(in);
    if (seal != null && !parts.isEmpty() && parts.getLast() instanceof Part.Text last) {
      parts.set(parts.size() - 1, new Part.Text(last.text(), seal, last.cacheControl()));
    }
    for (Fields call : in.objects("tool_calls", TOOLS_MAX)) {
      Fields function = call.object("function");
      if (function == null) {
        throw call.unsupported("type", "is not a function's call; only those are taken.");
      }
      String arguments = function.text("arguments");
      parts.add(
          new Part.ToolCall(
              call.requiredText("id"),
              function.requiredText("name"),
              arguments == null || arguments.isEmpty() ? "{}" : arguments,
              googleSeal(call)));
    }
    if (in.has("function_call")) {
      throw in.unsupported("function_call", "is the old form; send 'tool_calls'.");
    }
    return parts;
  }

  /** Google's OpenAI-compatible carrier of a thought signature. */
  static @Nullable Seal googleSeal(Fields in) throws RefusedException {
    Fields extra = in.object("extra_content");
    Fields google = extra == null ? null : extra.object("google");
    String signature = google == null ? null : google.text("thought_signature");
    return signature == null ? null : Seal.read(Seal.Origin.GEMINI, signature, null);
  }

  private static List<Part> content(Fields in) throws RefusedException {
    JsonNode content = in.raw("content");
    if (content.isString()) {
      return List.of(new Part.Text(content.stringValue()));
    }
    if (!content.isArray()) {
      throw in.wrongType("content", "a text or a list of parts");
    }
    List<Part> parts = new ArrayList<>();
    for (Fields part : in.objects("content", PARTS_MAX)) {
      parts.add(part(part));
    }
    return parts;
  }

  private static final Set<String> TEXT_TYPES = Set.of("text", "input_text", "output_text");

  private static Part part(Fields in) throws RefusedException {
    String type = in.requiredText("type");
    if (TEXT_TYPES.contains(type)) {
      String text = in.text("text");
      if (text == null) {
        throw in.wrongType("text", "a text");
      }
      return new Part.Text(text, null, in.rawOrNull("cache_control"));
    }
    switch (type) {
      case "refusal" -> {
        return new Part.Refusal(String.valueOf(in.text("refusal")));
      }
      case "image_url" -> {
        Fields image = in.object("image_url");
        if (image == null) {
          throw in.wrongType("image_url", "an object with 'url'");
        }
        return Medias.fromUrl(
            Part.MediaKind.IMAGE, image.requiredText("url"), null, Medias.detail(image));
      }
      case "input_audio" -> {
        Fields audio = in.object("input_audio");
        if (audio == null) {
          throw in.wrongType("input_audio", "an object with 'data' and 'format'");
        }
        return new Part.Media(
            Part.MediaKind.AUDIO,
            "audio/" + audio.requiredText("format"),
            audio.requiredText("data"),
            null,
            null,
            null);
      }
      case "file" -> {
        Fields file = in.object("file");
        String data = file == null ? null : file.text("file_data");
        if (file == null || data == null) {
          throw in.unsupported("file", "must carry 'file_data'; stored files are not known here.");
        }
        return Medias.fromUrl(Part.MediaKind.DOCUMENT, data, file.text("filename"), null);
      }
      default ->
          throw new RefusedException(
              "unsupported_content",
              "'" + in.path() + "' is of type '" + Fields.clip(type) + "', which is not taken.",
              in.path());
    }
  }
}
