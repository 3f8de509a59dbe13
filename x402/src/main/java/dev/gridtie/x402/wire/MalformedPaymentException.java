package dev.gridtie.x402.wire;

/** Says which part of a payment message could not be read, and why; never repeats secrets. */
public final class MalformedPaymentException extends Exception {
  private static final long serialVersionUID = 1L;

  public MalformedPaymentException(String message) {
    super(message);
  }
}
