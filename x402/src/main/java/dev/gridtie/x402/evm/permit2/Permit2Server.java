package dev.gridtie.x402.evm.permit2;

import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmCharge;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import tools.jackson.databind.node.ObjectNode;

/**
 * Charges by scheme exact by Permit2 in one token.
 *
 * @param payTo who receives
 * @param maxTimeoutSeconds how long a payment made now must stay valid
 */
public record Permit2Server(EvmToken token, EvmAddress payTo, long maxTimeoutSeconds)
    implements EvmCharge {

  @Override
  public String scheme() {
    return "exact";
  }

  @Override
  public PaymentRequirements requirements(BigInteger atomicAmount) {
    ObjectNode extra = Json.object();
    extra.put("name", token.name());
    extra.put("version", token.version());
    extra.put("assetTransferMethod", Permit2Types.METHOD);
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
    return Permit2Types.isAcceptedBy(payment);
  }

  /** Permit2 takes each nonce of an owner once, whatever the token and the scheme. */
  @Override
  public String paymentKey(PaymentPayload payment) throws MalformedPaymentException {
    return Permit2Types.paymentKey(token.network(), payment);
  }

  @Override
  public String payer(PaymentPayload payment) throws MalformedPaymentException {
    return Permit2Types.Payload.fromJson(payment.payload(), false).authorization().from().lower();
  }
}
