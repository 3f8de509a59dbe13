package dev.gridtie.x402.evm;

import dev.gridtie.base.Hex;
import fr.acinq.secp256k1.Secp256k1;
import java.math.BigInteger;
import java.security.SecureRandom;
import java.util.Arrays;

/** A secp256k1 private key. Never printed: {@link #toString} gives the address. */
public final class EvmKey {
  private final byte[] secret;
  private final EvmAddress address;

  private EvmKey(byte[] secret) {
    if (!Secp256k1.get().secKeyVerify(secret)) {
      throw new IllegalArgumentException("not a secp256k1 private key");
    }
    this.secret = secret;
    this.address = EvmAddress.ofPublicKey(Secp256k1.get().pubkeyCreate(secret));
  }

  /**
   * Reads 0x and 64 hexadecimal digits.
   *
   * @throws IllegalArgumentException where it is anything else; the message does not repeat it
   */
  public static EvmKey of(String hex) {
    byte[] secret;
    try {
      secret = Hex.decode(hex, 32);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("a private key is 0x and 64 hexadecimal digits");
    }
    return new EvmKey(secret);
  }

  /** A fresh key. */
  public static EvmKey random(SecureRandom random) {
    byte[] secret = new byte[32];
    do {
      random.nextBytes(secret);
    } while (!Secp256k1.get().secKeyVerify(secret));
    return new EvmKey(secret);
  }

  public EvmAddress address() {
    return address;
  }

  /** The secret as 0x-hexadecimal, for writing it to its file and nothing else. */
  public String revealHex() {
    return Hex.encode(secret);
  }

  /** The secret as a number, for a signer of another library. */
  BigInteger revealNumber() {
    return new BigInteger(1, secret);
  }

  /** Signs a 32-byte digest: r, s and v in 65 bytes, s low (EIP-2), v 27 or 28. */
  public byte[] sign(byte[] digest) {
    byte[] compact = Secp256k1.get().sign(digest, secret);
    for (int recovery = 0; recovery < 2; recovery++) {
      byte[] candidate = Secp256k1.get().ecdsaRecover(compact, digest, recovery);
      if (EvmAddress.ofPublicKey(uncompressed(candidate)).equals(address)) {
        byte[] signature = Arrays.copyOf(compact, 65);
        signature[64] = (byte) (27 + recovery);
        return signature;
      }
    }
    throw new IllegalStateException("a fresh signature recovers to its own key");
  }

  static byte[] uncompressed(byte[] publicKey) {
    return publicKey.length == 65 ? publicKey : Secp256k1.get().pubkeyParse(publicKey);
  }

  @Override
  public String toString() {
    return "key of " + address;
  }
}
