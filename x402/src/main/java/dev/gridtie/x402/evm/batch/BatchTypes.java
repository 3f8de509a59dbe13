package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** What travels and what is hashed in scheme batch-settlement. */
public final class BatchTypes {
  public static final String SCHEME = "batch-settlement";

  /** How the codes of its refusals begin. */
  static final String CODE = "invalid_batch_settlement_evm_";

  /** Keeps the channels, at the same address on every chain. */
  public static final EvmAddress BATCH =
      EvmAddress.of("0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");

  /** Collects deposits by EIP-3009. */
  public static final EvmAddress ERC3009_COLLECTOR =
      EvmAddress.of("0x4020806089470a89826cB9fB1f4059150b550004");

  /** Collects deposits by Permit2. */
  public static final EvmAddress PERMIT2_COLLECTOR =
      EvmAddress.of("0x4020425FAf3B746C082C2f942b4E5159887B0005");

  /** The shortest and the longest time that a payer waits for its way out, in seconds. */
  public static final long DELAY_MIN = 900;

  public static final long DELAY_MAX = 2_592_000;

  private static final int UINT128_BITS = 128;

  private static final byte[] CHANNEL_TYPEHASH =
      Eip712.typeHash(
          "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,"
              + "uint40 withdrawDelay,bytes32 salt)");
  private static final byte[] VOUCHER_TYPEHASH =
      Eip712.typeHash("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");
  private static final byte[] REFUND_TYPEHASH =
      Eip712.typeHash("Refund(bytes32 channelId,uint256 nonce,uint128 amount)");
  private static final String CLAIM_ENTRY =
      "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)";
  private static final byte[] CLAIM_ENTRY_TYPEHASH = Eip712.typeHash(CLAIM_ENTRY);
  private static final byte[] CLAIM_BATCH_TYPEHASH =
      Eip712.typeHash("ClaimBatch(ClaimEntry[] claims)" + CLAIM_ENTRY);
  private static final byte[] RECEIVE_TYPEHASH =
      Eip712.typeHash(
          "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
              + "bytes32 nonce)");
  private static final byte[] DEPOSIT_WITNESS_TYPEHASH =
      Eip712.typeHash("DepositWitness(bytes32 channelId)");
  private static final byte[] PERMIT2_DEPOSIT_TYPEHASH =
      Eip712.typeHash(
          "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,"
              + "DepositWitness witness)DepositWitness(bytes32 channelId)TokenPermissions(address token,uint256 amount)");

  private BatchTypes() {}

  /** Under which vouchers, claims and refunds are signed on a chain. */
  public static byte[] domainSeparator(long chainId) {
    return Eip712.domainSeparator("x402 Batch Settlement", "1", chainId, BATCH);
  }

  /**
   * A channel: who pays whom, who signs for each, and how long the payer waits for its way out.
   *
   * @param payerAuthorizer whose key signs vouchers; the zero address leaves it to the payer
   * @param receiverAuthorizer whose key signs claims and refunds
   * @param withdrawDelay seconds
   * @param salt 32 bytes, so that two may have several channels
   */
  public record ChannelConfig(
      EvmAddress payer,
      EvmAddress payerAuthorizer,
      EvmAddress receiver,
      EvmAddress receiverAuthorizer,
      EvmAddress token,
      long withdrawDelay,
      byte[] salt) {

    byte[] words() {
      return Abi.concat(
          Abi.word(payer),
          Abi.word(payerAuthorizer),
          Abi.word(receiver),
          Abi.word(receiverAuthorizer),
          Abi.word(token),
          Abi.word(BigInteger.valueOf(withdrawDelay)),
          salt);
    }

    /** Names the channel on a chain: the whole EIP-712 digest of its configuration. */
    public byte[] id(long chainId) {
      return Eip712.digest(domainSeparator(chainId), Hashes.keccak256(CHANNEL_TYPEHASH, words()));
    }

    /** Who signs its vouchers. */
    public EvmAddress voucherSigner() {
      return payerAuthorizer.equals(NOBODY) ? payer : payerAuthorizer;
    }

    public ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.put("payer", payer.toString());
      json.put("payerAuthorizer", payerAuthorizer.toString());
      json.put("receiver", receiver.toString());
      json.put("receiverAuthorizer", receiverAuthorizer.toString());
      json.put("token", token.toString());
      json.put("withdrawDelay", withdrawDelay);
      json.put("salt", Hex.encode(salt));
      return json;
    }

    /**
     * Reads what {@link #toJson} wrote.
     *
     * @throws MalformedPaymentException naming the field that is missing or wrong
     */
    public static ChannelConfig fromJson(JsonNode json) throws MalformedPaymentException {
      JsonNode delay = json.path("withdrawDelay");
      if (!delay.isIntegralNumber() || !delay.canConvertToLong() || delay.longValue() < 0) {
        throw new MalformedPaymentException("withdrawDelay must be a whole number of seconds");
      }
      return new ChannelConfig(
          EvmFields.address(json, "payer"),
          EvmFields.address(json, "payerAuthorizer"),
          EvmFields.address(json, "receiver"),
          EvmFields.address(json, "receiverAuthorizer"),
          EvmFields.address(json, "token"),
          delay.longValue(),
          EvmFields.bytes(json, "salt", 32));
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof ChannelConfig that && Arrays.equals(words(), that.words());
    }

