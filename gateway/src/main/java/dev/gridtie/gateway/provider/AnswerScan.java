package dev.gridtie.gateway.provider;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.wire.chat.Dialect;
import java.util.Arrays;
import java.util.List;

/**
 * Finds what a model said in the JSON of its answer, without building it: the texts, thoughts and
 * arguments that stand under the names each dialect gives them. Takes any bytes; of what is not
 * JSON it finds something or nothing.
 */
final class AnswerScan {
  /** The names in a stream's events. */
  static AnswerScan ofStream(Dialect dialect) {
    return new AnswerScan(
        switch (dialect) {
          case OPENAI -> List.of("content", "refusal", "arguments", THOUGHTS, OTHER_THOUGHTS);
          case ANTHROPIC -> List.of("text", "thinking", "partial_json");
          case RESPONSES -> List.of("delta");
          case GEMINI -> List.of("text", "args");
        });
  }

  /** The names in a whole answer. */
  static AnswerScan ofWhole(Dialect dialect) {
    return switch (dialect) {
      case OPENAI, GEMINI -> ofStream(dialect);
      case ANTHROPIC -> new AnswerScan(List.of("text", "thinking", "input"));
      case RESPONSES -> new AnswerScan(List.of("text", "refusal", "arguments"));
    };
  }

  private static final String THOUGHTS = "reasoning_content";

  /** OpenRouter's name for the same: where both are there, they say it twice. */
  private static final String OTHER_THOUGHTS = "reasoning";

  private final List<String> names;
  private final byte[][] keys;

  private AnswerScan(List<String> names) {
    this.names = names;
    this.keys = names.stream().map(n -> n.getBytes(US_ASCII)).toArray(byte[][]::new);
  }

  /** Appends what stands in these bytes. */
  void read(byte[] bytes, int from, int to, StringBuilder into) {
    boolean thought = false;
    int at = from;
    while (at < to) {
      if (bytes[at] != '"') {
        at++;
        continue;
      }
      int end = stringEnd(bytes, at + 1, to);
      int value = blanksEnd(bytes, end + 1, to);
      if (value >= to || bytes[value] != ':') {
        at = end + 1;
        continue;
      }
      String name = wanted(bytes, at + 1, end);
      at = blanksEnd(bytes, value + 1, to);
      boolean again = thought && name.equals(OTHER_THOUGHTS);
      if (name.isEmpty() || again || at >= to) {
        continue;
      }
      if (bytes[at] == '"') {
        int close = stringEnd(bytes, at + 1, to);
        unescape(bytes, at + 1, Math.min(close, to), into);
        at = close + 1;
        thought |= name.equals(THOUGHTS);
      } else if (bytes[at] == '{' && (name.equals("args") || name.equals("input"))) {
        int close = objectEnd(bytes, at, to);
        into.append(new String(bytes, at, close - at, UTF_8));
        at = close;
      }
    }
  }

  private String wanted(byte[] bytes, int from, int to) {
    for (int i = 0; i < keys.length; i++) {
      if (Arrays.equals(keys[i], 0, keys[i].length, bytes, from, Math.max(from, to))) {
        return names.get(i);
      }
    }
    return "";
  }

  /** Where the string that began before {@code from} ends: at its quotation mark, or at the end. */
  private static int stringEnd(byte[] bytes, int from, int to) {
    int at = from;
    while (at < to && bytes[at] != '"') {
      at += bytes[at] == '\\' ? 2 : 1;
    }
    return Math.min(at, to);
  }

  private static int blanksEnd(byte[] bytes, int from, int to) {
    int at = from;
    while (at < to && bytes[at] <= ' ' && bytes[at] >= 0) {
      at++;
    }
    return at;
  }

  private static int objectEnd(byte[] bytes, int from, int to) {
    int depth = 0;
    int at = from;
    while (at < to) {
      switch (bytes[at]) {
        case '"' -> at = stringEnd(bytes, at + 1, to);
        case '{' -> depth++;
        case '}' -> depth--;
        default -> {}
      }
      at++;
      if (depth == 0) {
        break;
      }
    }
    return Math.min(at, to);
  }

  private static void unescape(byte[] bytes, int from, int to, StringBuilder into) {
    int plain = from;
    int at = from;
    while (at < to) {
      if (bytes[at] != '\\') {
        at++;
        continue;
      }
      into.append(new String(bytes, plain, at - plain, UTF_8));
      byte kind = at + 1 < to ? bytes[at + 1] : (byte) '\\';
      if (kind == 'u' && at + 6 <= to) {
        into.append(unit(bytes, at + 2));
        at += 6;
      } else {
        into.append(
            switch (kind) {
              case 'n' -> '\n';
              case 't' -> '\t';
              case 'r' -> '\r';
              default -> (char) (kind & 0x7f);
            });
        at += 2;
      }
      plain = at;
    }
    if (to > plain) {
      into.append(new String(bytes, plain, to - plain, UTF_8));
    }
  }

  private static char unit(byte[] bytes, int from) {
    int unit = 0;
    for (int i = from; i < from + 4; i++) {
      unit = unit << 4 | Math.max(0, Character.digit(bytes[i], 16));
    }
    return (char) unit;
  }
}
