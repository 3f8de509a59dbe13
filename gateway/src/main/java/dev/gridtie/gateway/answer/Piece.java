package dev.gridtie.gateway.answer;

import io.vertx.core.buffer.Buffer;
import org.jspecify.annotations.Nullable;

/**
 * A piece of an answer in the client's dialect.
 *
 * @param bytes to be sent as they are
 * @param text of the answer in it; null where the bytes passed untouched and nobody has read them
 * @param tokens of the answer up to and with this piece: counted, or estimated where the source
 *     does not say
 */
public record Piece(Buffer bytes, @Nullable String text, long tokens) {
  /** The text in it; of bytes that passed untouched, those bytes. */
  public String said() {
    return text == null ? bytes.toString() : text;
  }
}
