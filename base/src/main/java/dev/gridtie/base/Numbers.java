package dev.gridtie.base;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.regex.Pattern;

/**
 * Numbers that come from outside as text. Digits, exponent and sign are bounded before any
 * arithmetic: {@code 1e999999999} is ten characters, and a gigabyte once it is written out.
 */
public final class Numbers {
  /** The most digits of a number: a uint256 has so many. */
  public static final int DIGITS_MAX = 78;

  /** The largest exponent of a decimal number, in either direction. */
  public static final int EXPONENT_MAX = 78;

  /** The longest text of a number: its digits, zeros before them, a sign, a point, an exponent. */
  private static final int TEXT_LENGTH_MAX = 128;

  private static final int SHOWN_MAX = 40;
  private static final int UINT256_BITS = 256;

  private static final Pattern DECIMAL =
      Pattern.compile("[+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?");
  private static final Pattern WHOLE = Pattern.compile("-?(?:0|[1-9][0-9]*)");

  private Numbers() {}

  /**
   * Reads a decimal number such as {@code 0.25} or {@code 1e-6}.
   *
   * @throws NumberFormatException where it is none, or exceeds {@link #DIGITS_MAX} or {@link
   *     #EXPONENT_MAX}
   */
  public static BigDecimal decimal(String text) {
    if (text.length() > TEXT_LENGTH_MAX || !DECIMAL.matcher(text).matches()) {
      throw refused("a decimal number", text);
    }
    BigDecimal number = new BigDecimal(text); // not written out: a whole number and its scale
    if (number.precision() > DIGITS_MAX || Math.abs((long) number.scale()) > EXPONENT_MAX) {
      throw refused(
          "a number of at most %d digits with an exponent of at most %d"
              .formatted(DIGITS_MAX, EXPONENT_MAX),
          text);
    }
    return number;
  }

  /**
   * Reads a whole number, not below zero, of at most so many digits; without leading zeros.
   *
   * @throws NumberFormatException where it is anything else
   */
  public static BigInteger natural(String text, int digitsMax) {
    if (text.startsWith("-")) {
      throw refused("a whole number that is not negative", text);
    }
    return integer(text, digitsMax);
  }

  /**
   * Reads a whole number of at most so many digits, with a minus before it where it is negative.
   *
   * @throws NumberFormatException where it is anything else
   */
  public static BigInteger integer(String text, int digitsMax) {
    int digits = text.length() - (text.startsWith("-") ? 1 : 0);
    if (digits > digitsMax || !WHOLE.matcher(text).matches()) {
      throw refused("a whole number of at most " + digitsMax + " digits", text);
    }
    return new BigInteger(text);
  }

  /**
   * Reads a whole number below 2^256, as decimal text.
   *
   * @throws NumberFormatException where it is anything else
   */
  public static BigInteger uint256(String text) {
    BigInteger number = natural(text, DIGITS_MAX);
    if (number.bitLength() > UINT256_BITS) {
      throw refused("a whole number below 2^256", text);
    }
    return number;
  }

  /**
   * Reads a whole number within bounds.
   *
   * @throws NumberFormatException where it is none, or not within them
   */
  public static int whole(String text, int min, int max) {
    BigInteger number = integer(text, 10);
    if (number.longValue() < min || number.longValue() > max) { // ten digits are a long
      throw refused("a whole number from " + min + " to " + max, text);
    }
    return number.intValueExact();
  }

  private static NumberFormatException refused(String expected, String text) {
    return new NumberFormatException("not " + expected + ": " + shown(text));
  }

  /** As much of a text as a message may repeat. */
  static String shown(String text) {
    return text.length() <= SHOWN_MAX ? text : text.substring(0, SHOWN_MAX) + "…";
  }
}
