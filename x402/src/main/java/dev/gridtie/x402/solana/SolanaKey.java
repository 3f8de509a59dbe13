package dev.gridtie.x402.solana;

import java.security.SecureRandom;
import org.bouncycastle.math.ec.rfc8032.Ed25519;

/** An Ed25519 private key. Never printed: {@link #toString} gives the address. */
public final class SolanaKey {
  public static final int SIGNATURE_LENGTH = 64;
  private static final int SEED_LENGTH = 32;

  private final byte[] seed;
  private final SolanaAddress address;

  private SolanaKey(byte[] seed) {
    this.seed = seed;
    byte[] key = new byte[SolanaAddress.LENGTH];
    Ed25519.generatePublicKey(seed, 0, key, 0);
    this.address = SolanaAddress.of(key);
  }

  /** A key from its seed of 32 bytes (RFC 8032). */
  public static SolanaKey ofSeed(byte[] seed) {
    if (seed.length != SEED_LENGTH) {
      throw new IllegalArgumentException("a seed has " + SEED_LENGTH + " bytes");
    }
    return new SolanaKey(seed.clone());
  }

  public static SolanaKey random(SecureRandom random) {
    byte[] seed = new byte[SEED_LENGTH];
    random.nextBytes(seed);
    return new SolanaKey(seed);
  }

  public SolanaAddress address() {
    return address;
  }

  /** The seed in base58, for writing it to its file and nothing else. */
  public String revealBase58() {
    return Base58.encode(seed);
  }

  public byte[] sign(byte[] message) {
    byte[] signature = new byte[SIGNATURE_LENGTH];
    Ed25519.sign(seed, 0, message, 0, message.length, signature, 0);
    return signature;
  }

  /** Whether a signature is the address's over a message. */
  public static boolean verify(SolanaAddress address, byte[] message, byte[] signature) {
    return signature.length == SIGNATURE_LENGTH
        && Ed25519.verify(signature, 0, address.bytes(), 0, message, 0, message.length);
  }

  @Override
  public String toString() {
    return "key of " + address;
  }
}
