package dev.gridtie.testkit;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Looks for the input on which a parser is slowest, within its bound of size: by shapes that are
 * known to hurt parsers, and by mutation of the slowest so far. What is measured is the thread's
 * CPU time, held against a linear reading of as many bytes in the same run.
 */
public final class WorstInput {
  /** What an input may take, where the machine is fast enough that its linear reading is less. */
  private static final double MILLIS_MAX = 20;

  /** What a parser may take, times a linear reading: a quadratic one takes thousands. */
  private static final double LINEAR_TIMES_MAX = 60;

  private static final int MUTATIONS = Size.of(12, 2_000);
  private static final int MEASURED_AGAIN = 4;
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  /** Reads bytes from outside; whatever it refuses, it refuses by an exception. */
  public interface Parser {
    void read(byte[] bytes) throws Exception;
  }

  /** A unit said again and again, between an opening and a close. */
  private record Shape(String open, String unit, String between, String close) {
    String filled(int length) {
      StringBuilder out = new StringBuilder(length + 64).append(open);
      while (out.length() + unit.length() + between.length() + close.length() <= length) {
        out.append(unit).append(between);
      }
      return out.append(unit).append(close).toString();
    }
  }

  private static final List<Shape> SHAPES =
      List.of(
          text("a"),
          text("\\\\"),
          text("\\n"),
          text("\\u0041"),
          text("\\ud83d\\ude00"),
          text("é"),
          text("data:image/png;base64,AAAA"),
          text("{{ "),
          text("<|"),
          text("-"),
          text("%25"),
          text("0"),
          text("A."),
          list("[]"),
          list("{}"),
          list("0"),
          list("\"\""),
          list("1e99"),
          list("[".repeat(40) + "]".repeat(40)),
          list("{\"role\":\"user\",\"content\":\"a\"}"),
          list("{\"role\":\"assistant\",\"content\":\"a\"}"),
          list("{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]}"),
          list("{\"type\":\"text\",\"text\":\"a\"}"),
          list("{\"type\":\"message\",\"role\":\"user\",\"content\":\"a\"}"),
          list("{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"a\"}"),
          list("{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"),
          new Shape("", "9", "", ""),
          new Shape("0.", "0", "", "1"),
          new Shape("1e", "9", "", ""),
          new Shape("", "[", "", ""),
          new Shape("", "{\"a\":", "", ""),
          new Shape("{", "\"k\":0", ",", "}"),
          new Shape("", " ", "", "1"),
          new Shape("", "a", "\n", "\n"),
          new Shape("", "\n", "", ""),
          new Shape("", "=", "&", ""),
          new Shape("", "key=gt-", "&", ""),
          new Shape("", "a", " ", ""),
          new Shape("", "+", "", ""),
          new Shape("", "/", "", ""),
          new Shape("", "1", "", ""),
          new Shape("", "AAAA", "", ""),
          new Shape("", "data: {}", "\n\n", "\n\n"),
          new Shape("", "data: a", "\n", "\n\n"));

  private static Shape text(String unit) {
    return new Shape("\"", unit, "", "\"");
  }

  private static Shape list(String unit) {
    return new Shape("[", unit, ",", "]");
  }

  /** Many different keys, all with one hash. */
  private static String colliding(int length) {
    StringBuilder out = new StringBuilder("{");
    for (int i = 0; out.length() + 40 < length; i++) {
      out.append(i == 0 ? "\"" : ",\"");
      for (int bit = 0; bit < 18; bit++) {
        out.append((i >> bit & 1) == 0 ? "Aa" : "BB");
      }
      out.append("\":0");
    }
    return out.append('}').toString();
  }

  private static String keys(int length) {
    StringBuilder out = new StringBuilder("{");
    for (int i = 0; out.length() + 16 < length; i++) {
      out.append(i == 0 ? "\"k" : ",\"k").append(i).append("\":0");
    }
    return out.append('}').toString();
  }

  private WorstInput() {}

