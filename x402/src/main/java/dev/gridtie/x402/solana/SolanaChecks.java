package dev.gridtie.x402.solana;

import dev.gridtie.base.ready.Finding;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.solana.SolanaChain.RefusedException;
import java.util.Optional;

/** What is tested of a Solana cluster, of a coin on it, and of the key that pays its fees. */
public final class SolanaChecks {
  /** Where a mint's account has its decimals (SPL Token, {@code Mint}). */
  private static final int DECIMALS_AT = 44;

  private static final int MINT_BYTES = 82;

  /** A settlement's fee is that of two signatures, and little more. */
  private static final long SETTLEMENT_LAMPORTS = 12_000;

  private static final long SETTLEMENTS_MIN = 10;
  private static final long SETTLEMENTS_LOW = 100;

  private SolanaChecks() {}

  /** Whether the configured cluster answers. */
  public static Finding chain(SolanaChain chain, String network)
      throws UnreachableException, RefusedException {
    Optional<Finding> other = otherCluster(chain, network);
    return other.isPresent() ? other.get() : Finding.ok("block " + chain.blockHeight());
  }

  /** CAIP-2 names a cluster by the first 32 characters of its genesis hash. */
  private static Optional<Finding> otherCluster(SolanaChain chain, String network)
      throws UnreachableException, RefusedException {
    String genesis = chain.genesisHash();
    String actual = "solana:" + genesis.substring(0, Math.min(32, genesis.length()));
    return actual.equals(network)
        ? Optional.empty()
        : Optional.of(
            Finding.failed(
                "another cluster answers: " + actual + ", and " + network + " is configured",
                "set chain.rpc to a node of the configured cluster, or chain.network to this one"));
  }

  /**
   * Whether a coin is what is configured of it: its cluster, its mint, its decimals.
   *
   * @return {@link Finding.Failed} where the chain says that something is wrong
   * @throws UnreachableException where the chain says nothing
   */
  public static Finding coin(SolanaChain chain, SolanaToken token) throws UnreachableException {
    try {
      Optional<Finding> other = otherCluster(chain, token.network());
      if (other.isPresent()) {
        return other.get();
      }
      Optional<SolanaChain.Account> mint = chain.account(token.mint());
      if (mint.isEmpty() || mint.get().data().length < MINT_BYTES) {
        return new Finding.Failed(
            "there is no mint at the coin's address",
            token.mint() + " on " + token.network(),
            "set chain.token to the coin's mint on this cluster");
      }
      if (!mint.get().owner().equals(token.program())) {
        return new Finding.Failed(
            "the coin's mint is of another token program than is configured",
            token.mint() + " is of " + mint.get().owner(),
            "set chain.tokenProgram to " + mint.get().owner());
      }
      int decimals = mint.get().data()[DECIMALS_AT] & 0xff;
      return decimals == token.decimals()
          ? Finding.ok(decimals + " decimals")
          : new Finding.Failed(
              "the coin has " + decimals + " decimals, and " + token.decimals() + " are configured",
              token.mint().toString(),
              "set chain.decimals to " + decimals);
    } catch (RefusedException e) {
      throw new UnreachableException("the chain refuses: " + e.getMessage());
    }
  }

  /** Whether the one who is paid has an account for the coin, without which nobody can pay. */
  public static Finding receiver(SolanaChain chain, SolanaToken token, SolanaAddress payTo)
      throws UnreachableException, RefusedException {
    SolanaAddress account = SolanaAddress.tokenAccount(payTo, token.program(), token.mint());
    return chain.account(account).isPresent()
        ? Finding.ok()
        : new Finding.Failed(
            "the receiver has no account for the coin",
            account + " of " + payTo,
            "make the receiver's associated token account for " + token.mint());
  }

  /** Whether the key can pay for the next settlements. */
  public static Finding fees(SolanaChain chain, SolanaAddress feePayer)
      throws UnreachableException, RefusedException {
    long reaches = chain.balance(feePayer) / SETTLEMENT_LAMPORTS;
    String remedy = "send " + feePayer + " at least 0.01 SOL";
    if (reaches < SETTLEMENTS_MIN) {
      return new Finding.Failed(
          "the key that pays the chain's fees has too little of its coin",
          feePayer + " has enough for " + reaches + " settlements",
          remedy);
    }
    return reaches < SETTLEMENTS_LOW
        ? new Finding.Warning("the chain's fees are running out", feePayer.toString(), remedy)
        : Finding.ok();
  }
}
