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

  /** What became of a one-time right that is used up, where it was not our transaction. */
  sealed interface Use {
    /** This very money was moved to its payee, by this transaction. */
    record Moved(EvmChain.Receipt by) implements Use {}

    /** It was cancelled, or used for something else: nothing moved, and nothing will. */
    record Elsewhere() implements Use {}

    /** The chain's events do not say. */
    record Unclear(String why) implements Use {}
  }

  /**
   * Finds what a right that is used up was used for.
   *
   * @param sent what we sent; empty where we have sent nothing
   */
  Use use(Optional<SignedTransaction> sent) throws UnreachableException, RefusedException;

  /** Whose money it takes; empty where it takes nobody's, as what a receiver wants done. */
  default Optional<Debit> debit() {
    return Optional.empty();
  }

  /**
   * Money that a movement takes.
   *
   * @param right what may be used once for it: two movements with the same take it only once
   * @param by Permit2, where that must be allowed to move it; empty where nobody needs to be
   */
  record Debit(
      EvmAddress payer,
      EvmAddress token,
      BigInteger amount,
      String right,
      Optional<EvmAddress> by) {}

  Settlement.Settled settled(EvmChain.Receipt receipt);

  Codes codes();
}
