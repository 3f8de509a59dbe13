package dev.gridtie.x402.evm;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.util.Arrays;

/**
 * Words of the contract ABI: 32 bytes each, which is also how EIP-712 encodes the members of a
 * struct. Only static types, and one trailing {@code bytes}: all that the calls of this module
 * need.
 */
public final class Abi {
  private static final BigInteger UINT256_END = BigInteger.ONE.shiftLeft(256);

  private Abi() {}

  /** The first four bytes of the hash of a function's signature. */
  public static byte[] selector(String signature) {
    return Arrays.copyOf(Hashes.keccak256(signature.getBytes(US_ASCII)), 4);
  }

  public static byte[] word(BigInteger value) {
    if (value.signum() < 0 || value.compareTo(UINT256_END) >= 0) {
      throw new IllegalArgumentException("not a uint256: " + value);
    }
    byte[] magnitude = value.toByteArray();
    byte[] word = new byte[32];
    int length = Math.min(magnitude.length, 32);
    System.arraycopy(magnitude, magnitude.length - length, word, 32 - length, length);
    return word;
  }

  public static byte[] word(EvmAddress address) {
    byte[] word = new byte[32];
    System.arraycopy(address.bytes(), 0, word, 12, EvmAddress.LENGTH);
    return word;
  }

  /** A call: the selector, and the words behind it. */
  public static byte[] call(String signature, byte[]... words) {
    return concat(selector(signature), concat(words));
  }

  /**
   * {@code bytes} as the last argument of a call with {@code headWords} words before its own
   * offset.
   */
  public static byte[] trailingBytes(int headWords, byte[] bytes) {
    int padded = (bytes.length + 31) / 32 * 32;
    return concat(
        word(BigInteger.valueOf((headWords + 1) * 32L)),
        word(BigInteger.valueOf(bytes.length)),
        Arrays.copyOf(bytes, padded));
  }

  public static BigInteger uint(byte[] word) {
    return new BigInteger(1, word);
  }

  public static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }
}
