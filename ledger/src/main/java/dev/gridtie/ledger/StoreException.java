package dev.gridtie.ledger;

/**
 * The store could not do what was asked: the disk is full, the file is read-only or damaged.
 * Nothing of it was kept.
 */
public final class StoreException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public StoreException(String message, Throwable cause) {
    super(message + ": " + cause.getMessage(), cause);
  }

  public StoreException(String message) {
    super(message);
  }
}
