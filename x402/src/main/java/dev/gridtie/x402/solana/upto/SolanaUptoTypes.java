package dev.gridtie.x402.solana.upto;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Json;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaInstructions;
import dev.gridtie.x402.solana.SolanaMessage.Instruction;
import dev.gridtie.x402.solana.SolanaMessage.Meta;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** What scheme upto on Solana says, and how it is written. */
final class SolanaUptoTypes {
  static final String SCHEME = "upto";

  /** The program that keeps a ceiling until it is settled. */
  static final SolanaAddress PROGRAM =
      SolanaAddress.of("CHNLxYvVA28MJP9PrFuDXccuoGXAx7jBacfLEkahyGsX");

  static final SolanaAddress SYSTEM = SolanaAddress.of("11111111111111111111111111111111");
  static final SolanaAddress RENT = SolanaAddress.of("SysvarRent111111111111111111111111111111111");

  private static final byte OPEN = 1;

  /** All of what is settled goes to the payee: ten thousand parts of ten thousand. */
  private static final short WHOLE = 10_000;

  private SolanaUptoTypes() {}

  /**
   * What a server's {@code extra} asks for.
   *
   * @param feePayer pays the fees and the rent, and is the channel's payee without a share
   * @param authorizer whose signature says what was used
   * @param delay seconds after which a payer may leave by itself
   */
  record Terms(
      SolanaAddress feePayer,
      SolanaAddress authorizer,
      long delay,
      SolanaAddress tokenProgram,
      SolanaAddress mint,
      SolanaAddress payTo,
      BigInteger ceiling) {

    /**
     * @throws MalformedPaymentException naming the field that is missing or wrong
     */
    static Terms of(PaymentRequirements asked) throws MalformedPaymentException {
      JsonNode extra = asked.extra();
      JsonNode delay = extra.path("withdrawDelay");
      if (!delay.isIntegralNumber() || delay.asLong() < 1 || delay.asLong() > 0xffffffffL) {
        throw new MalformedPaymentException("extra.withdrawDelay must be a number of seconds");
      }
      SolanaAddress program = address(Fields.text(extra, "tokenProgram"), "extra.tokenProgram");
      if (!program.equals(SolanaAddress.TOKEN) && !program.equals(SolanaAddress.TOKEN_2022)) {
        throw new MalformedPaymentException("extra.tokenProgram must be Token or Token-2022");
      }
      if (asked.amount().signum() < 1 || asked.amount().bitLength() > 64) {
        throw new MalformedPaymentException("amount must be from 1 to 2^64-1 atomic units");
      }
      return new Terms(
          address(Fields.text(extra, "feePayer"), "extra.feePayer"),
          address(Fields.text(extra, "receiverAuthorizer"), "extra.receiverAuthorizer"),
          delay.asLong(),
          program,
          address(asked.asset(), "asset"),
          address(asked.payTo(), "payTo"),
          asked.amount());
    }

    /** Where a payer's money is kept for one request. */
    SolanaAddress channel(SolanaAddress payer, BigInteger nonce, BigInteger openSlot) {
      return SolanaAddress.derived(
          PROGRAM,
          List.of(
              "channel".getBytes(US_ASCII),
              payer.bytes(),
              feePayer.bytes(),
              mint.bytes(),
              authorizer.bytes(),
              SolanaInstructions.little(8).putLong(nonce.longValue()).array(),
              SolanaInstructions.little(8).putLong(openSlot.longValue()).array()));
    }

    /** Puts the ceiling into a fresh channel. */
    Instruction open(SolanaAddress payer, BigInteger nonce, BigInteger openSlot) {
      SolanaAddress channel = channel(payer, nonce, openSlot);
      ByteBuffer data = SolanaInstructions.little(1 + 8 + 8 + 4 + 8 + 4 + 32 + 2);
      data.put(OPEN).putLong(nonce.longValue()).putLong(ceiling.longValue()).putInt((int) delay);
      data.putLong(openSlot.longValue()).putInt(1).put(payTo.bytes()).putShort(WHOLE);
      return new Instruction(
          PROGRAM,
          List.of(
              new Meta(payer, true, true),
              new Meta(feePayer, true, true),
              new Meta(feePayer, false, false),
              new Meta(mint, false, false),
              new Meta(authorizer, false, false),
              new Meta(channel, false, true),
              new Meta(SolanaAddress.tokenAccount(payer, tokenProgram, mint), false, true),
              new Meta(SolanaAddress.tokenAccount(channel, tokenProgram, mint), false, true),
              new Meta(tokenProgram, false, false),
              new Meta(SYSTEM, false, false),
              new Meta(RENT, false, false),
              new Meta(SolanaAddress.ASSOCIATED_TOKEN, false, false),
              new Meta(events(), false, false),
              new Meta(PROGRAM, false, false)),
          data.array());
    }
  }

  /** Who says in the program's name what has happened. */
  private static SolanaAddress events() {
    return SolanaAddress.derived(PROGRAM, List.of("event_authority".getBytes(US_ASCII)));
  }

  static SolanaAddress address(String text, String what) throws MalformedPaymentException {
    try {
      return SolanaAddress.of(text);
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException(what + " must be an address: base58 of 32 bytes");
    }
  }

  /** A number of 64 bits: digits, or a number where others write one. */
  static BigInteger u64(JsonNode object, String key) throws MalformedPaymentException {
    JsonNode node = object.path(key);
    BigInteger value =
        node.isIntegralNumber() ? node.bigIntegerValue() : Fields.decimal(object, key, 20);
    if (value.signum() < 0 || value.bitLength() > 64) {
      throw new MalformedPaymentException(key + " must fit into 64 bits");
    }
    return value;
  }

  /**
   * What a payer sends.
   *
   * @param openTransaction base64; signed by the payer, and not yet by the fee payer
   * @param validAfter Unix seconds
   * @param expiresAt Unix seconds
   */
  record Payload(
      SolanaAddress channelId,
      BigInteger deposit,
      long expiresAt,
      SolanaAddress from,
      BigInteger maxAmount,
      BigInteger nonce,
      BigInteger openSlot,
      String openTransaction,
      String authorizedSigner,
      long validAfter) {

    ObjectNode toJson() {
      ObjectNode json = Json.object().put("channelId", channelId.toString());
      json.put("deposit", deposit.toString()).put("expiresAt", expiresAt);
      json.put("from", from.toString()).put("maxAmount", maxAmount.toString());
      json.put("nonce", nonce.toString()).put("openSlot", openSlot.toString());
      json.put("openTransaction", openTransaction).put("authorizedSigner", authorizedSigner);
      return json.put("validAfter", validAfter);
    }
  }
}