    @Override
    public int hashCode() {
      return Arrays.hashCode(words());
    }
  }

  private static final EvmAddress NOBODY = EvmAddress.of("0x" + "0".repeat(40));

  /**
   * A promise that so much of a channel, in all, may be claimed. It never expires; a later one
   * stands for all before it.
   *
   * @param maxClaimable atomic units, from the channel's beginning
   */
  public record Voucher(byte[] channelId, BigInteger maxClaimable, byte[] signature) {
    /** What its signer signs. */
    public static byte[] digest(byte[] channelId, BigInteger maxClaimable, long chainId) {
      return Eip712.digest(
          domainSeparator(chainId),
          Hashes.keccak256(VOUCHER_TYPEHASH, channelId, Abi.word(maxClaimable)));
    }

    ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.put("channelId", Hex.encode(channelId));
      json.put("maxClaimableAmount", maxClaimable.toString());
      json.put("signature", Hex.encode(signature));
      return json;
    }

    static Voucher fromJson(JsonNode json) throws MalformedPaymentException {
      return new Voucher(
          EvmFields.bytes(json, "channelId", 32),
          EvmFields.uint(json, "maxClaimableAmount", UINT128_BITS),
          EvmFields.signature(json, "signature"));
    }
  }

  /** How a deposit comes into the contract. */
  public sealed interface Authorization {
    /**
     * By EIP-3009: ReceiveWithAuthorization towards the collector, its nonce bound to the channel.
     */
    record Erc3009(BigInteger validAfter, BigInteger validBefore, byte[] salt, byte[] signature)
        implements Authorization {

      /** The token's nonce: keccak256(abi.encode(channelId, salt)). */
      static byte[] nonce(byte[] channelId, byte[] salt) {
        return Hashes.keccak256(channelId, salt);
      }

      /** hashStruct of ReceiveWithAuthorization. */
      static byte[] structHash(
          EvmAddress payer,
          BigInteger amount,
          BigInteger validAfter,
          BigInteger validBefore,
          byte[] nonce) {
        return Hashes.keccak256(
            RECEIVE_TYPEHASH,
            Abi.word(payer),
            Abi.word(ERC3009_COLLECTOR),
            Abi.word(amount),
            Abi.word(validAfter),
            Abi.word(validBefore),
            nonce);
      }
    }

    /** By Permit2, with the channel as the witness. */
    record Permit2(
        EvmAddress from,
        EvmAddress token,
        BigInteger amount,
        EvmAddress spender,
        BigInteger nonce,
        BigInteger deadline,
        byte[] channelId,
        byte[] signature)
        implements Authorization {

      static byte[] digest(
          EvmAddress token,
          BigInteger amount,
          BigInteger nonce,
          BigInteger deadline,
          byte[] channelId,
          long chainId) {
        byte[] witness = Hashes.keccak256(DEPOSIT_WITNESS_TYPEHASH, channelId);
        return Eip712.digest(
            Permit2Types.domainSeparator(chainId),
            Permit2Types.structHash(
                PERMIT2_DEPOSIT_TYPEHASH,
                token,
                amount,
                PERMIT2_COLLECTOR,
                nonce,
                deadline,
                witness));
      }
    }
  }

  /** What a client sends. */
  public sealed interface Payload {
    ChannelConfig config();

    Voucher voucher();

    /** Money into the channel, and the first voucher on it. */
    record Deposit(
        ChannelConfig config, Voucher voucher, BigInteger amount, Authorization authorization)
        implements Payload {}

    /** A voucher on what is in the channel. */
    record Plain(ChannelConfig config, Voucher voucher) implements Payload {}

    /**
     * Asks for what is left in the channel.
     *
     * @param voucher for what was charged in all, and no more
     * @param amount atomic units; empty for all
     */
    record Refund(ChannelConfig config, Voucher voucher, Optional<BigInteger> amount)
        implements Payload {}

    private String type() {
      return switch (this) {
        case Deposit d -> "deposit";
        case Plain p -> "voucher";
        case Refund r -> "refund";
      };
    }

    default ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.put("type", type());
      json.set("channelConfig", config().toJson());
      json.set("voucher", voucher().toJson());
      if (this instanceof Deposit d) {
        ObjectNode deposit = json.putObject("deposit");
        deposit.put("amount", d.amount().toString());
        ObjectNode how = deposit.putObject("authorization");
        switch (d.authorization()) {
          case Authorization.Erc3009 a ->
              how.putObject("erc3009Authorization")
                  .put("validAfter", a.validAfter().toString())
                  .put("validBefore", a.validBefore().toString())
                  .put("salt", Hex.encode(a.salt()))
                  .put("signature", Hex.encode(a.signature()));
          case Authorization.Permit2 a -> {
            ObjectNode p = how.putObject("permit2Authorization");
            p.put("from", a.from().toString());
            p.putObject("permitted")
                .put("token", a.token().toString())
                .put("amount", a.amount().toString());
            p.put("spender", a.spender().toString());
            p.put("nonce", a.nonce().toString());
            p.put("deadline", a.deadline().toString());
            p.putObject("witness").put("channelId", Hex.encode(a.channelId()));
            p.put("signature", Hex.encode(a.signature()));
          }
        }
      }
      if (this instanceof Refund r && r.amount().isPresent()) {
        json.put("amount", r.amount().get().toString());
      }
      return json;
    }

    /**
     * Reads the payload's own object.
     *
     * @throws MalformedPaymentException naming the field that is missing or wrong
     */
    public static Payload fromJson(JsonNode json) throws MalformedPaymentException {
      ChannelConfig config = ChannelConfig.fromJson(Fields.object(json, "channelConfig"));
      Voucher voucher = Voucher.fromJson(Fields.object(json, "voucher"));
      return switch (Fields.text(json, "type")) {
        case "voucher" -> new Plain(config, voucher);
        case "deposit" -> {
          JsonNode deposit = Fields.object(json, "deposit");
          yield new Deposit(
              config,
              voucher,
              EvmFields.uint(deposit, "amount", UINT128_BITS),
              authorization(Fields.object(deposit, "authorization")));
        }
        case "refund" ->
            new Refund(
                config,
                voucher,
                json.has("amount")
                    ? Optional.of(EvmFields.uint(json, "amount", UINT128_BITS))
                    : Optional.empty());
        default -> throw new MalformedPaymentException("type must be deposit, voucher or refund");
      };
    }

    private static Authorization authorization(JsonNode json) throws MalformedPaymentException {
      if (json.has("permit2Authorization")) {
        JsonNode p = Fields.object(json, "permit2Authorization");
        JsonNode permitted = Fields.object(p, "permitted");
        return new Authorization.Permit2(
            EvmFields.address(p, "from"),
            EvmFields.address(permitted, "token"),
            EvmFields.uint256(permitted, "amount"),
            EvmFields.address(p, "spender"),
            EvmFields.uint256(p, "nonce"),
            EvmFields.uint256(p, "deadline"),
            EvmFields.bytes(Fields.object(p, "witness"), "channelId", 32),
            EvmFields.signature(p, "signature"));
      }
      JsonNode a = Fields.object(json, "erc3009Authorization");
      return new Authorization.Erc3009(
          EvmFields.uint256(a, "validAfter"),
          EvmFields.uint256(a, "validBefore"),
          EvmFields.bytes(a, "salt", 32),
          EvmFields.signature(a, "signature"));
    }
  }

  /**
   * A claim on one channel.
   *
   * @param maxClaimable of the voucher
   * @param signature of the voucher
   * @param totalClaimed what shall have been claimed in all: at most the voucher's
   */
  public record Claim(
      ChannelConfig config, BigInteger maxClaimable, byte[] signature, BigInteger totalClaimed) {

    static Claim fromJson(JsonNode json) throws MalformedPaymentException {
      JsonNode voucher = Fields.object(json, "voucher");
      return new Claim(
          ChannelConfig.fromJson(Fields.object(voucher, "channel")),
          EvmFields.uint(voucher, "maxClaimableAmount", UINT128_BITS),
          EvmFields.signature(json, "signature"),
          EvmFields.uint(json, "totalClaimed", UINT128_BITS));
    }

    ObjectNode toJson() {
      ObjectNode json = Json.object();
      json.putObject("voucher")
          .put("maxClaimableAmount", maxClaimable.toString())
          .set("channel", config.toJson());
      json.put("signature", Hex.encode(signature));
      json.put("totalClaimed", totalClaimed.toString());
      return json;
    }
  }

  /** What the receiver's authorizer signs, so that anybody may bring the claims to the chain. */
  public static byte[] claimBatchDigest(List<Claim> claims, long chainId) {
    byte[][] entries = new byte[claims.size()][];
    for (int i = 0; i < entries.length; i++) {
      Claim claim = claims.get(i);
      entries[i] =
          Hashes.keccak256(
              CLAIM_ENTRY_TYPEHASH,
              claim.config().id(chainId),
              Abi.word(claim.maxClaimable()),
              Abi.word(claim.totalClaimed()));
    }
    return Eip712.digest(
        domainSeparator(chainId),
        Hashes.keccak256(CLAIM_BATCH_TYPEHASH, Hashes.keccak256(Abi.concat(entries))));
  }

  /** What the receiver's authorizer signs to give money back. */
  public static byte[] refundDigest(
      byte[] channelId, BigInteger nonce, BigInteger amount, long chainId) {
    return Eip712.digest(
        domainSeparator(chainId),
        Hashes.keccak256(REFUND_TYPEHASH, channelId, Abi.word(nonce), Abi.word(amount)));
  }
}
