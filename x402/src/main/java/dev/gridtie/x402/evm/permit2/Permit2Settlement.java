package dev.gridtie.x402.evm.permit2;

import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.evm.Transfers;
import dev.gridtie.x402.evm.permit2.Permit2Types.Authorization;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The transfer that a permit allows, by one of x402's proxies.
 *
 * @param amount that is moved: all of it, or what was used
 * @param data the call of the proxy
 */
public record Permit2Settlement(
    EvmChain chain,
    Authorization authorization,
    BigInteger amount,
    byte[] data,
    Optional<EvmAddress> onlyFrom,
    Codes codes)
    implements Movement {

  @Override
  public EvmAddress to() {
    return authorization.spender();
  }

  /** Permit2 takes a permit up to and with its deadline. */
  @Override
  public BigInteger deadline() {
    return authorization.deadline().add(BigInteger.ONE);
  }

  @Override
  public boolean moved(EvmChain.Receipt receipt) {
    return Transfers.in(
        receipt, authorization.token(), authorization.from(), authorization.witness().to(), amount);
  }

  /** Permit2 keeps a bit for each nonce of an owner: word {@code nonce >> 8}. */
  @Override
  public boolean isUsed(EvmAddress asking) throws UnreachableException, RefusedException {
    BigInteger word =
        Abi.uint(
            chain.call(
                asking,
                Permit2Types.PERMIT2,
                Abi.call(
                    "nonceBitmap(address,uint256)",
                    Abi.word(authorization.from()),
                    Abi.word(authorization.nonce().shiftRight(8)))));
    return word.testBit(authorization.nonce().intValue() & 0xff);
  }

  /**
   * A nonce says only that it was used, not for what: the payer may have given it up. So another
   * transaction counts where it is the same call of the same proxy, as ours with a higher fee is,
   * or anybody's who settles an exact payment.
   */
  @Override
  public Optional<EvmChain.Receipt> movedBy(SignedTransaction sent)
      throws UnreachableException, RefusedException {
    List<EvmChain.Log> transfers =
        chain.logs(
            authorization.token(),
            sent.sinceBlock(),
            List.of(
                Transfers.EVENT,
                Abi.word(authorization.from()),
                Abi.word(authorization.witness().to())));
    for (EvmChain.Log log : transfers) {
      Optional<EvmChain.Call> call = chain.transaction(log.transactionHash());
      boolean same =
          call.isPresent()
              && call.get().to().equals(Optional.of(to()))
              && Arrays.equals(call.get().data(), data);
      Optional<EvmChain.Receipt> receipt =
          same ? chain.receipt(log.transactionHash()) : Optional.empty();
      if (receipt.isPresent() && receipt.get().succeeded() && moved(receipt.get())) {
        return receipt;
      }
    }
    return Optional.empty();
  }

  @Override
  public Settlement.Settled settled(EvmChain.Receipt receipt) {
    return new Settlement.Settled(
        receipt.transactionHash(), authorization.from().toString(), amount, receipt.feeWei());
  }
}
