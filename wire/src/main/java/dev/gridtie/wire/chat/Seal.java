package dev.gridtie.wire.chat;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import java.util.Base64;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Reasoning state that only its vendor can read, and that must come back to it unchanged: an
 * Anthropic signature or redacted block, an OpenAI encrypted item, a Gemini thought signature.
 *
 * @param origin whose it is
 * @param data the vendor's own text
 * @param id the vendor's name of the item, where it has one
 */
public record Seal(Origin origin, String data, @Nullable String id) {
  /** Who made a seal, and in which form. */
  public enum Origin {
    /** {@code thinking.signature}. */
    ANTHROPIC,
    /** {@code redacted_thinking.data}. */
    ANTHROPIC_REDACTED,
    /** {@code reasoning.encrypted_content}. */
    OPENAI,
    /** {@code part.thoughtSignature}. */
    GEMINI
  }

  /** How a seal that travels through another vendor's field begins. */
  private static final String PREFIX = "gridtie-seal-1.";

  public static Seal of(Origin origin, String data) {
    return new Seal(origin, data, null);
  }

  /**
   * The text for a field of the dialect of {@code home}: the seal's own data where it is at home
   * there, else all of it wrapped in Base64, so that a client of any dialect carries it back.
   */
  public String in(Origin home) {
    if (origin == home && (id == null || home != Origin.GEMINI)) {
      return data;
    }
    ObjectNode json = Json.object();
    json.put("origin", origin.name().toLowerCase(Locale.ROOT));
    json.put("data", data);
    json.put("id", id);
    String wrapped = PREFIX + Json.write(json);
    return Base64.getEncoder().encodeToString(wrapped.getBytes(UTF_8));
  }

  /** Reads a field of the dialect of {@code home}: unwraps what {@link #in} wrapped. */
  public static Seal read(Origin home, String text, @Nullable String id) {
    return unwrap(text).orElseGet(() -> new Seal(home, text, id));
  }

  private static Optional<Seal> unwrap(String text) {
    try {
      String plain = new String(Base64.getDecoder().decode(text), UTF_8);
      if (!plain.startsWith(PREFIX)) {
        return Optional.empty();
      }
      JsonNode json = Json.parse(plain.substring(PREFIX.length()).getBytes(UTF_8));
      String data = Json.text(json, "data");
      String origin = Json.text(json, "origin");
      if (data == null || origin == null) {
        return Optional.empty();
      }
      return Optional.of(
          new Seal(Origin.valueOf(origin.toUpperCase(Locale.ROOT)), data, Json.text(json, "id")));
    } catch (IllegalArgumentException | Json.MalformedJsonException e) {
      return Optional.empty(); // a vendor's own text that happens to look like Base64
    }
  }
}
