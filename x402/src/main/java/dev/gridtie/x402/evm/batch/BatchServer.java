package dev.gridtie.x402.evm.batch;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmCharge;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import tools.jackson.databind.node.ObjectNode;

/**
 * Charges by scheme batch-settlement: what is asked is the most that a request will be charged, of
 * a deposit in the payer's channel; in one token.
 *
 * @param payTo who receives
 * @param authorizer whose key signs claims and refunds
 * @param withdrawDelay how long a payer waits for its own way out, in seconds
 * @param permit2 whether deposits come by Permit2; else by EIP-3009
 * @param maxTimeoutSeconds how long a deposit made now must stay valid
 * @param leastDeposit that is brought into a channel at once, atomic units
 */
public record BatchServer(
    EvmToken token,
    EvmAddress payTo,
    EvmAddress authorizer,
    long withdrawDelay,
    boolean permit2,
    long maxTimeoutSeconds,
    BigInteger leastDeposit)
    implements EvmCharge {

  /** Without a least deposit but what ten requests come to. */
  public BatchServer(
      EvmToken token,
      EvmAddress payTo,
      EvmAddress authorizer,
      long withdrawDelay,
      boolean permit2,
      long maxTimeoutSeconds) {
    this(token, payTo, authorizer, withdrawDelay, permit2, maxTimeoutSeconds, BigInteger.ZERO);
  }

  /** A deposit must suffice for so many requests as dear as the one it comes with. */
  private static final BigInteger DEPOSIT_REQUESTS = BigInteger.TEN;

  @Override
  public String scheme() {
    return BatchTypes.SCHEME;
  }

  @Override
  public Timing timing() {
    return Timing.IN_BATCH;
  }

  @Override
  public PaymentRequirements requirements(BigInteger atomicAmount) {
    ObjectNode extra = Json.object();
    extra.put("name", token.name());
    extra.put("version", token.version());
    extra.put("receiverAuthorizer", authorizer.toString());
    extra.put("withdrawDelay", (int) withdrawDelay); // as a reader of JSON has it
    extra.put("minDeposit", atomicAmount.multiply(DEPOSIT_REQUESTS).max(leastDeposit).toString());
    if (permit2) {
      extra.put("assetTransferMethod", Permit2Types.METHOD);
    }
    return new PaymentRequirements(
        scheme(),
        token.network(),
        atomicAmount,
        token.address().toString(),
        payTo.toString(),
        maxTimeoutSeconds,
        extra);
  }

  @Override
  public boolean takes(PaymentPayload payment) {
    return permit2 == Permit2Types.isAcceptedBy(payment);
  }

  /**
   * A voucher's place on its channel: what was charged before it, and the most that is charged
   * after. What was charged only grows, so no two charged requests have the same.
   */
  @Override
  public String paymentKey(PaymentPayload payment) throws MalformedPaymentException {
    Payload payload = Payload.fromJson(payment.payload());
    String text =
        String.join(
            "|",
            token.network(),
            Hex.encode(payload.voucher().channelId()),
            payload.voucher().maxClaimable().toString(),
            asked(payment).toString(),
            payload instanceof Payload.Refund ? "refund" : "");
    return "channel-" + Hex.encode(Hashes.sha256(text.getBytes(US_ASCII))).substring(2);
  }

  /** The most that the request may be charged, as the payer accepted it. */
  public static BigInteger asked(PaymentPayload payment) throws MalformedPaymentException {
    return payment
        .accepted()
        .orElseThrow(() -> new MalformedPaymentException("accepted is missing"))
        .amount();
  }

  @Override
  public String payer(PaymentPayload payment) throws MalformedPaymentException {
    return Payload.fromJson(payment.payload()).config().payer().lower();
  }
}
