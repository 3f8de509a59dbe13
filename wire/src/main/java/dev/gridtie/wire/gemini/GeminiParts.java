package dev.gridtie.wire.gemini;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import dev.gridtie.wire.chat.Seals;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Gemini's parts. Its calls need no ids; where they have none, they are numbered through the
 * conversation, and results find their calls by name and order.
 */
final class GeminiParts {
  /** Google's documented stand-in for a thought signature that another model never made. */
  static final String NO_SIGNATURE = "skip_thought_signature_validator";

  private static final int PARTS_MAX = 1024;

  private final String idPrefix;
  private final Map<String, Deque<String>> unanswered = new HashMap<>();
  private int calls;

  /**
   * @param idPrefix of the ids of calls that have none; of an answer, one that no other has
   */
  GeminiParts(String idPrefix) {
    this.idPrefix = idPrefix;
  }

  /** The prefix for one answer's calls. */
  static String idPrefix(JsonNode answer) {
    String id = answer.path("responseId").asString("");
    return "call_" + Ids.derived(id.isEmpty() ? Json.write(answer) : id).substring(0, 16) + "_";
  }

  /** Reads the parts of one turn. */
  List<Part> read(Fields content) throws RefusedException {
    List<Part> parts = new ArrayList<>();
    for (Fields part : content.objects("parts", PARTS_MAX)) {
      parts.add(part(part));
    }
    return Seals.join(Seals.attach(parts));
  }

  private Part part(Fields in) throws RefusedException {
    String signature = in.text(in.first("thoughtSignature", "thought_signature"));
    Seal seal =
        signature == null || signature.equals(NO_SIGNATURE)
            ? null
            : Seal.read(Seal.Origin.GEMINI, signature, null);
    String text = in.text("text");
    if (text != null) {
      boolean thought = in.isTrue("thought");
      boolean foreign = seal != null && seal.origin() != Seal.Origin.GEMINI;
      return thought || foreign ? new Part.Reasoning(text, seal) : new Part.Text(text, seal, null);
    }
    Fields call = in.object(in.first("functionCall", "function_call"));
    if (call != null) {
      return call(call, seal);
    }
    Fields response = in.object(in.first("functionResponse", "function_response"));
    if (response != null) {
      return response(response);
    }
    Fields inline = in.object(in.first("inlineData", "inline_data"));
    if (inline != null) {
      String mime = inline.requiredText(inline.first("mimeType", "mime_type"));
      return new Part.Media(kind(mime), mime, inline.requiredText("data"), null, null, null);
    }
    Fields file = in.object(in.first("fileData", "file_data"));
    if (file != null) {
      String mime = file.text(file.first("mimeType", "mime_type"));
      String uri = file.requiredText(file.first("fileUri", "file_uri"));
      return new Part.Media(kind(mime == null ? "image/" : mime), mime, null, uri, null, null);
    }
    if (seal != null) {
      return new Part.Text("", seal, null);
    }
    throw new RefusedException(
        "unsupported_content",
        "'" + in.path() + "' must be text, inlineData, fileData, functionCall or functionResponse.",
        in.path());
  }

  private static Part.MediaKind kind(String mime) {
    return mime.startsWith("image/")
        ? Part.MediaKind.IMAGE
        : mime.startsWith("audio/") ? Part.MediaKind.AUDIO : Part.MediaKind.DOCUMENT;
  }

  private Part call(Fields call, @Nullable Seal seal) throws RefusedException {
    String name = call.requiredText("name");
    String given = call.text("id");
    String id = given == null || given.isEmpty() ? idPrefix + calls++ : given;
    unanswered.computeIfAbsent(name, k -> new ArrayDeque<>()).add(id);
    JsonNode args = call.raw("args");
    return new Part.ToolCall(id, name, args.isObject() ? Json.write(args) : "{}", seal);
  }

  private Part response(Fields in) throws RefusedException {
    String name = in.requiredText("name");
    String given = in.text("id");
    Deque<String> open = unanswered.computeIfAbsent(name, k -> new ArrayDeque<>());
    String id = given != null && !given.isEmpty() ? given : open.poll();
    if (id == null) {
      throw new RefusedException(
          "invalid_value", "'" + in.path() + "' answers no function call before it.", in.path());
    }
    JsonNode response = in.raw("response");
    boolean error = response.size() == 1 && response.path("error").isString();
    return new Part.ToolResult(
        id,
        name,
        List.of(new Part.Text(error ? response.path("error").stringValue() : text(response))),
        error);
  }

  /** A result's text: the one that it wraps, else the object itself. */
  private static String text(JsonNode response) {
    if (wraps(response)) {
      return response.path("result").stringValue();
    }
    return response.isObject() ? Json.write(response) : "";
  }

  private static boolean wraps(JsonNode response) {
    return response.size() == 1 && response.path("result").isString();
  }

  /** The object for a result's text: {@link #text} gives the same text back. */
  static ObjectNode response(String text, boolean error) {
    if (error) {
      return Json.object().put("error", text);
    }
    if (text.startsWith("{")) {
      try {
        JsonNode json = Json.parse(text.getBytes(UTF_8));
        boolean plain = json.isObject() && !wraps(json) && !json.path("error").isString();
        if (plain && Json.write(json).equals(text)) {
          return (ObjectNode) json;
        }
      } catch (Json.MalformedJsonException e) {
        // A text like any other.
      }
    }
    return Json.object().put("result", text);
  }

  /** Writes a part of a model's turn; null for what Gemini has no place for. */
  static @Nullable ObjectNode write(Part part, boolean shows) {
    return switch (part) {
      case Part.Text p -> sealed(Json.object().put("text", p.text()), p.seal());
      case Part.Refusal p -> Json.object().put("text", p.text());
      case Part.Reasoning p -> {
        ObjectNode json = Json.object().put("text", shows ? p.text() : "").put("thought", true);
        yield p.text().isEmpty() && p.seal() == null ? null : sealed(json, p.seal());
      }
      case Part.ToolCall p -> {
        ObjectNode json = Json.object();
        ObjectNode call = json.putObject("functionCall").put("id", p.id()).put("name", p.name());
        call.set("args", arguments(p.arguments()));
        yield sealed(json, p.seal());
      }
      case Part.Media p -> media(p);
      case Part.ToolResult p -> null;
    };
  }

  static ObjectNode media(Part.Media media) {
    ObjectNode json = Json.object();
    if (media.data() != null) {
      ObjectNode inline = json.putObject("inlineData");
      inline.put("mimeType", media.mimeType()).put("data", media.data());
    } else {
      ObjectNode file = json.putObject("fileData");
      if (media.mimeType() != null) {
        file.put("mimeType", media.mimeType());
      }
      file.put("fileUri", media.url());
    }
    return json;
  }

  static ObjectNode sealed(ObjectNode json, @Nullable Seal seal) {
    if (seal != null) {
      json.put("thoughtSignature", seal.in(Seal.Origin.GEMINI));
    }
    return json;
  }

  private static JsonNode arguments(String arguments) {
    try {
      JsonNode json = Json.parse(arguments.getBytes(UTF_8));
      return json.isObject() ? json : Json.object().set("value", json);
    } catch (Json.MalformedJsonException e) {
      return Json.object().put("unparsable", arguments);
    }
  }

  static void addIfAny(ArrayNode parts, @Nullable ObjectNode part) {
    if (part != null) {
      parts.add(part);
    }
  }
}
