package dev.gridtie.x402.evm;

import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.util.Optional;

/**
 * What a payment's transaction does on the chain: what is to be sent, and how to tell what became
 * of it. Each scheme has its own.
 */
public interface Movement {
  /** Codes of what can go wrong, in the scheme's own words. */
  record Codes(String transactionFailed, String eventMismatch, String used, String expired) {}

  EvmAddress to();

  byte[] data();

  /** The most gas it may use. */
  default BigInteger gasMax() {
    return Sender.GAS_MAX;
  }

  /** The one key that may send it; empty where any may. */
  default Optional<EvmAddress> onlyFrom() {
    return Optional.empty();
  }

  /** Unix seconds from which on it cannot be mined any more. */
  BigInteger deadline();

  /** Whether a transaction that succeeded moved what it should. */
  boolean moved(EvmChain.Receipt receipt);

  /** Whether the payer's one-time right is used up, by whichever transaction. */
  boolean isUsed(EvmAddress asking) throws UnreachableException, RefusedException;

  /**
   * Another transaction than the one we sent that moved this very money; empty where there is none,
   * and so nothing moved and nothing will.
   */
  Optional<EvmChain.Receipt> movedBy(SignedTransaction sent)
      throws UnreachableException, RefusedException;

  Settlement.Settled settled(EvmChain.Receipt receipt);

  Codes codes();
}
