package dev.gridtie.x402.client;

/** Asks chains whether what was signed has moved money, or ever can. Blocks. */
public interface NonceWatch {
  /** What became of a signature. */
  enum Fate {
    /** Its time has passed on the chain, and it was not used: it can never move money. */
    VOID,
    /** It has moved money. */
    USED,
    /** It can still be used, or the chain did not say. */
    OPEN
  }

  /** Without access to any chain. */
  NonceWatch NONE = (nonce, openUntil) -> Fate.OPEN;

  /**
   * Looks.
   *
   * @param openUntil Unix seconds until which it is valid
   */
  Fate fate(Nonce nonce, long openUntil);
}
