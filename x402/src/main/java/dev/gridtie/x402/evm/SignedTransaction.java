package dev.gridtie.x402.evm;

import dev.gridtie.base.Hex;
import java.math.BigInteger;
import java.security.SignatureException;
import org.web3j.crypto.SignedRawTransaction;
import org.web3j.crypto.TransactionDecoder;
import org.web3j.utils.Numeric;

/**
 * A transaction that is signed and may or may not be on the chain.
 *
 * @param hash its hash, known before it is sent
 * @param raw the bytes to send, and to send again
 * @param nonce the sender's
 * @param sinceBlock the head of the chain when it was signed: it cannot have been mined before
 */
public record SignedTransaction(String hash, byte[] raw, BigInteger nonce, long sinceBlock) {
  /** Who sent it: its signer. */
  public EvmAddress from() {
    try {
      return EvmAddress.of(signed().getFrom());
    } catch (SignatureException e) {
      throw new IllegalStateException("a transaction that we signed has a signature", e);
    }
  }

  EvmAddress to() {
    return EvmAddress.of(signed().getTo());
  }

  byte[] data() {
    return Hex.decode(
        signed().getData().isEmpty() ? "0x" : Numeric.prependHexPrefix(signed().getData()));
  }

  BigInteger gas() {
    return signed().getGasLimit();
  }

  private SignedRawTransaction signed() {
    if (TransactionDecoder.decode(Hex.encode(raw)) instanceof SignedRawTransaction signed) {
      return signed;
    }
    throw new IllegalStateException("a transaction that we signed has a signature");
  }
}
