package dev.gridtie.x402.evm.exact;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** What travels and what is hashed in scheme exact by EIP-3009. */
public final class ExactTypes {
  public static final String SCHEME = "exact";

  private static final byte[] TRANSFER_TYPEHASH =
      Eip712.typeHash(
          "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
              + "bytes32 nonce)");

  private static final int UINT256_DIGITS_MAX = 78;
  private static final int UINT256_BITS = 256;

  private ExactTypes() {}

  /**
   * A transfer that its payer authorises (EIP-3009).
   *
   * @param value atomic units
   * @param validAfter Unix seconds; valid strictly after
   * @param validBefore Unix seconds; valid strictly before
   * @param nonce 32 bytes, used once per payer
   */
  public record Authorization(
      EvmAddress from,
      EvmAddress to,
      BigInteger value,
      BigInteger validAfter,
      BigInteger validBefore,
      byte[] nonce) {

    /** hashStruct of TransferWithAuthorization. */
    public byte[] structHash() {
      return Hashes.keccak256(TRANSFER_TYPEHASH, words());
    }

    byte[] words() {
      return Abi.concat(
          Abi.word(from),
          Abi.word(to),
          Abi.word(value),
          Abi.word(validAfter),
          Abi.word(validBefore),
          nonce);
    }

    ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.put("from", from.toString());
      json.put("to", to.toString());
      json.put("value", value.toString());
      json.put("validAfter", validAfter.toString());
      json.put("validBefore", validBefore.toString());
      json.put("nonce", Hex.encode(nonce));
      return json;
    }
  }

  /** A signed authorisation: the payload of scheme exact by EIP-3009. */
  public record Payload(Authorization authorization, byte[] signature) {
    public ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.set("authorization", authorization.toJson());
      json.put("signature", Hex.encode(signature));
      return json;
    }

    /**
     * Reads the payload's own object.
     *
     * @throws MalformedPaymentException naming the field that is missing or wrong
     */
    public static Payload fromJson(JsonNode json) throws MalformedPaymentException {
      JsonNode a = Fields.object(json, "authorization");
      return new Payload(
          new Authorization(
              address(a, "from"),
              address(a, "to"),
              uint256(a, "value"),
              uint256(a, "validAfter"),
              uint256(a, "validBefore"),
              bytes(a, "nonce", 32)),
          bytes(json, "signature", -1));
    }

    private static EvmAddress address(JsonNode json, String key) throws MalformedPaymentException {
      try {
        return EvmAddress.of(Fields.text(json, key));
      } catch (IllegalArgumentException e) {
        throw new MalformedPaymentException(
            key + " must be an address: 0x and 40 hexadecimal digits");
      }
    }

    private static BigInteger uint256(JsonNode json, String key) throws MalformedPaymentException {
      BigInteger value = Fields.decimal(json, key, UINT256_DIGITS_MAX);
      if (value.bitLength() > UINT256_BITS) {
        throw new MalformedPaymentException(key + " exceeds 256 bits");
      }
      return value;
    }

    private static byte[] bytes(JsonNode json, String key, int length)
        throws MalformedPaymentException {
      try {
        String text = Fields.text(json, key);
        return length < 0 ? Hex.decode(text) : Hex.decode(text, length);
      } catch (IllegalArgumentException e) {
        throw new MalformedPaymentException(
            key
                + " must be 0x and hexadecimal digits"
                + (length < 0 ? "" : " of " + length + " bytes"));
      }
    }
  }

  /**
   * What the token signs under (EIP-712): its name and version come in {@code extra}.
   *
   * @throws MalformedPaymentException where the requirements lack them, or are not of an EVM chain
   */
  static byte[] domainSeparator(PaymentRequirements requirements) throws MalformedPaymentException {
    String name = Json.text(requirements.extra(), "name");
    String version = Json.text(requirements.extra(), "version");
    if (name == null || version == null) {
      throw new MalformedPaymentException("extra must hold the token's EIP-712 name and version");
    }
    long chainId =
        Networks.evmChainId(requirements.network())
            .orElseThrow(
                () ->
                    new MalformedPaymentException(
                        requirements.network() + " is not an EVM network"));
    return Eip712.domainSeparator(name, version, chainId, asset(requirements));
  }

  static EvmAddress asset(PaymentRequirements requirements) throws MalformedPaymentException {
    try {
      return EvmAddress.of(requirements.asset());
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException("asset must be an address");
    }
  }
}
