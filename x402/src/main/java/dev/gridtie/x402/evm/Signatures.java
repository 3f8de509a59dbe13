package dev.gridtie.x402.evm;

import fr.acinq.secp256k1.Secp256k1;
import fr.acinq.secp256k1.Secp256k1Exception;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.Optional;

/** Recovers the signer of a 65-byte signature, strictly. */
public final class Signatures {
  public static final int LENGTH = 65;

  private static final BigInteger HALF_ORDER =
      new BigInteger("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", 16);

  private Signatures() {}

  /**
   * The address that signed the digest; empty where the signature is not 65 bytes, its v is neither
   * 27 nor 28, its s is high (EIP-2: the malleable twin), or no key fits.
   */
  public static Optional<EvmAddress> recover(byte[] digest, byte[] signature) {
    if (signature.length != LENGTH || (signature[64] != 27 && signature[64] != 28)) {
      return Optional.empty();
    }
    if (new BigInteger(1, Arrays.copyOfRange(signature, 32, 64)).compareTo(HALF_ORDER) > 0) {
      return Optional.empty();
    }
    try {
      byte[] key =
          Secp256k1.get().ecdsaRecover(Arrays.copyOf(signature, 64), digest, signature[64] - 27);
      return Optional.of(EvmAddress.ofPublicKey(EvmKey.uncompressed(key)));
    } catch (Secp256k1Exception | IllegalArgumentException e) {
      return Optional.empty();
    }
  }
}
