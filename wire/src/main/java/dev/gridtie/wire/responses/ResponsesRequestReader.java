package dev.gridtie.wire.responses;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.Message.Role;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Sampling;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.Seals;
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.ToolChoice;
import dev.gridtie.wire.chat.ToolSpec;
import dev.gridtie.wire.openai.Medias;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Reads {@code POST /v1/responses}. Nothing is kept between requests, and so none may rely on it.
 */
final class ResponsesRequestReader {
  private static final int ITEMS_MAX = 4096;
  private static final int PARTS_MAX = 1024;
  private static final int TOOLS_MAX = 512;

  private ResponsesRequestReader() {}

  static ChatRequest read(JsonNode json) throws RefusedException {
    Fields in = Fields.root(json);
    String model = in.requiredText("model");
    for (String stateful : List.of("previous_response_id", "conversation", "prompt")) {
      if (in.has(stateful)) {
        throw in.unsupported(
            stateful, "asks for something stored here, and nothing is: send the whole input.");
      }
    }
    if (in.isTrue("background")) {
      throw in.unsupported("background", "is not taken: the answer comes while you wait.");
    }
    List<Message> messages = new ArrayList<>();
    String instructions = in.text("instructions");
    if (instructions != null) {
      messages.add(Message.text(Role.SYSTEM, instructions));
    }
    input(in, messages);
    Sampling sampling =
        new Sampling(
            in.whole("max_output_tokens", 1),
            in.number("temperature", 0, 2),
            in.number("top_p", 0, 1),
            in.whole("top_k", 0),
            null,
            null,
            in.number("frequency_penalty", -2, 2),
            in.number("presence_penalty", -2, 2),
            null,
            null,
            1,
            List.of(),
            logprobs(in),
            null);
    List<ToolSpec> tools = new ArrayList<>();
    for (Fields tool : in.objects("tools", TOOLS_MAX)) {
      tools.add(tool(tool));
    }
    ToolChoice choice = toolChoice(in);
    Boolean parallel = in.flag("parallel_tool_calls");
    Fields text = in.object("text");
    return new ChatRequest(
        model,
        messages,
        sampling,
        tools,
        choice,
        parallel,
        text == null ? new OutputFormat.Plain() : format(text),
        thinking(in),
        text == null ? null : text.text("verbosity"),
        in.text("user"),
        in.isTrue("stream"),
        true,
        Dialect.RESPONSES,
        in.rest());
  }

  private static @Nullable Integer logprobs(Fields in) throws RefusedException {
    Integer top = in.whole("top_logprobs", 0);
    return top == null || top == 0 ? null : top;
  }

  private static void input(Fields in, List<Message> messages) throws RefusedException {
    JsonNode input = in.raw("input");
    if (input.isString()) {
      messages.add(Message.text(Role.USER, input.stringValue()));
      return;
    }
    List<Fields> items = in.objects("input", ITEMS_MAX);
    if (items.isEmpty()) {
      throw new RefusedException(
          "missing_required_parameter", "'input' must be a text or a list of items.", "input");
    }
    List<Part> turn = new ArrayList<>();
    Role role = Role.USER;
    for (Fields item : items) {
      Role itsRole = role(item);
      List<Part> parts = item(item);
      boolean joins = itsRole == role && joins(itsRole, turn, parts);
      if (!joins) {
        flush(messages, role, turn);
        role = itsRole;
      }
      turn.addAll(parts);
    }
    flush(messages, role, turn);
  }

  /** Items of the model's belong to one turn; so do the results of its calls. */
  private static boolean joins(Role role, List<Part> turn, List<Part> parts) {
    return switch (role) {
      case ASSISTANT -> true;
      case USER ->
          turn.stream().allMatch(Part.ToolResult.class::isInstance)
              && parts.stream().allMatch(Part.ToolResult.class::isInstance);
      case SYSTEM -> false;
    };
  }

  private static void flush(List<Message> messages, Role role, List<Part> turn) {
    if (!turn.isEmpty()) {
      messages.add(new Message(role, role == Role.ASSISTANT ? Seals.attach(turn) : turn));
      turn.clear();
    }
  }

  private static Role role(Fields item) throws RefusedException {
    String type = item.text("type");
    if (type == null || type.equals("message")) {
      String role = item.requiredText("role");
      return switch (role) {
        case "user" -> Role.USER;
        case "assistant" -> Role.ASSISTANT;
        case "system", "developer" -> Role.SYSTEM;
        default -> throw item.wrongValue("role", "must be user, assistant, system or developer.");
      };
    }
    return type.equals("function_call_output") ? Role.USER : Role.ASSISTANT;
  }

