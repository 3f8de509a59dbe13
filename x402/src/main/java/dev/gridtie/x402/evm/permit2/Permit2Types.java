package dev.gridtie.x402.evm.permit2;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.client.Commitment;
import dev.gridtie.x402.client.Nonce;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import java.math.BigInteger;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** What travels and what is hashed where Permit2 moves the money (SignatureTransfer, witness). */
public final class Permit2Types {
  /** Permit2, at the same address on every chain. */
  public static final EvmAddress PERMIT2 =
      EvmAddress.of("0x000000000022D473030F116dDEE9F6B43aC78BA3");

  /** Moves exactly what was permitted. */
  public static final EvmAddress EXACT_PROXY =
      EvmAddress.of("0x402085c248EeA27D92E8b30b2C58ed07f9E20001");

  /** Moves at most what was permitted, for one facilitator. */
  public static final EvmAddress UPTO_PROXY =
      EvmAddress.of("0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002");

  /** The value of {@code extra.assetTransferMethod}. */
  public static final String METHOD = "permit2";

  private static final byte[] TOKEN_PERMISSIONS_TYPEHASH =
      Eip712.typeHash("TokenPermissions(address token,uint256 amount)");
  private static final String PERMIT_STUB =
      "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,";
  private static final byte[] EXACT_TYPEHASH =
      Eip712.typeHash(
          PERMIT_STUB
              + "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,uint256 validAfter)");
  private static final byte[] EXACT_WITNESS_TYPEHASH =
      Eip712.typeHash("Witness(address to,uint256 validAfter)");
  private static final byte[] UPTO_TYPEHASH =
      Eip712.typeHash(
          PERMIT_STUB
              + "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,address facilitator,uint256 validAfter)");
  private static final byte[] UPTO_WITNESS_TYPEHASH =
      Eip712.typeHash("Witness(address to,address facilitator,uint256 validAfter)");

  private Permit2Types() {}

  /** Whether a payment of scheme exact has accepted to be moved by Permit2. */
  public static boolean isAcceptedBy(PaymentPayload payment) {
    return payment
        .accepted()
        .map(a -> a.extra().path("assetTransferMethod").asString("").equals(METHOD))
        .orElse(false);
  }

  /**
   * Names a payment by Permit2 for ever: owner and nonce.
   *
   * @throws MalformedPaymentException where the payload cannot be read
   */
  public static String paymentKey(String network, PaymentPayload payment)
      throws MalformedPaymentException {
    Authorization a = Payload.fromJson(payment.payload(), false).authorization();
    String text =
        String.join("|", network, PERMIT2.lower(), a.from().lower(), a.nonce().toString());
    return "permit2-" + Hex.encode(Hashes.sha256(text.getBytes(US_ASCII))).substring(2);
  }

  /** Under which Permit2 signs on a chain (EIP-712; no version). */
  public static byte[] domainSeparator(long chainId) {
    return Eip712.domainSeparator("Permit2", chainId, PERMIT2);
  }

  /**
   * hashStruct of PermitWitnessTransferFrom.
   *
   * @param typeHash of the whole, witness included
   */
  public static byte[] structHash(
      byte[] typeHash,
      EvmAddress token,
      BigInteger amount,
      EvmAddress spender,
      BigInteger nonce,
      BigInteger deadline,
      byte[] witness) {
    return Hashes.keccak256(
        typeHash,
        Hashes.keccak256(TOKEN_PERMISSIONS_TYPEHASH, Abi.word(token), Abi.word(amount)),
        Abi.word(spender),
        Abi.word(nonce),
        Abi.word(deadline),
        witness);
  }

  /**
   * Whom a permit may pay.
   *
   * @param facilitator who alone may settle it, in scheme upto; empty in scheme exact
   * @param validAfter Unix seconds
   */
  public record Witness(EvmAddress to, Optional<EvmAddress> facilitator, BigInteger validAfter) {
    byte[] hash() {
      return facilitator
          .map(f -> Hashes.keccak256(UPTO_WITNESS_TYPEHASH, words()))
          .orElseGet(() -> Hashes.keccak256(EXACT_WITNESS_TYPEHASH, words()));
    }

