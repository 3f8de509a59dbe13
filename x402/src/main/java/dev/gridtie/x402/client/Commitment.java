package dev.gridtie.x402.client;

import java.math.BigInteger;
import java.util.Optional;

/**
 * What a signature can take from its payer, whatever the server says of it.
 *
 * @param most atomic units, beyond what earlier signatures on the same account can take
 * @param openUntil Unix seconds until which it can move money that another signature for the same
 *     request would move again; 0 where another signature replaces it, as vouchers do
 * @param nonce by which the chain tells whether it was used; empty where it does not
 */
public record Commitment(BigInteger most, long openUntil, Optional<Nonce> nonce) {
  /**
   * How long, in seconds, our clock may be ahead of a chain's, and a chain may still change its
   * last blocks: before that, what has expired may yet be settled.
   */
  static final long MARGIN_SECONDS = 60;

  /** Whether it can still move money at a time, as far as a clock can tell. */
  static boolean isOpen(long openUntil, long nowSeconds) {
    return openUntil > 0 && nowSeconds < openUntil + MARGIN_SECONDS;
  }
}
