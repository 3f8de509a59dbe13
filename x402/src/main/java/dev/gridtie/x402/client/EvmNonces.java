package dev.gridtie.x402.client;

import dev.gridtie.base.Hex;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.util.Map;

/** Asks EVM chains about nonces of EIP-3009 and of Permit2. */
public final class EvmNonces implements NonceWatch {
  private final Map<String, EvmChain> chains;

  /**
   * @param chains by network, CAIP-2
   */
  public EvmNonces(Map<String, EvmChain> chains) {
    this.chains = Map.copyOf(chains);
  }

  @Override
  public Fate fate(Nonce nonce, long openUntil) {
    EvmChain chain = chains.get(nonce.network());
    if (chain == null) {
      return Fate.OPEN;
    }
    try {
      // The block first: what is unused after a block past its time stays unused.
      long head = chain.latestBlock().timestamp();
      if (isUsed(chain, nonce)) {
        return Fate.USED;
      }
      return head >= openUntil + Commitment.MARGIN_SECONDS ? Fate.VOID : Fate.OPEN;
    } catch (UnreachableException | EvmChain.RefusedException | RuntimeException e) {
      return Fate.OPEN; // counted as if it could still be used
    }
  }

  private static boolean isUsed(EvmChain chain, Nonce nonce)
      throws UnreachableException, EvmChain.RefusedException {
    EvmAddress payer = EvmAddress.of(nonce.payer());
    EvmAddress contract = EvmAddress.of(nonce.contract());
    byte[] value = Hex.decode(nonce.value(), 32);
    return switch (nonce.kind()) {
      case EIP3009 ->
          Abi.uint(
                      chain.call(
                          payer,
                          contract,
                          Abi.call("authorizationState(address,bytes32)", Abi.word(payer), value)))
                  .signum()
              != 0;
      case PERMIT2 -> {
        BigInteger number = new BigInteger(1, value);
        yield Abi.uint(
                chain.call(
                    payer,
                    contract,
                    Abi.call(
                        "nonceBitmap(address,uint256)",
                        Abi.word(payer),
                        Abi.word(number.shiftRight(8)))))
            .testBit(number.intValue() & 0xff);
      }
    };
  }
}
