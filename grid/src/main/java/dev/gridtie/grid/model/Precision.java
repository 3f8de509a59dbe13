package dev.gridtie.grid.model;

import java.util.Comparator;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** How exactly a model's weights are kept, by the names that llama.cpp and the APIs use. */
public final class Precision {
  private static final Pattern BITS =
      Pattern.compile("^(?:i?q|tq|int|fp|bf|f|mxfp|nvfp)(\\d{1,2}).*");

  /** Finest first. */
  public static final Comparator<String> FINEST_FIRST =
      Comparator.comparingInt(Precision::bits).reversed().thenComparing(Comparator.naturalOrder());

  private Precision() {}

  /** Bits of a weight by a quantisation's name: 8 of {@code Q8_0}; 0 where the name says none. */
  public static int bits(String quantization) {
    Matcher matcher = BITS.matcher(quantization.toLowerCase(Locale.ROOT));
    return matcher.matches() ? Integer.parseInt(matcher.group(1)) : 0;
  }

  /** Whether one is at least as fine as another. */
  public static boolean isAtLeast(String quantization, String least) {
    return bits(quantization) >= bits(least);
  }
}
