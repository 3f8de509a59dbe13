package dev.gridtie.x402.facilitator;

import dev.gridtie.x402.wire.Refusal;

/** Ends a verification with a refusal; never leaves the facilitator of its scheme. */
public final class PaymentRefusedException extends Exception {
  private static final long serialVersionUID = 1L;
  private final transient Refusal why;

  public PaymentRefusedException(String code, String message) {
    super(message);
    this.why = new Refusal(code, message);
  }

  public Refusal why() {
    return why;
  }
}
