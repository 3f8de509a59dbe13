package dev.gridtie.x402.evm.upto;

import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmCharge;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import tools.jackson.databind.node.ObjectNode;

/**
 * Charges by scheme upto: what is asked is the most that will be taken; in one token.
 *
 * @param payTo who receives
 * @param facilitator whose key alone can settle
 * @param maxTimeoutSeconds how long a payment made now must stay valid
 */
public record UptoServer(
    EvmToken token, EvmAddress payTo, EvmAddress facilitator, long maxTimeoutSeconds)
    implements EvmCharge {

  @Override
  public String scheme() {
    return "upto";
  }

  @Override
  public PaymentRequirements requirements(BigInteger atomicAmount) {
    ObjectNode extra = Json.object();
    extra.put("name", token.name());
    extra.put("version", token.version());
    extra.put("facilitatorAddress", facilitator.toString());
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
    return true;
  }

  /** Permit2 takes each nonce of an owner once, whatever the token and the scheme. */
  @Override
  public String paymentKey(PaymentPayload payment) throws MalformedPaymentException {
    return Permit2Types.paymentKey(token.network(), payment);
  }

  @Override
  public String payer(PaymentPayload payment) throws MalformedPaymentException {
    return Permit2Types.Payload.fromJson(payment.payload(), true).authorization().from().lower();
  }

  @Override
  public Timing timing() {
    return Timing.AFTER;
  }
}
