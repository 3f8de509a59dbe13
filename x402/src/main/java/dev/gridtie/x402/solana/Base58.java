package dev.gridtie.x402.solana;

import java.math.BigInteger;

/** Base58 with Bitcoin's alphabet, as Solana writes addresses and signatures. */
public final class Base58 {
  private static final String ALPHABET =
      "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  private static final BigInteger BASE = BigInteger.valueOf(58);

  /** The longest text that is read: a signature's. */
  private static final int LENGTH_MAX = 90;

  private Base58() {}

  public static String encode(byte[] bytes) {
    StringBuilder out = new StringBuilder();
    for (BigInteger rest = new BigInteger(1, bytes); rest.signum() > 0; ) {
      BigInteger[] next = rest.divideAndRemainder(BASE);
      out.append(ALPHABET.charAt(next[1].intValue()));
      rest = next[0];
    }
    for (int i = 0; i < bytes.length && bytes[i] == 0; i++) {
      out.append('1');
    }
    return out.reverse().toString();
  }

  /**
   * Reads exactly so many bytes.
   *
   * @throws IllegalArgumentException where it is anything else
   */
  public static byte[] decode(String text, int length) {
    if (text.isEmpty() || text.length() > LENGTH_MAX) {
      throw new IllegalArgumentException("not base58 of " + length + " bytes");
    }
    BigInteger value = BigInteger.ZERO;
    int zeros = 0;
    for (int i = 0; i < text.length(); i++) {
      int digit = ALPHABET.indexOf(text.charAt(i));
      if (digit < 0) {
        throw new IllegalArgumentException("not base58");
      }
      zeros += digit == 0 && zeros == i ? 1 : 0;
      value = value.multiply(BASE).add(BigInteger.valueOf(digit));
    }
    byte[] magnitude = value.signum() == 0 ? new byte[0] : value.toByteArray();
    int skip = magnitude.length > 0 && magnitude[0] == 0 ? 1 : 0;
    if (zeros + magnitude.length - skip != length) {
      throw new IllegalArgumentException("not base58 of " + length + " bytes");
    }
    byte[] out = new byte[length];
    System.arraycopy(magnitude, skip, out, zeros, magnitude.length - skip);
    return out;
  }
}
