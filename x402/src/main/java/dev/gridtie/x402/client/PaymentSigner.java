package dev.gridtie.x402.client;

import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import tools.jackson.databind.JsonNode;

/** The paying side of a scheme: turns requirements into a signed payload. */
public interface PaymentSigner {
  boolean canSign(PaymentRequirements requirements);

  /**
   * The scheme's payload, signed now.
   *
   * @param version of x402, 1 or 2
   * @throws MalformedPaymentException where the requirements cannot be met as they stand
   */
  JsonNode sign(int version, PaymentRequirements requirements) throws MalformedPaymentException;
}
