package dev.gridtie.wire.anthropic;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Sampling;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.Seals;
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.ToolChoice;
import dev.gridtie.wire.chat.ToolSpec;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Reads {@code POST /v1/messages}. */
final class AnthropicRequestReader {
  private static final int MESSAGES_MAX = 4096;
  private static final int BLOCKS_MAX = 1024;
  private static final int TOOLS_MAX = 512;
  private static final int STOPS_MAX = 64;

  private AnthropicRequestReader() {}

  /**
   * @param counting whether the tokens are only to be counted, so that no limit need be named
   */
  static ChatRequest read(JsonNode json, boolean counting) throws RefusedException {
    Fields in = Fields.root(json);
    String model = in.requiredText("model");
    List<Message> messages = new ArrayList<>();
    if (in.has("system")) {
      messages.add(new Message(Message.Role.SYSTEM, blocks(in, "system")));
    }
    List<Fields> list = in.objects("messages", MESSAGES_MAX);
    if (list.isEmpty()) {
      throw new RefusedException(
          "missing_required_parameter",
          "'messages' must be a list of at least one message.",
          "messages");
    }
    for (Fields message : list) {
      messages.add(message(message));
    }
    Integer maxTokens = in.whole("max_tokens", 1);
    if (maxTokens == null && !counting) {
      throw new RefusedException(
          "missing_required_parameter",
          "'max_tokens' must say how many tokens the answer may have.",
          "max_tokens");
    }
    Sampling sampling =
        new Sampling(
            maxTokens,
            in.number("temperature", 0, 1),
            in.number("top_p", 0, 1),
            in.whole("top_k", 0),
            null,
            null,
            null,
            null,
            null,
            null,
            1,
            in.texts("stop_sequences", STOPS_MAX),
            null,
            null);
    List<ToolSpec> tools = new ArrayList<>();
    for (Fields tool : in.objects("tools", TOOLS_MAX)) {
      tools.add(tool(tool));
    }
    Fields choice = in.object("tool_choice");
    ToolChoice toolChoice = choice == null ? new ToolChoice.Auto() : toolChoice(choice);
    Boolean serial = choice == null ? null : choice.flag("disable_parallel_tool_use");
    Fields output = in.object("output_config");
    Fields metadata = in.object("metadata");
    return new ChatRequest(
        model,
        messages,
        sampling,
        tools,
        toolChoice,
        serial == null ? null : Boolean.valueOf(!serial),
        output == null ? new OutputFormat.Plain() : format(output),
        thinking(in, output),
        null,
        metadata == null ? null : metadata.text("user_id"),
        in.isTrue("stream"),
        true,
        Dialect.ANTHROPIC,
        in.rest());
  }

  private static Message message(Fields in) throws RefusedException {
    String role = in.requiredText("role");
    List<Part> parts = blocks(in, "content");
    return switch (role) {
      case "user" -> new Message(Message.Role.USER, parts);
      case "assistant" -> new Message(Message.Role.ASSISTANT, Seals.attach(parts));
      case "system" -> new Message(Message.Role.SYSTEM, parts);
      default ->
          throw in.wrongValue("role", "is '" + Fields.clip(role) + "'; user or assistant is.");
    };
  }

  private static List<Part> blocks(Fields in, String key) throws RefusedException {
    JsonNode content = in.raw(key);
    if (content.isString()) {
      return List.of(new Part.Text(content.stringValue()));
    }
    if (!content.isArray()) {
      throw in.wrongType(key, "a text or a list of blocks");
    }
    List<Part> parts = new ArrayList<>();
    for (Fields block : in.objects(key, BLOCKS_MAX)) {
      parts.add(block(block));
    }
    return parts;
  }

