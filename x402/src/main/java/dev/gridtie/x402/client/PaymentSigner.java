package dev.gridtie.x402.client;

import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.SettleResponse;
import java.util.List;
import java.util.Optional;
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

  /**
   * What a payload that this signed can take at most.
   *
   * @throws MalformedPaymentException where it is not of this signer's making
   */
  Commitment commitment(PaymentRequirements requirements, JsonNode payload)
      throws MalformedPaymentException;

  /**
   * What this signed counts against the payer's caps now, and is about to be sent: schemes that
   * keep account of what they signed note it before this returns.
   */
  default void committed(PaymentPayload payment) {}

  /** Whether what it signs for these follows from what it signed before. */
  default boolean keepsAccount(PaymentRequirements requirements) {
    return false;
  }

  /**
   * What this signed was answered: schemes that keep account of what they signed learn from it.
   *
   * @param response how it was settled; empty where the answer does not say
   */
  default void answered(PaymentPayload payment, Optional<SettleResponse> response) {}

  /** What this signed was not sent, or was answered without being taken. */
  default void refused(PaymentPayload payment) {}

  /**
   * What this signed was refused by a 402.
   *
   * @return whether that set something right, so that signing anew may do
   */
  default boolean corrected(PaymentPayload payment, List<PaymentRequirements> offered) {
    return false;
  }
}
