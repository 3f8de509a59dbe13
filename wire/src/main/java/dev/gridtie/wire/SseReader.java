package dev.gridtie.wire;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Takes a stream of server-sent events apart (WHATWG HTML §9.2), however its bytes are split. Gives
 * the data of each event; comments, ids and names are passed over.
 */
public final class SseReader {
  /** The longest line, and the longest event, in bytes. */
  public static final int EVENT_BYTES_MAX = 1024 * 1024;

  private byte[] line = new byte[512];
  private int lineLength;
  private final StringBuilder data = new StringBuilder();
  private boolean hasData;
  private boolean afterCarriageReturn;

  /** An event exceeds {@link #EVENT_BYTES_MAX}. */
  public static final class TooLongException extends Exception {
    private static final long serialVersionUID = 1L;
  }

  /** Takes the next bytes and gives the data of the events that they complete. */
  public List<String> push(byte[] bytes) throws TooLongException {
    List<String> events = new ArrayList<>();
    for (byte b : bytes) {
      if (b == '\n' && afterCarriageReturn) {
        afterCarriageReturn = false;
      } else if (b == '\n' || b == '\r') {
        afterCarriageReturn = b == '\r';
        endLine(events);
      } else {
        afterCarriageReturn = false;
        append(b);
      }
    }
    return events;
  }

  private void append(byte b) throws TooLongException {
    if (lineLength + data.length() >= EVENT_BYTES_MAX) {
      throw new TooLongException();
    }
    if (lineLength == line.length) {
      line = Arrays.copyOf(line, line.length * 2);
    }
    line[lineLength++] = b;
  }

  private void endLine(List<String> events) {
    String text = new String(line, 0, lineLength, UTF_8);
    lineLength = 0;
    if (text.isEmpty()) {
      if (hasData) {
        events.add(data.toString());
      }
      data.setLength(0);
      hasData = false;
    } else if (text.equals("data") || text.startsWith("data:")) {
      String value = text.length() > 5 ? text.substring(text.startsWith("data: ") ? 6 : 5) : "";
      data.append(hasData ? "\n" : "").append(value);
      hasData = true;
    }
  }
}