  private static Part block(Fields in) throws RefusedException {
    String type = in.requiredText("type");
    return switch (type) {
      case "text" -> new Part.Text(plain(in, "text"), null, in.rawOrNull("cache_control"));
      case "image" -> media(in, Part.MediaKind.IMAGE);
      case "document" -> document(in);
      case "thinking" -> {
        String signature = in.text("signature");
        yield new Part.Reasoning(
            plain(in, "thinking"),
            signature == null || signature.isEmpty()
                ? null
                : Seal.read(Seal.Origin.ANTHROPIC, signature, null));
      }
      case "redacted_thinking" ->
          new Part.Reasoning(
              "", Seal.read(Seal.Origin.ANTHROPIC_REDACTED, in.requiredText("data"), null));
      case "tool_use" -> {
        JsonNode input = in.raw("input");
        yield new Part.ToolCall(
            in.requiredText("id"),
            in.requiredText("name"),
            input.isObject() ? Json.write(input) : "{}",
            null);
      }
      case "tool_result" ->
          new Part.ToolResult(
              in.requiredText("tool_use_id"),
              "",
              in.has("content") ? blocks(in, "content") : List.of(),
              in.isTrue("is_error"));
      default ->
          throw new RefusedException(
              "unsupported_content",
              "'" + in.path() + "' is of type '" + Fields.clip(type) + "', which is not taken.",
              in.path());
    };
  }

  private static String plain(Fields in, String key) throws RefusedException {
    String text = in.text(key);
    if (text == null) {
      throw in.wrongType(key, "a text");
    }
    return text;
  }

  private static Part document(Fields in) throws RefusedException {
    Fields source = in.object("source");
    if (source != null && "text".equals(source.text("type"))) {
      return new Part.Text(plain(source, "data"), null, in.rawOrNull("cache_control"));
    }
    return media(in, Part.MediaKind.DOCUMENT);
  }

  private static Part media(Fields in, Part.MediaKind kind) throws RefusedException {
    Fields source = in.object("source");
    if (source == null) {
      throw in.wrongType("source", "an object");
    }
    String name = in.text("title");
    return switch (source.requiredText("type")) {
      case "base64" ->
          new Part.Media(
              kind,
              source.requiredText("media_type"),
              source.requiredText("data"),
              null,
              name,
              null);
      case "url" -> new Part.Media(kind, null, null, source.requiredText("url"), name, null);
      default -> throw source.unsupported("type", "must be base64 or url.");
    };
  }

  private static ToolSpec tool(Fields in) throws RefusedException {
    String type = in.text("type");
    if (type != null && !type.equals("custom")) {
      throw in.unsupported(
          "type", "is '" + Fields.clip(type) + "': a vendor's own tools do not cross to others.");
    }
    JsonNode schema = in.raw("input_schema");
    if (!schema.isObject()) {
      throw in.wrongType("input_schema", "an object");
    }
    return new ToolSpec(
        in.requiredText("name"),
        in.text("description"),
        schema,
        in.flag("strict"),
        in.rawOrNull("cache_control"));
  }

  private static ToolChoice toolChoice(Fields in) throws RefusedException {
    return switch (in.requiredText("type")) {
      case "auto" -> new ToolChoice.Auto();
      case "none" -> new ToolChoice.None();
      case "any" -> new ToolChoice.Required();
      case "tool" -> new ToolChoice.Named(List.of(in.requiredText("name")));
      default -> throw in.wrongValue("type", "must be auto, any, tool or none.");
    };
  }

  private static OutputFormat format(Fields output) throws RefusedException {
    Fields format = output.object("format");
    if (format == null) {
      return new OutputFormat.Plain();
    }
    if (!"json_schema".equals(format.text("type"))) {
      throw format.unsupported("type", "must be json_schema.");
    }
    JsonNode schema = format.raw("schema");
    if (!schema.isObject()) {
      throw format.wrongType("schema", "an object");
    }
    return new OutputFormat.JsonSchema("answer", null, schema, null);
  }

  private static Thinking thinking(Fields in, @Nullable Fields output) throws RefusedException {
    String effort = output == null ? null : output.text("effort");
    Fields thinking = in.object("thinking");
    if (thinking == null) {
      return effort == null ? Thinking.UNSAID : new Thinking(effort, null, null);
    }
    String display = thinking.text("display");
    Boolean show = display == null ? null : Boolean.valueOf(!display.equals("omitted"));
    return switch (thinking.requiredText("type")) {
      case "enabled" -> new Thinking(effort, thinking.whole("budget_tokens", 1), show);
      case "disabled" -> new Thinking("none", null, show);
      case "adaptive" -> new Thinking(effort == null ? "high" : effort, null, show);
      default -> throw thinking.unsupported("type", "must be enabled, adaptive or disabled.");
    };
  }
}
