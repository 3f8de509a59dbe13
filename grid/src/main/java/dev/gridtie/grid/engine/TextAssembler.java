package dev.gridtie.grid.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.util.List;

/**
 * Makes text of tokens' bytes: holds back what may still become a character or a stop text, and
 * ends at a stop text.
 */
final class TextAssembler {
  /** A character is at most four bytes; more that does not decode is no character. */
  private static final int CHARACTER_BYTES_MAX = 4;

  private final List<String> stops;
  private final ByteArrayOutputStream undecoded = new ByteArrayOutputStream();
  private final StringBuilder held = new StringBuilder();
  private boolean stopped;

  TextAssembler(List<String> stops) {
    this.stops = List.copyOf(stops);
  }

  /** Takes a token's bytes and gives the text that is certain now, perhaps none. */
  String push(byte[] bytes) {
    if (stopped) {
      return "";
    }
    undecoded.writeBytes(bytes);
    held.append(decode(false));
    return release();
  }

  /** Whether a stop text came. Nothing more will be given. */
  boolean stopped() {
    return stopped;
  }

  /** Gives what was held back, at the end. */
  String finish() {
    if (stopped) {
      return "";
    }
    held.append(decode(true));
    String rest = release();
    if (!stopped) {
      rest += held;
      held.setLength(0);
    }
    return rest;
  }

  private String decode(boolean end) {
    byte[] bytes = undecoded.toByteArray();
    ByteBuffer in = ByteBuffer.wrap(bytes);
    CharBuffer out = CharBuffer.allocate(bytes.length + 1);
    CharsetDecoder decoder =
        UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPLACE)
            .onUnmappableCharacter(CodingErrorAction.REPLACE);
    decoder.decode(in, out, end || bytes.length > CHARACTER_BYTES_MAX && !couldGrow(bytes));
    undecoded.reset();
    undecoded.write(bytes, in.position(), bytes.length - in.position());
    return out.flip().toString();
  }

  /** Whether the last bytes are the beginning of a character. */
  private static boolean couldGrow(byte[] bytes) {
    for (int back = 1; back < CHARACTER_BYTES_MAX && back <= bytes.length; back++) {
      int b = bytes[bytes.length - back] & 0xff;
      if (b >= 0xc0) {
        return (b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : 2) > back;
      }
      if (b < 0x80) {
        return false;
      }
    }
    return false;
  }

  private String release() {
    int stopAt = -1;
    for (String stop : stops) {
      int at = held.indexOf(stop);
      if (at >= 0 && (stopAt < 0 || at < stopAt)) {
        stopAt = at;
      }
    }
    int certain = stopAt;
    if (stopAt >= 0) {
      stopped = true;
    } else {
      certain = held.length() - longestBeginning();
    }
    String text = held.substring(0, certain);
    held.delete(0, stopped ? held.length() : certain);
    return text;
  }

  /** How many characters at the end of what is held are the beginning of a stop text. */
  private int longestBeginning() {
    int longest = 0;
    for (String stop : stops) {
      for (int length = Math.min(stop.length() - 1, held.length()); length > longest; length--) {
        if (held.indexOf(stop.substring(0, length), held.length() - length) >= 0) {
          longest = length;
          break;
        }
      }
    }
    return longest;
  }
}