  /**
   * Searches.
   *
   * @param bytesMax the parser's own bound
   * @param around where an input is placed: each a text with one {@code @}
   * @throws AssertionError with the beginning of the input that takes too long
   */
  public static void search(String name, int bytesMax, List<String> around, Parser parser) {
    double linear = least(WorstInput::readLinearly, bytesMax);
    double most = Math.max(MILLIS_MAX, LINEAR_TIMES_MAX * linear);
    List<String> inputs = new ArrayList<>();
    for (String place : around) {
      SHAPES.forEach(shape -> inputs.add(placed(place, shape.filled(bytesMax - place.length()))));
      inputs.add(placed(place, keys(bytesMax - place.length())));
      inputs.add(placed(place, colliding(bytesMax - place.length())));
    }
    for (int i = 0; i < MEASURED_AGAIN; i++) { // classes are loaded, and what is hot is compiled
      for (String input : inputs.subList(0, inputs.size() / around.size())) {
        double unused = millis(parser, input.substring(0, input.length() / 16).getBytes(UTF_8));
      }
    }
    double worst = 0;
    String slowest = "";
    for (String input : inputs) {
      double took = measured(name, parser, input, most);
      if (took > worst) {
        worst = took;
        slowest = input;
      }
    }
    Seeded s = new Seeded(Long.getLong("gridtie.seed", 15));
    for (int i = 0; i < MUTATIONS; i++) {
      String input = mutated(s, slowest, inputs.get(s.below(inputs.size())), bytesMax);
      double took = measured(name, parser, input, most);
      if (took > worst) {
        worst = took;
        slowest = input;
      }
    }
    System.out.printf(
        Locale.ROOT,
        "worst input of %s, %d bytes: %.2f ms CPU (linear %.2f ms): %s%n",
        name,
        bytesMax,
        worst,
        linear,
        shown(slowest));
  }

  private static String placed(String place, String input) {
    int at = place.indexOf('@');
    return place.substring(0, at) + input + place.substring(at + 1);
  }

  private static String mutated(Seeded s, String slowest, String other, int bytesMax) {
    int from = s.below(slowest.length());
    int piece = 1 + s.below(Math.min(64, slowest.length() - from));
    String again =
        slowest.substring(from, from + piece).repeat(1 + s.below(1 + bytesMax / piece / 4));
    int cut = s.below(other.length());
    String mixed =
        slowest.substring(0, from)
            + again
            + other.substring(cut, Math.min(other.length(), cut + 4096))
            + slowest.substring(from);
    return mixed.length() <= bytesMax ? mixed : mixed.substring(0, bytesMax);
  }

  private static double measured(String name, Parser parser, String input, double most) {
    byte[] bytes = input.getBytes(UTF_8);
    double took = millis(parser, bytes);
    for (int i = 0; i < MEASURED_AGAIN && took > most; i++) {
      took = Math.min(took, millis(parser, bytes)); // the first time, classes are loaded
    }
    if (took > most) {
      throw new AssertionError(
          String.format(
              Locale.ROOT,
              "%s takes %.1f ms of CPU for %d bytes, more than %.1f: %s",
              name,
              took,
              bytes.length,
              most,
              shown(input)));
    }
    return took;
  }

  private static double millis(Parser parser, byte[] bytes) {
    long before = THREADS.getCurrentThreadCpuTime();
    try {
      parser.read(bytes);
    } catch (Exception e) {
      // Refused, as most of them are; how long that took is what counts.
    }
    return (THREADS.getCurrentThreadCpuTime() - before) / 1e6;
  }

  private static double least(Parser parser, int bytesMax) {
    double least = Double.MAX_VALUE;
    for (int i = 0; i < MEASURED_AGAIN; i++) {
      least = Math.min(least, millis(parser, "0,".repeat(bytesMax / 2).getBytes(UTF_8)));
    }
    return least;
  }

  /** As much as a reader of numbers and commas does: an object each. */
  private static void readLinearly(byte[] bytes) {
    List<String> read = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < bytes.length; i++) {
      if (bytes[i] == ',') {
        read.add(new String(bytes, from, i - from, UTF_8));
        from = i + 1;
      }
    }
    if (read.size() > bytes.length) {
      throw new AssertionError("never");
    }
  }

  private static String shown(String input) {
    String text = input.replace("\n", "\\n");
    return text.length() <= 100 ? text : text.substring(0, 100) + "…";
  }
}