    /** As the proxies take it. */
    public byte[] words() {
      return Abi.concat(
          Abi.word(to), facilitator.map(Abi::word).orElse(new byte[0]), Abi.word(validAfter));
    }
  }

  /**
   * A transfer that its payer permits.
   *
   * @param amount atomic units; the most, in scheme upto
   * @param nonce used once per payer, whatever the scheme
   * @param deadline Unix seconds; valid up to and with it
   */
  public record Authorization(
      EvmAddress from,
      EvmAddress token,
      BigInteger amount,
      EvmAddress spender,
      BigInteger nonce,
      BigInteger deadline,
      Witness witness) {

    /** What the payer signs on a chain. */
    public byte[] digest(long chainId) {
      byte[] typeHash = witness.facilitator().isPresent() ? UPTO_TYPEHASH : EXACT_TYPEHASH;
      byte[] structHash =
          structHash(typeHash, token, amount, spender, nonce, deadline, witness.hash());
      return Eip712.digest(domainSeparator(chainId), structHash);
    }

    /** What it can take, and for how long: Permit2 takes it up to and with its deadline. */
    public Commitment commitment(String network) {
      return new Commitment(
          amount,
          deadline.longValueExact() + 1,
          Optional.of(
              new Nonce(
                  Nonce.Kind.PERMIT2,
                  network,
                  PERMIT2.toString(),
                  from.toString(),
                  Hex.encode(Abi.word(nonce)))));
    }

    /** The permit as the proxies take it: token, amount, nonce, deadline. */
    public byte[] permitWords() {
      return Abi.concat(Abi.word(token), Abi.word(amount), Abi.word(nonce), Abi.word(deadline));
    }

    ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.put("from", from.toString());
      json.putObject("permitted").put("token", token.toString()).put("amount", amount.toString());
      json.put("spender", spender.toString());
      json.put("nonce", nonce.toString());
      json.put("deadline", deadline.toString());
      ObjectNode w = json.putObject("witness");
      w.put("to", witness.to().toString());
      witness.facilitator().ifPresent(f -> w.put("facilitator", f.toString()));
      w.put("validAfter", witness.validAfter().toString());
      return json;
    }
  }

  /** A signed permit: the payload of schemes exact and upto by Permit2. */
  public record Payload(Authorization authorization, byte[] signature) {
    public ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.put("signature", Hex.encode(signature));
      json.set("permit2Authorization", authorization.toJson());
      return json;
    }

    /** Whether a payload is one of these, and not of EIP-3009. */
    public static boolean isIn(JsonNode json) {
      return json.has("permit2Authorization");
    }

    /**
     * Reads the payload's own object.
     *
     * @param upto whether the witness must name a facilitator
     * @throws MalformedPaymentException naming the field that is missing or wrong
     */
    public static Payload fromJson(JsonNode json, boolean upto) throws MalformedPaymentException {
      JsonNode a = Fields.object(json, "permit2Authorization");
      JsonNode permitted = Fields.object(a, "permitted");
      JsonNode witness = Fields.object(a, "witness");
      return new Payload(
          new Authorization(
              EvmFields.address(a, "from"),
              EvmFields.address(permitted, "token"),
              EvmFields.uint256(permitted, "amount"),
              EvmFields.address(a, "spender"),
              EvmFields.uint256(a, "nonce"),
              EvmFields.uint256(a, "deadline"),
              new Witness(
                  EvmFields.address(witness, "to"),
                  upto ? Optional.of(EvmFields.address(witness, "facilitator")) : Optional.empty(),
                  EvmFields.uint256(witness, "validAfter"))),
          EvmFields.signature(json, "signature"));
    }
  }
}
