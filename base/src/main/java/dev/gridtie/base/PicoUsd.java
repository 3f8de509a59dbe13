package dev.gridtie.base;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;

/**
 * An amount of money as a whole number of pico-dollars (1e-12 USD). Never negative, never floating
 * point; arithmetic is exact. The two places where a value is rounded are named after what they do.
 */
public record PicoUsd(BigInteger pico) implements Comparable<PicoUsd> {
  /** Decimal digits between a dollar and the unit. */
  public static final int SCALE = 12;

  /** The most decimals that a token may have. */
  public static final int DECIMALS_MAX = 36;

  /** More than there is: what exceeds it is no amount but a mistake, or an attack. */
  private static final BigDecimal DOLLARS_MAX = new BigDecimal("1e18");

  private static final int MILLION_DIGITS = 6;

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
   * Reads decimal dollars such as {@code "0.25"}, from wherever they come.
   *
   * @throws IllegalArgumentException where it is no number, negative, finer than a pico-dollar, or
   *     more than any amount can be
   */
  public static PicoUsd ofDollars(String dollars) {
    return read(dollars, 0, RoundingMode.UNNECESSARY);
  }

  /**
   * Reads what one costs where a million cost so many dollars.
   *
   * @throws IllegalArgumentException as {@link #ofDollars}; of more than six decimals too
   */
  public static PicoUsd ofDollarsPerMillion(String dollars) {
    return read(dollars, MILLION_DIGITS, RoundingMode.UNNECESSARY);
  }

  /**
   * Reads the most that one may cost, where a million may cost so many dollars: rounded down.
   *
   * @throws IllegalArgumentException where it is no number, negative, or more than any amount
   */
  public static PicoUsd ofDollarsPerMillionRoundedDown(String dollars) {
    return read(dollars, MILLION_DIGITS, RoundingMode.FLOOR);
  }

  /**
   * Reads the most that something may cost, in dollars: rounded down.
   *
   * @throws IllegalArgumentException where it is no number, negative, or more than any amount
   */
  public static PicoUsd ofDollarsRoundedDown(String dollars) {
    return read(dollars, 0, RoundingMode.FLOOR);
  }

  private static PicoUsd read(String text, int power, RoundingMode rounding) {
    try {
      BigDecimal dollars = Numbers.decimal(text); // bounded: what follows is cheap
      if (dollars.signum() >= 0 && dollars.compareTo(DOLLARS_MAX) <= 0) {
        BigDecimal pico = dollars.movePointRight(SCALE - power);
        return new PicoUsd(pico.setScale(0, rounding).toBigIntegerExact());
      }
    } catch (ArithmeticException | NumberFormatException e) {
      // Said below, in words that fit every cause.
    }
    throw new IllegalArgumentException(
        "not an amount in dollars, from 0 to 1e18 and of at most %d decimals: %s"
            .formatted(SCALE - power, Numbers.shown(text)));
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
