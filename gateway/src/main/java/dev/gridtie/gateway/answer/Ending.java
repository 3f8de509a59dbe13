package dev.gridtie.gateway.answer;

import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.util.List;

/**
 * How a whole answer ended.
 *
 * @param usage as the source counted it
 * @param cancelled whether it ended because we asked
 * @param tail the last bytes, to be sent once what has to be written down is
 * @param parts what was said, where it was read and a client might lose some of it; else empty
 */
public record Ending(
    FinishReason finish, Usage usage, boolean cancelled, Buffer tail, List<Part> parts) {
  public Ending {
    parts = List.copyOf(parts);
  }
}
