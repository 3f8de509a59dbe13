package dev.gridtie.ledger;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * How far the log has come: the number of its last entry, and that entry's hash, which covers all
 * before it.
 */
record Chain(long seq, byte[] hash) {
  /** Before the first entry. */
  static final Chain START = new Chain(0, new byte[32]);

  /**
   * After one more entry: SHA-256(previous || leaf), the leaf being SHA-256(0x00 || canonical
   * text), as RFC 6962 §2.1 hashes leaves.
   */
  Chain then(String canonical) {
    return new Chain(
        seq + 1, Hashes.sha256(hash, Hashes.sha256(new byte[] {0}, canonical.getBytes(UTF_8))));
  }

  String hex() {
    return HexFormat.of().formatHex(hash);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Chain chain && chain.seq == seq && Arrays.equals(chain.hash, hash);
  }

  @Override
  public int hashCode() {
    return Long.hashCode(seq) ^ Arrays.hashCode(hash);
  }
}
