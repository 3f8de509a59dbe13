package dev.gridtie.x402.solana;

import dev.gridtie.x402.facilitator.UnreachableException;
import java.util.Optional;

/** What paying needs of Solana. Every call blocks; every call may find the chain out of reach. */
public interface SolanaChain {
  /** The chain answered with an error: the request was understood and refused. */
  final class RefusedException extends Exception {
    private static final long serialVersionUID = 1L;

    public RefusedException(String message) {
      super(message);
    }
  }

  /**
   * A recent block, which a transaction must name.
   *
   * @param lastValidBlockHeight after which a transaction that names it can no longer be taken
   */
  record Blockhash(byte[] hash, long lastValidBlockHeight) {}

  /**
   * What became of a transaction.
   *
   * @param error empty where it succeeded
   */
  record Status(boolean confirmed, Optional<String> error) {}

  /** An account: the program that owns it, and its data. */
  record Account(SolanaAddress owner, byte[] data) {}

  /** The hash of the cluster's first block, base58: which cluster it is. */
  String genesisHash() throws UnreachableException, RefusedException;

  /** An account's lamports. */
  long balance(SolanaAddress address) throws UnreachableException, RefusedException;

  Blockhash latestBlockhash() throws UnreachableException, RefusedException;

  long blockHeight() throws UnreachableException, RefusedException;

  Optional<Account> account(SolanaAddress address) throws UnreachableException, RefusedException;

  /** Runs a signed transaction without keeping what it does; the error where it fails. */
  Optional<String> simulate(SolanaTransaction transaction)
      throws UnreachableException, RefusedException;

  void send(byte[] transaction) throws UnreachableException, RefusedException;

  /** Empty where the chain does not know the transaction. */
  Optional<Status> status(String signature) throws UnreachableException, RefusedException;
}
