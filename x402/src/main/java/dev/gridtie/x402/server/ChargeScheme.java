package dev.gridtie.x402.server;

import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;

/** The server's side of a scheme: what to ask, and what names a payment. */
public interface ChargeScheme {
  /** The scheme's name. */
  String scheme();

  /** CAIP-2. */
  String network();

  /** The coin. */
  String asset();

  /**
   * Whether a payment of this scheme and network has accepted this kind: a scheme may have several.
   * Its payload is not looked at.
   */
  boolean takes(PaymentPayload payment);

  /** When a payment's money moves. */
  enum Timing {
    /** All that was asked, before the answer. */
    BEFORE,
    /** What was used of a ceiling, after the answer, by a transaction of its own. */
    AFTER,
    /** What was used of a ceiling, from a deposit, with many others in one transaction. */
    IN_BATCH
  }

  default Timing timing() {
    return Timing.BEFORE;
  }

  /** What a 402 asks for this many atomic units. */
  PaymentRequirements requirements(BigInteger atomicAmount);

  /**
   * What names a payment for ever: two messages with the same key can move money only once between
   * them.
   *
   * @throws MalformedPaymentException where the scheme's payload cannot be read
   */
  String paymentKey(PaymentPayload payment) throws MalformedPaymentException;

  /**
   * Who says it pays, in the one form that its accounts have; nothing is verified yet.
   *
   * @throws MalformedPaymentException where the scheme's payload cannot be read
   */
  String payer(PaymentPayload payment) throws MalformedPaymentException;

  /** Decimal digits of the token. */
  int decimals();
}
