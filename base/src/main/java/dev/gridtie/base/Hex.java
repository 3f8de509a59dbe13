package dev.gridtie.base;

import java.util.HexFormat;

/** Bytes as 0x-prefixed lower-case hexadecimal, the way EVM JSON writes them. */
public final class Hex {
  private static final HexFormat FORMAT = HexFormat.of();

  private Hex() {}

  /** {@code 0x}-prefixed, two lower-case digits a byte. */
  public static String encode(byte[] bytes) {
    return "0x" + FORMAT.formatHex(bytes);
  }

  /**
   * Reads 0x-prefixed hexadecimal of an even number of digits.
   *
   * @throws IllegalArgumentException where it is anything else
   */
  public static byte[] decode(String hex) {
    if (!hex.startsWith("0x")) {
      throw new IllegalArgumentException("hexadecimal must start with 0x");
    }
    return FORMAT.parseHex(hex, 2, hex.length());
  }

  /**
   * Reads 0x-prefixed hexadecimal of exactly {@code length} bytes.
   *
   * @throws IllegalArgumentException where it is anything else
   */
  public static byte[] decode(String hex, int length) {
    byte[] bytes = decode(hex);
    if (bytes.length != length) {
      throw new IllegalArgumentException("expected " + length + " bytes, got " + bytes.length);
    }
    return bytes;
  }
}
