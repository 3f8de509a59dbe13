package dev.gridtie.x402.facilitator;

/**
 * A chain could not be asked, or did not answer in time: nothing is known about what became of the
 * request.
 */
public final class UnreachableException extends Exception {
  private static final long serialVersionUID = 1L;

  public UnreachableException(String message) {
    super(message);
  }
}
