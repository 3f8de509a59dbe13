package dev.gridtie.x402.evm.permit2;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Extension eip2612GasSponsoring: the payer signs Permit2's allowance (EIP-2612), and the
 * facilitator brings it to the chain together with the payment, so that the payer needs no gas.
 *
 * @param value the allowance, atomic units
 * @param deadline Unix seconds
 */
public record GasSponsoring(BigInteger value, BigInteger deadline, byte[] signature) {
  public static final String KEY = "eip2612GasSponsoring";

  private static final byte[] PERMIT_TYPEHASH =
      Eip712.typeHash(
          "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

  /** What a 402 declares, so that clients know of it. */
  public static ObjectNode declaration() {
    ObjectNode extension = Json.object();
    extension
        .putObject("info")
        .put(
            "description",
            "Your allowance to Permit2, signed by EIP-2612, is brought to the chain with the payment.")
        .put("version", "1");
    ObjectNode schema = extension.putObject("schema").put("type", "object");
    var required = schema.putArray("required");
    for (String field :
        new String[] {
          "from", "asset", "spender", "amount", "nonce", "deadline", "signature", "version"
        }) {
      required.add(field);
    }
    return extension;
  }

  /**
   * The one that came with a payment, where one did.
   *
   * @throws MalformedPaymentException where it is not for this payer, token and Permit2
   */
  public static Optional<GasSponsoring> of(
      PaymentPayload payment, EvmAddress payer, EvmAddress token) throws MalformedPaymentException {
    JsonNode info = payment.extension(KEY);
    if (!info.isObject() || !info.has("signature")) {
      return Optional.empty();
    }
    if (!EvmFields.address(info, "from").equals(payer)
        || !EvmFields.address(info, "asset").equals(token)
        || !EvmFields.address(info, "spender").equals(Permit2Types.PERMIT2)) {
      throw new MalformedPaymentException(KEY + " is not for this payer, this token and Permit2");
    }
    byte[] signature = EvmFields.signature(info, "signature");
    if (signature.length != 65) {
      throw new MalformedPaymentException(KEY + ": the signature must have 65 bytes");
    }
    return Optional.of(
        new GasSponsoring(
            EvmFields.uint256(info, "amount"), EvmFields.uint256(info, "deadline"), signature));
  }

  /** As the proxies take it: value, deadline, r, s, v. */
  public byte[] words() {
    return Abi.concat(
        Abi.word(value),
        Abi.word(deadline),
        Arrays.copyOf(signature, 64),
        Abi.word(BigInteger.valueOf(signature[64] & 0xff)));
  }

  /**
   * What a client sends along.
   *
   * @param name of the token in EIP-712
   * @param nonce the token's count of the payer's permits
   */
  public static ObjectNode sign(
      EvmKey key,
      long chainId,
      EvmAddress token,
      String name,
      String version,
      BigInteger value,
      BigInteger nonce,
      BigInteger deadline) {
    byte[] structHash =
        Hashes.keccak256(
            PERMIT_TYPEHASH,
            Abi.word(key.address()),
            Abi.word(Permit2Types.PERMIT2),
            Abi.word(value),
            Abi.word(nonce),
            Abi.word(deadline));
    byte[] digest =
        Eip712.digest(Eip712.domainSeparator(name, version, chainId, token), structHash);
    ObjectNode info = Json.object();
    info.put("from", key.address().toString());
    info.put("asset", token.toString());
    info.put("spender", Permit2Types.PERMIT2.toString());
    info.put("amount", value.toString());
    info.put("nonce", nonce.toString());
    info.put("deadline", deadline.toString());
    info.put("signature", Hex.encode(key.sign(digest)));
    info.put("version", "1");
    return info;
  }
}
