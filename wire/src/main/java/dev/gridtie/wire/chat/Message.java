package dev.gridtie.wire.chat;

import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * One turn. Results of tools stand in the user's turn.
 *
 * @param name of the participant, where several speak in one role (OpenAI)
 */
public record Message(Role role, List<Part> parts, @Nullable String name) {
  /** Whose turn it is. */
  public enum Role {
    SYSTEM,
    USER,
    ASSISTANT
  }

  public Message(Role role, List<Part> parts) {
    this(role, parts, null);
  }

  public Message {
    parts = List.copyOf(parts);
  }

  public static Message text(Role role, String text) {
    return new Message(role, List.of(new Part.Text(text)));
  }

  /** All its plain text, joined. */
  public String text() {
    return parts.stream()
        .filter(Part.Text.class::isInstance)
        .map(p -> ((Part.Text) p).text())
        .collect(Collectors.joining());
  }
}
