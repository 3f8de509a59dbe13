package dev.gridtie.x402.evm;

import dev.gridtie.base.Hex;
import dev.gridtie.x402.facilitator.SignedTransaction;
import java.math.BigInteger;
import java.security.SignatureException;
import org.web3j.crypto.SignedRawTransaction;
import org.web3j.crypto.TransactionDecoder;
import org.web3j.utils.Numeric;

/** What a transaction of ours says, read from its bytes. */
record Decoded(EvmAddress from, EvmAddress to, byte[] data, BigInteger gas) {
  static Decoded of(SignedTransaction transaction) {
    try {
      if (TransactionDecoder.decode(Hex.encode(transaction.raw()))
          instanceof SignedRawTransaction signed) {
        String data = signed.getData();
        return new Decoded(
            EvmAddress.of(signed.getFrom()),
            EvmAddress.of(signed.getTo()),
            Hex.decode(data.isEmpty() ? "0x" : Numeric.prependHexPrefix(data)),
            signed.getGasLimit());
      }
    } catch (SignatureException e) {
      throw new IllegalStateException("a transaction that we signed has a signature", e);
    }
    throw new IllegalStateException("a transaction that we signed has a signature");
  }
}
