package dev.gridtie.x402.evm.exact;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
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
              EvmFields.address(a, "from"),
              EvmFields.address(a, "to"),
              EvmFields.uint256(a, "value"),
              EvmFields.uint256(a, "validAfter"),
              EvmFields.uint256(a, "validBefore"),
              EvmFields.bytes(a, "nonce", 32)),
          EvmFields.signature(json, "signature"));
    }
  }

  /**
   * Names a payment for ever: the token takes each nonce of a payer once.
   *
   * @throws MalformedPaymentException where the payload cannot be read
   */
  public static String paymentKey(String network, EvmAddress token, PaymentPayload payment)
      throws MalformedPaymentException {
    Authorization a = Payload.fromJson(payment.payload()).authorization();
    String text = String.join("|", network, token.lower(), a.from().lower(), Hex.encode(a.nonce()));
    return "exact-" + Hex.encode(Hashes.sha256(text.getBytes(US_ASCII))).substring(2);
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
    long chainId = EvmFields.chainId(requirements);
    return Eip712.domainSeparator(name, version, chainId, EvmFields.asset(requirements));
  }
}
