package dev.gridtie.grid.pay;

import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.model.Precision;
import java.math.BigInteger;

/**
 * What a node's work is worth, in FLOP: integers from end to end, one credit being 1.4e17.
 *
 * <pre>
 * work    = Σ over tokens: 2 · active parameters + 4 · layers · attention width · position
 *           prefill and decode apart, for prefill is cheap to compute and decode is not:
 *           prefill counts {@value #PREFILL_PERCENT} per cent, decode all
 * paid    = work · size · precision · holding · reliability, and the energy bonus
 *
 * size        0.80 to 1.60, by total parameters: who holds a large model is rare
 * precision   1.00 for 16 bits to 0.50 for 2: finer weights are the better answer
 * holding     1.00 to 1.50: a mixture of experts is held whole and computes a part
 * reliability 0.50 to 1.00: the part of its answers that the node brought to their end
 * bonus       what electricity cost beyond what was earned, up to five times that
 * </pre>
 *
 * <p>Each factor is in parts per million, and each product is rounded down. Examples are in
 * docs/contribute.md, and a test recomputes them.
 */
public final class PayFormula {
  /** What a token of a prompt counts, of one that is generated. */
  public static final int PREFILL_PERCENT = 25;

  private static final BigInteger MILLION = BigInteger.valueOf(1_000_000);
  private static final BigInteger JOULES_PER_KWH = BigInteger.valueOf(3_600_000);

  /** The most that the energy bonus adds, in parts per million of what was earned without. */
  private static final int BONUS_PPM_MAX = 5_000_000;

  /** A node that has just come is believed to be this reliable. */
  public static final int RELIABILITY_PPM_NEW = 900_000;

  private static final int RELIABILITY_PPM_MIN = 500_000;

  private PayFormula() {}

  /**
   * What was done for one answer, or a part of it.
   *
   * @param prefillTokens that were read
   * @param cachedTokens before them, that need not be read again
   * @param decodeTokens that were generated
   */
  public record Work(int prefillTokens, int cachedTokens, int decodeTokens) {
    public Work {
      if (prefillTokens < 0 || cachedTokens < 0 || decodeTokens < 0) {
        throw new IllegalArgumentException("tokens are not negative");
      }
    }
  }

  /**
   * What electricity was taken for it, and what it costs.
   *
   * @param joules as the node measured, or its hardware usually takes; 0 where nothing is known
   * @param flopPerKwh what a kilowatt-hour costs, in FLOP at the price of a credit
   */
  public record Energy(long joules, BigInteger flopPerKwh) {
    public static final Energy UNKNOWN = new Energy(0, BigInteger.ZERO);

    BigInteger cost() {
      return flopPerKwh.multiply(BigInteger.valueOf(joules)).divide(JOULES_PER_KWH);
    }
  }

  /** FLOP of tokens at positions from {@code begin} on, by the model that was really served. */
  static BigInteger flop(Manifest model, long begin, long tokens) {
    BigInteger n = BigInteger.valueOf(tokens);
    BigInteger weights =
        BigInteger.TWO.multiply(BigInteger.valueOf(model.activeParameters())).multiply(n);
    BigInteger attention =
        BigInteger.valueOf(4L * model.layers())
            .multiply(BigInteger.valueOf(model.attentionWidth()));
    // Σ (begin + i) for i from 0 to n − 1
    BigInteger positions =
        BigInteger.valueOf(begin)
            .multiply(n)
            .add(n.multiply(n.subtract(BigInteger.ONE)).shiftRight(1));
    return weights.add(attention.multiply(positions));
  }

  /** FLOP that were computed, prefill at its part; no factor applied. */
  public static BigInteger work(Manifest model, Work work) {
    BigInteger prefill =
        flop(model, work.cachedTokens(), work.prefillTokens())
            .multiply(BigInteger.valueOf(PREFILL_PERCENT))
            .divide(BigInteger.valueOf(100));
    long read = (long) work.cachedTokens() + work.prefillTokens();
    return prefill.add(flop(model, read, work.decodeTokens()));
  }

  /**
   * What is paid, in FLOP.
   *
   * @param quantization that was served
   * @param reliabilityPpm of the node, parts per million
   */
  public static BigInteger pay(
      Manifest model, String quantization, Work work, int reliabilityPpm, Energy energy) {
    BigInteger earned = work(model, work);
    earned = times(earned, sizePpm(model.totalParameters()));
    earned = times(earned, precisionPpm(Precision.bits(quantization)));
    earned = times(earned, holdingPpm(model));
    earned = times(earned, Math.clamp(reliabilityPpm, RELIABILITY_PPM_MIN, 1_000_000));
    BigInteger lacking = energy.cost().subtract(earned).max(BigInteger.ZERO);
    return earned.add(lacking.min(times(earned, BONUS_PPM_MAX)));
  }

  private static BigInteger times(BigInteger value, int ppm) {
    return value.multiply(BigInteger.valueOf(ppm)).divide(MILLION);
  }

  static int sizePpm(long totalParameters) {
    long billions = totalParameters / 1_000_000_000;
    if (billions < 3) {
      return 800_000;
    }
    return billions < 12
        ? 1_000_000
        : billions < 40
            ? 1_150_000
            : billions < 90 ? 1_300_000 : billions < 250 ? 1_450_000 : 1_600_000;
  }

  static int precisionPpm(int bits) {
    return switch (bits) {
      case 2 -> 500_000;
      case 3 -> 700_000;
      case 4 -> 850_000;
      case 5 -> 900_000;
      case 6 -> 930_000;
      case 8 -> 970_000;
      default -> bits > 8 ? 1_000_000 : 500_000;
    };
  }

  /** A tenth more for each time over that the model is larger than what computes, up to half. */
  static int holdingPpm(Manifest model) {
    long more =
        (model.totalParameters() - model.activeParameters()) * 100_000 / model.activeParameters();
    return (int) Math.min(1_500_000, 1_000_000 + more);
  }
}
