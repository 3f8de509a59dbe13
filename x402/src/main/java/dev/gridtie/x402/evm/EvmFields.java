package dev.gridtie.x402.evm;

import dev.gridtie.base.Hex;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import tools.jackson.databind.JsonNode;

/** Reads the fields of EVM payloads, strictly. */
public final class EvmFields {
  private static final int UINT256_BITS = 256;
  private static final int SIGNATURE_BYTES_MAX = 2048;

  private EvmFields() {}

  public static EvmAddress address(JsonNode json, String key) throws MalformedPaymentException {
    try {
      return EvmAddress.of(Fields.text(json, key));
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException(
          key + " must be an address: 0x and 40 hexadecimal digits");
    }
  }

  /** A number as a decimal text. */
  public static BigInteger uint256(JsonNode json, String key) throws MalformedPaymentException {
    return uint(json, key, UINT256_BITS);
  }

  /** A number of at most so many bits, as a decimal text. */
  public static BigInteger uint(JsonNode json, String key, int bits)
      throws MalformedPaymentException {
    BigInteger value = Fields.uint256(json, key);
    if (value.bitLength() > bits) {
      throw new MalformedPaymentException(key + " exceeds " + bits + " bits");
    }
    return value;
  }

  /** Exactly so many bytes. */
  public static byte[] bytes(JsonNode json, String key, int length)
      throws MalformedPaymentException {
    try {
      return Hex.decode(Fields.text(json, key), length);
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException(
          key + " must be 0x and hexadecimal digits of " + length + " bytes");
    }
  }

  /** A signature: 65 bytes of a key, or whatever a contract wants. */
  public static byte[] signature(JsonNode json, String key) throws MalformedPaymentException {
    try {
      byte[] signature = Hex.decode(Fields.text(json, key));
      if (signature.length > SIGNATURE_BYTES_MAX) {
        throw new MalformedPaymentException(
            key + " is longer than " + SIGNATURE_BYTES_MAX + " bytes");
      }
      return signature;
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException(key + " must be 0x and hexadecimal digits");
    }
  }

  /** The token of requirements. */
  public static EvmAddress asset(PaymentRequirements requirements)
      throws MalformedPaymentException {
    return address(requirements.asset(), "asset");
  }

  /** The payee of requirements. */
  public static EvmAddress payTo(PaymentRequirements requirements)
      throws MalformedPaymentException {
    return address(requirements.payTo(), "payTo");
  }

  private static EvmAddress address(String text, String what) throws MalformedPaymentException {
    try {
      return EvmAddress.of(text);
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException(what + " must be an address");
    }
  }

  /** The chain that requirements name. */
  public static long chainId(PaymentRequirements requirements) throws MalformedPaymentException {
    return Networks.evmChainId(requirements.network())
        .orElseThrow(
            () -> new MalformedPaymentException(requirements.network() + " is not an EVM network"));
  }
}