  private static List<Part> item(Fields item) throws RefusedException {
    String given = item.text("type");
    String type = given == null ? "message" : given;
    switch (type) {
      case "message" -> {
        return content(item, "content");
      }
      case "function_call" -> {
        String arguments = item.text("arguments");
        return List.of(
            new Part.ToolCall(
                item.requiredText("call_id"),
                item.requiredText("name"),
                arguments == null || arguments.isEmpty() ? "{}" : arguments,
                null));
      }
      case "function_call_output" -> {
        return List.of(
            new Part.ToolResult(item.requiredText("call_id"), "", content(item, "output"), false));
      }
      case "reasoning" -> {
        return List.of(reasoning(item));
      }
      default ->
          throw new RefusedException(
              "unsupported_content",
              "'" + item.path() + "' is of type '" + Fields.clip(type) + "', which is not taken.",
              item.path());
    }
  }

  static Part.Reasoning reasoning(Fields item) throws RefusedException {
    StringBuilder text = new StringBuilder();
    for (String key : List.of("summary", "content")) {
      for (Fields each : item.objects(key, PARTS_MAX)) {
        String one = each.text("text");
        text.append(one == null ? "" : one);
      }
      if (!text.isEmpty()) {
        break;
      }
    }
    String encrypted = item.text("encrypted_content");
    return new Part.Reasoning(
        text.toString(),
        encrypted == null || encrypted.isEmpty()
            ? null
            : Seal.read(Seal.Origin.OPENAI, encrypted, item.text("id")));
  }

  private static List<Part> content(Fields in, String key) throws RefusedException {
    JsonNode content = in.raw(key);
    if (content.isString()) {
      return List.of(new Part.Text(content.stringValue()));
    }
    List<Part> parts = new ArrayList<>();
    for (Fields part : in.objects(key, PARTS_MAX)) {
      parts.add(part(part));
    }
    return parts;
  }

  private static Part part(Fields in) throws RefusedException {
    String type = in.requiredText("type");
    return switch (type) {
      case "input_text", "output_text", "text" -> new Part.Text(in.raw("text").asString(""));
      case "refusal" -> new Part.Refusal(in.raw("refusal").asString(""));
      case "input_image" ->
          Medias.fromUrl(
              Part.MediaKind.IMAGE, in.requiredText("image_url"), null, Medias.detail(in));
      case "input_file" ->
          Medias.fromUrl(
              Part.MediaKind.DOCUMENT,
              in.requiredText(in.first("file_data", "file_url")),
              in.text("filename"),
              null);
      default ->
          throw new RefusedException(
              "unsupported_content",
              "'" + in.path() + "' is of type '" + Fields.clip(type) + "', which is not taken.",
              in.path());
    };
  }

  private static ToolSpec tool(Fields in) throws RefusedException {
    String type = in.requiredText("type");
    if (!type.equals("function")) {
      throw in.unsupported(
          "type", "is '" + Fields.clip(type) + "': a vendor's own tools do not cross to others.");
    }
    JsonNode parameters = in.rawOrNull("parameters");
    if (parameters == null) {
      var empty = Json.object().put("type", "object");
      empty.putObject("properties");
      parameters = empty;
    }
    return new ToolSpec(
        in.requiredText("name"),
        in.text("description"),
        parameters,
        in.isTrue("strict") ? true : null,
        null);
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
    String type = named.requiredText("type");
    if (type.equals("function")) {
      return new ToolChoice.Named(List.of(named.requiredText("name")));
    }
    if (type.equals("allowed_tools") && "required".equals(named.text("mode"))) {
      List<String> names = new ArrayList<>();
      for (Fields each : named.objects("tools", TOOLS_MAX)) {
        names.add(each.requiredText("name"));
      }
      return new ToolChoice.Named(names);
    }
    throw named.unsupported("type", "must be a function, or allowed_tools that are required.");
  }

  private static OutputFormat format(Fields text) throws RefusedException {
    Fields format = text.object("format");
    if (format == null) {
      return new OutputFormat.Plain();
    }
    return switch (format.requiredText("type")) {
      case "text" -> new OutputFormat.Plain();
      case "json_object" -> new OutputFormat.JsonObject();
      case "json_schema" ->
          new OutputFormat.JsonSchema(
              format.requiredText("name"),
              format.text("description"),
              format.raw("schema"),
              format.flag("strict"));
      default -> throw format.unsupported("type", "must be text, json_object or json_schema.");
    };
  }

  private static Thinking thinking(Fields in) throws RefusedException {
    Fields reasoning = in.object("reasoning");
    if (reasoning == null) {
      return Thinking.UNSAID;
    }
    String summary = reasoning.text(reasoning.first("summary", "generate_summary"));
    return new Thinking(
        reasoning.text("effort"),
        reasoning.whole("max_tokens", 0),
        summary == null ? null : Boolean.TRUE);
  }
}
