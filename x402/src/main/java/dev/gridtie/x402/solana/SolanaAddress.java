package dev.gridtie.x402.solana;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import java.util.Arrays;
import java.util.List;
import org.bouncycastle.math.ec.rfc8032.Ed25519;

/** The 32 bytes that name a Solana account: a public key, or derived from a program and seeds. */
public final class SolanaAddress {
  public static final int LENGTH = 32;

  public static final SolanaAddress TOKEN = of("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
  public static final SolanaAddress TOKEN_2022 = of("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
  public static final SolanaAddress ASSOCIATED_TOKEN =
      of("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
  public static final SolanaAddress COMPUTE_BUDGET =
      of("ComputeBudget111111111111111111111111111111");
  public static final SolanaAddress MEMO = of("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
  public static final SolanaAddress LIGHTHOUSE = of("L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95");

  private static final byte[] PDA_MARKER = "ProgramDerivedAddress".getBytes(US_ASCII);

  private final byte[] bytes;

  private SolanaAddress(byte[] bytes) {
    this.bytes = bytes;
  }

  /**
   * Reads base58 of 32 bytes.
   *
   * @throws IllegalArgumentException where it is anything else
   */
  public static SolanaAddress of(String base58) {
    return new SolanaAddress(Base58.decode(base58, LENGTH));
  }

  public static SolanaAddress of(byte[] bytes) {
    if (bytes.length != LENGTH) {
      throw new IllegalArgumentException("an address has " + LENGTH + " bytes");
    }
    return new SolanaAddress(bytes.clone());
  }

  /** Where an owner's coins of a mint are kept: its associated token account. */
  public static SolanaAddress tokenAccount(
      SolanaAddress owner, SolanaAddress tokenProgram, SolanaAddress mint) {
    return derived(ASSOCIATED_TOKEN, List.of(owner.bytes, tokenProgram.bytes, mint.bytes));
  }

  /** The address that a program derives from seeds: the first that is no public key. */
  public static SolanaAddress derived(SolanaAddress program, List<byte[]> seeds) {
    for (int bump = 255; bump >= 0; bump--) {
      var digest = Hashes.newSha256();
      seeds.forEach(digest::update);
      digest.update((byte) bump);
      digest.update(program.bytes);
      digest.update(PDA_MARKER);
      byte[] candidate = digest.digest();
      if (!Ed25519.validatePublicKeyPartial(candidate, 0)) {
        return new SolanaAddress(candidate);
      }
    }
    throw new IllegalArgumentException("no address can be derived from these seeds");
  }

  public byte[] bytes() {
    return bytes.clone();
  }

  @Override
  public String toString() {
    return Base58.encode(bytes);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SolanaAddress that && Arrays.equals(bytes, that.bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }
}
