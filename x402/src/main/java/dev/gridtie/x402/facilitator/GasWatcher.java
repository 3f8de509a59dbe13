package dev.gridtie.x402.facilitator;

import java.math.BigInteger;

/**
 * Is told what was paid to a chain for nothing: a transaction of ours that was mined and failed.
 */
public interface GasWatcher {
  /** Whom it does not concern. */
  GasWatcher NOBODY = (transaction, fee) -> {};

  /**
   * A transaction has failed after it was mined. May be told more than once.
   *
   * @param fee in the smallest unit of the chain's own coin
   */
  void failed(String transaction, BigInteger fee);
}
