package dev.gridtie.testkit;

import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Consumer;

/**
 * Random test data from a seed. A failure names the seed; running with it gives the same data
 * again.
 */
public final class Seeded {
  private final SplittableRandom random;

  public Seeded(long seed) {
    this.random = new SplittableRandom(seed);
  }

  /**
   * Runs a property for {@code cases} seeds, the first being {@code -Dgridtie.seed} where it is
   * given.
   *
   * @throws AssertionError naming the seed of the first case that failed
   */
  public static void check(int cases, Consumer<Seeded> property) {
    Long given = Long.getLong("gridtie.seed");
    long first = given == null ? 402 : given;
    for (long seed = first; seed < first + (given == null ? cases : 1); seed++) {
      try {
        property.accept(new Seeded(seed));
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("with -Dgridtie.seed=" + seed + ": " + e.getMessage(), e);
      }
    }
  }

  /** From 0, below {@code bound}. */
  public int below(int bound) {
    return random.nextInt(bound);
  }

  public long number() {
    return random.nextLong();
  }

  public boolean chance(double probability) {
    return random.nextDouble() < probability;
  }

  public double unit() {
    return random.nextDouble();
  }

  public <T> T of(List<T> options) {
    return options.get(below(options.size()));
  }

  public byte[] bytes(int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  /** Text of ASCII, control characters, accents and emoji. */
  public String text(int lengthMax) {
    List<String> parts =
        List.of("a", "Z", "0", " ", "\n", "\"", "\\", "é", "€", "😀", "{", "<|", "\u0001", "/");
    StringBuilder out = new StringBuilder();
    for (int i = below(lengthMax + 1); i > 0; i--) {
      out.append(of(parts));
    }
    return out.toString();
  }
}
