package dev.gridtie.x402.evm.exact;

import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmCharge;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.exact.ExactTypes.Payload;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import tools.jackson.databind.node.ObjectNode;

/**
 * Charges by scheme exact with EIP-3009 in one token.
 *
 * @param payTo who receives
 * @param maxTimeoutSeconds how long a payment made now must stay valid
 */
public record ExactServer(EvmToken token, EvmAddress payTo, long maxTimeoutSeconds)
    implements EvmCharge {

  @Override
  public String scheme() {
    return ExactTypes.SCHEME;
  }

  @Override
  public boolean takes(PaymentPayload payment) {
    return !Permit2Types.isAcceptedBy(payment);
  }

  @Override
  public PaymentRequirements requirements(BigInteger atomicAmount) {
    ObjectNode extra = Json.object();
    extra.put("name", token.name());
    extra.put("version", token.version());
    return new PaymentRequirements(
        ExactTypes.SCHEME,
        token.network(),
        atomicAmount,
        token.address().toString(),
        payTo.toString(),
        maxTimeoutSeconds,
        extra);
  }

  /**
   * The token's authorisation can be used once for each payer and nonce, and so this names the
   * payment.
   */
  @Override
  public String paymentKey(PaymentPayload payment) throws MalformedPaymentException {
    return ExactTypes.paymentKey(token.network(), token.address(), payment);
  }

  @Override
  public String payer(PaymentPayload payment) throws MalformedPaymentException {
    return Payload.fromJson(payment.payload()).authorization().from().lower();
  }
}
