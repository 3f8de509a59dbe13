package dev.gridtie.x402.evm;

import dev.gridtie.base.Hex;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.util.Arrays;
import java.util.Optional;

/**
 * Whether a signature is its payer's. The payer's code decides how that is asked: without any, by
 * ECDSA; with some, by EIP-1271 and in no other way.
 */
public final class PayerSignatures {
  /** isValidSignature(bytes32,bytes) answers with its own selector (EIP-1271). */
  private static final byte[] EIP1271_MAGIC = Hex.decode("0x1626ba7e");

  /** The tail of a signature for a wallet that is not deployed yet (ERC-6492). */
  private static final byte[] ERC6492_TAIL =
      Hex.decode("0x6492649264926492649264926492649264926492649264926492649264926492");

  private final EvmChain chain;
  private final EvmAddress asking;

  /**
   * @param asking from whom the chain is asked
   */
  public PayerSignatures(EvmChain chain, EvmAddress asking) {
    this.chain = chain;
    this.asking = asking;
  }

  /**
   * Requires that the payer signed the digest.
   *
   * @param code of the refusal where not
   * @return whether the payer is a contract
   */
  public boolean require(EvmAddress payer, byte[] digest, byte[] signature, String code)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    boolean contract = chain.code(payer).length > 0;
    if (!contract && isUndeployed(signature)) {
      throw new PaymentRefusedException(
          "eip6492_factory_not_allowed",
          "wallets that are not deployed yet are not taken: deploy it first");
    }
    boolean valid =
        contract
            ? isValidEip1271(payer, digest, signature)
            : Signatures.recover(digest, signature).equals(Optional.of(payer));
    if (!valid) {
      throw new PaymentRefusedException(
          code,
          "the signature is not the payer's over this authorisation (65 bytes, low s, v 27 or 28)");
    }
    return contract;
  }

  private static boolean isUndeployed(byte[] signature) {
    int length = signature.length;
    return length > ERC6492_TAIL.length
        && Arrays.equals(
            Arrays.copyOfRange(signature, length - ERC6492_TAIL.length, length), ERC6492_TAIL);
  }

  private boolean isValidEip1271(EvmAddress wallet, byte[] digest, byte[] signature)
      throws UnreachableException {
    byte[] call =
        Abi.concat(
            Abi.selector("isValidSignature(bytes32,bytes)"),
            digest,
            Abi.trailingBytes(1, signature));
    try {
      byte[] answer = chain.call(asking, wallet, call);
      return answer.length == 32 && Arrays.equals(answer, Arrays.copyOf(EIP1271_MAGIC, 32));
    } catch (RefusedException e) {
      return false;
    }
  }
}
