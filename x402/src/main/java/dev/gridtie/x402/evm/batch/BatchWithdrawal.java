package dev.gridtie.x402.evm.batch;

import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import java.math.BigInteger;

/**
 * A payer's own way out of a channel, without its receiver: begun by one call of {@link
 * BatchTypes#BATCH}, ended by another after the channel's delay. Only the payer may begin it.
 */
public final class BatchWithdrawal {
  private BatchWithdrawal() {}

  /**
   * Begins it.
   *
   * @param amount at most so much will be taken, atomic units
   */
  public static byte[] begin(ChannelConfig config, BigInteger amount) {
    return BatchCalls.initiateWithdraw(config, amount);
  }

  /** Ends it: what is left then goes back to the payer. */
  public static byte[] finish(ChannelConfig config) {
    return BatchCalls.finalizeWithdraw(config);
  }
}
