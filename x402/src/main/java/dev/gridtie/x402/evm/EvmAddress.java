package dev.gridtie.x402.evm;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * The 20 bytes that name an EVM account or contract. Written with the EIP-55 checksum; read without
 * regard to case.
 */
public final class EvmAddress {
  public static final int LENGTH = 20;

  private final byte[] bytes;

  private EvmAddress(byte[] bytes) {
    this.bytes = bytes;
  }

  /**
   * Reads 0x and 40 hexadecimal digits.
   *
   * @throws IllegalArgumentException where it is anything else
   */
  public static EvmAddress of(String hex) {
    return new EvmAddress(Hex.decode(hex, LENGTH));
  }

  /**
   * The address of an uncompressed public key (65 bytes, first byte 4): the last 20 bytes of its
   * hash.
   */
  public static EvmAddress ofPublicKey(byte[] uncompressed) {
    byte[] hash = Hashes.keccak256(Arrays.copyOfRange(uncompressed, 1, 65));
    return new EvmAddress(Arrays.copyOfRange(hash, 12, 32));
  }

  /** The last 20 bytes of an ABI word. */
  public static EvmAddress ofWord(byte[] word) {
    return new EvmAddress(Arrays.copyOfRange(word, 12, 32));
  }

  public byte[] bytes() {
    return bytes.clone();
  }

  /** All lower case: for keys and comparison. */
  public String lower() {
    return Hex.encode(bytes);
  }

  /** With the checksum of EIP-55 in the case of its letters. */
  @Override
  public String toString() {
    String lower = HexFormat.of().formatHex(bytes);
    byte[] hash = Hashes.keccak256(lower.getBytes(US_ASCII));
    StringBuilder out = new StringBuilder("0x");
    for (int i = 0; i < lower.length(); i++) {
      int nibble = (hash[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 0xf;
      out.append(nibble >= 8 ? Character.toUpperCase(lower.charAt(i)) : lower.charAt(i));
    }
    return out.toString();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof EvmAddress that && Arrays.equals(bytes, that.bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }
}
