package dev.gridtie.wire.chat;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A whole answer.
 *
 * @param id as the one who answered calls it
 * @param created Unix seconds
 * @param parts in the order they were said
 * @param stopSequence the text at which it stopped, where it did
 */
public record ChatAnswer(
    String id,
    String model,
    long created,
    List<Part> parts,
    FinishReason finish,
    @Nullable String stopSequence,
    Usage usage) {

  public ChatAnswer {
    parts = List.copyOf(parts);
  }

  /** The same answer, its tokens counted otherwise. */
  public ChatAnswer withUsage(Usage newUsage) {
    return new ChatAnswer(id, model, created, parts, finish, stopSequence, newUsage);
  }

  /** The reason an agent may rely on: where tools are called, that is why it ended. */
  public static FinishReason reconcile(FinishReason said, List<Part> parts) {
    boolean calls = parts.stream().anyMatch(Part.ToolCall.class::isInstance);
    return calls && said == FinishReason.STOP ? FinishReason.TOOL_CALLS : said;
  }

  /** All its plain text, joined. */
  public String text() {
    return new Message(Message.Role.ASSISTANT, parts).text();
  }
}
