package dev.gridtie.x402.wire;

import java.util.Objects;

/** Says which part of a payment message could not be read, and why; never repeats secrets. */
public final class MalformedPaymentException extends Exception {
  private static final long serialVersionUID = 1L;

  public MalformedPaymentException(String message) {
    super(message);
  }

  @Override
  public String getMessage() {
    return Objects.requireNonNullElse(super.getMessage(), "");
  }
}
