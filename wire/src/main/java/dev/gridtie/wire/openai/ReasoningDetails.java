package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * OpenRouter's {@code reasoning_details}: the neutral carrier of thoughts and their sealed state.
 * Entries of one thought share an {@code index}.
 */
final class ReasoningDetails {
  private static final String ANTHROPIC = "anthropic-claude-v1";
  private static final String OPENAI = "openai-responses-v1";
  private static final String GEMINI = "google-gemini-v1";
  private static final int ENTRIES_MAX = 1024;

  private ReasoningDetails() {}

  /** The thoughts of an assistant's message, from its details or else from its plain text. */
  static List<Part> read(Fields message) throws RefusedException {
    String shown = message.text("reasoning");
    String content = message.text("reasoning_content");
    List<Part> parts = new ArrayList<>();
    Integer last = null;
    for (Fields entry : message.objects("reasoning_details", ENTRIES_MAX)) {
      Part.Reasoning part = entry(entry);
      Integer index = entry.whole("index", 0);
      if (part == null) {
        continue;
      }
      if (index != null
          && index.equals(last)
          && parts.getLast() instanceof Part.Reasoning before
          && before.seal() == null) {
        parts.set(parts.size() - 1, new Part.Reasoning(before.text() + part.text(), part.seal()));
      } else {
        parts.add(part);
      }
      last = index;
    }
    String text = shown == null ? content : shown;
    if (parts.isEmpty() && text != null && !text.isEmpty()) {
      parts.add(new Part.Reasoning(text, null));
    }
    return parts;
  }

  private static Part.@Nullable Reasoning entry(Fields entry) throws RefusedException {
    String type = entry.requiredText("type");
    String format = entry.text("format");
    String id = entry.text("id");
    switch (type) {
      case "reasoning.text" -> {
        String signature = entry.text("signature");
        String text = entry.text("text");
        return new Part.Reasoning(
            text == null ? "" : text,
            signature == null ? null : Seal.read(Seal.Origin.ANTHROPIC, signature, null));
      }
      case "reasoning.summary" -> {
        String summary = entry.text("summary");
        return new Part.Reasoning(summary == null ? "" : summary, null);
      }
      case "reasoning.encrypted" -> {
        Seal.Origin origin =
            ANTHROPIC.equals(format)
                ? Seal.Origin.ANTHROPIC_REDACTED
                : GEMINI.equals(format) ? Seal.Origin.GEMINI : Seal.Origin.OPENAI;
        return new Part.Reasoning("", Seal.read(origin, entry.requiredText("data"), id));
      }
      default -> {
        return null;
      }
    }
  }

  /** The entries of one thought. */
  static ArrayNode write(Part.Reasoning part, int index) {
    ArrayNode entries = Json.array();
    Seal seal = part.seal();
    if (seal == null) {
      entries.add(entry("reasoning.text", null, index).put("text", part.text()));
      return entries;
    }
    switch (seal.origin()) {
      case ANTHROPIC ->
          entries.add(
              entry("reasoning.text", ANTHROPIC, index)
                  .put("text", part.text())
                  .put("signature", seal.data()));
      case ANTHROPIC_REDACTED -> sealed(entries, part, seal, ANTHROPIC, index);
      case OPENAI -> sealed(entries, part, seal, OPENAI, index);
      case GEMINI -> sealed(entries, part, seal, GEMINI, index);
    }
    return entries;
  }

  private static void sealed(
      ArrayNode entries, Part.Reasoning part, Seal seal, String format, int index) {
    if (!part.text().isEmpty()) {
      entries.add(entry("reasoning.summary", format, index).put("summary", part.text()));
    }
    ObjectNode encrypted = entry("reasoning.encrypted", format, index).put("data", seal.data());
    if (seal.id() != null) {
      encrypted.put("id", seal.id());
    }
    entries.add(encrypted);
  }

  private static ObjectNode entry(String type, @Nullable String format, int index) {
    ObjectNode entry = Json.object().put("type", type).put("index", index);
    if (format != null) {
      entry.put("format", format);
    }
    return entry;
  }
}
