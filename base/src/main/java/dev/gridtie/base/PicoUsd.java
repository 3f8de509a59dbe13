package dev.gridtie.base;

import java.math.BigDecimal;
import java.math.BigInteger;

/**
 * An amount of money as a whole number of pico-dollars (1e-12 USD). Never negative, never floating
 * point; arithmetic is exact. The two places where a value is rounded are named after what they do.
 */
public record PicoUsd(BigInteger pico) implements Comparable<PicoUsd> {
  /** Decimal digits between a dollar and the unit. */
  public static final int SCALE = 12;

  /** The most decimals that a token may have. */
  public static final int DECIMALS_MAX = 36;

  public static final PicoUsd ZERO = new PicoUsd(BigInteger.ZERO);

  public PicoUsd {
    if (pico.signum() < 0) {
      throw new IllegalArgumentException("money is never negative: " + pico);
    }
  }

  public static PicoUsd of(long pico) {
    return new PicoUsd(BigInteger.valueOf(pico));
  }

  /**
   * Reads decimal dollars such as {@code "0.25"}.
   *
   * @throws IllegalArgumentException where it is no number, negative, or finer than a pico-dollar
   */
  public static PicoUsd ofDollars(String dollars) {
    try {
      return new PicoUsd(new BigDecimal(dollars).movePointRight(SCALE).toBigIntegerExact());
    } catch (ArithmeticException | NumberFormatException e) {
      throw new IllegalArgumentException(
          "not an amount in dollars of at most 12 decimals: " + dollars, e);
    }
  }

  /**
   * The value of atomic units of a dollar token: exact up to 12 decimals, and of a finer token
   * rounded down, so that what is credited never exceeds what came.
   */
  public static PicoUsd ofAtomic(BigInteger atomic, int decimals) {
    return new PicoUsd(
        decimals > SCALE
            ? atomic.divide(atomsAPico(decimals))
            : atomic.multiply(picosAnAtom(decimals)));
  }

  /**
   * Atomic units that are worth at least this much: rounded up, so that a quote never falls short.
   */
  public BigInteger toAtomicRoundedUp(int decimals) {
    if (decimals > SCALE) {
      return pico.multiply(atomsAPico(decimals));
    }
    BigInteger unit = picosAnAtom(decimals);
    return pico.add(unit.subtract(BigInteger.ONE)).divide(unit);
  }

  /**
   * Atomic units that are worth at most this much: rounded down, so that a payout never exceeds
   * what is owed.
   */
  public BigInteger toAtomicRoundedDown(int decimals) {
    return decimals > SCALE
        ? pico.multiply(atomsAPico(decimals))
        : pico.divide(picosAnAtom(decimals));
  }

  private static BigInteger picosAnAtom(int decimals) {
    if (decimals < 0) {
      throw new IllegalArgumentException("a token of " + decimals + " decimals");
    }
    return BigInteger.TEN.pow(SCALE - decimals);
  }

  private static BigInteger atomsAPico(int decimals) {
    if (decimals > DECIMALS_MAX) {
      throw new IllegalArgumentException("a token of " + decimals + " decimals");
    }
    return BigInteger.TEN.pow(decimals - SCALE);
  }

  public PicoUsd plus(PicoUsd other) {
    return new PicoUsd(pico.add(other.pico));
  }

  /**
   * This less {@code other}.
   *
   * @throws IllegalArgumentException where other is more
   */
  public PicoUsd minus(PicoUsd other) {
    return new PicoUsd(pico.subtract(other.pico));
  }

  public PicoUsd times(long count) {
    return new PicoUsd(pico.multiply(BigInteger.valueOf(count)));
  }

  public PicoUsd min(PicoUsd other) {
    return compareTo(other) <= 0 ? this : other;
  }

  public boolean isZero() {
    return pico.signum() == 0;
  }

  @Override
  public int compareTo(PicoUsd other) {
    return pico.compareTo(other.pico);
  }

  /** Plain decimal dollars without trailing zeros, such as {@code 0.000118}. */
  public String dollars() {
    BigDecimal value = new BigDecimal(pico, SCALE).stripTrailingZeros();
    return value.scale() < 0 ? value.setScale(0).toPlainString() : value.toPlainString();
  }

  @Override
  public String toString() {
    return "$" + dollars();
  }
}
