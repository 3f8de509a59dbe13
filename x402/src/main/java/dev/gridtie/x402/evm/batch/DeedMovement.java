package dev.gridtie.x402.evm.batch;

import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.SignedTransaction;
import java.math.BigInteger;
import java.util.Optional;

/**
 * A call of the contract that may be made again without harm, and never expires: a claim that was
 * made is passed over, a refund's nonce is good once.
 *
 * @param code how the codes of its failures begin
 */
record DeedMovement(byte[] data, String code) implements Movement {
  private static final BigInteger NEVER = BigInteger.ONE.shiftLeft(62);

  /** Half of what a block of most chains holds. */
  private static final BigInteger GAS_MAX = BigInteger.valueOf(15_000_000);

  @Override
  public BigInteger gasMax() {
    return GAS_MAX;
  }

  @Override
  public EvmAddress to() {
    return BatchTypes.BATCH;
  }

  @Override
  public BigInteger deadline() {
    return NEVER;
  }

  @Override
  public boolean moved(EvmChain.Receipt receipt) {
    return receipt.succeeded();
  }

  @Override
  public boolean isUsed(EvmAddress asking) {
    return false;
  }

  @Override
  public Use use(Optional<SignedTransaction> sent) {
    return new Use.Elsewhere();
  }

  @Override
  public Settlement.Settled settled(EvmChain.Receipt receipt) {
    return new Settlement.Settled(receipt.transactionHash(), "", BigInteger.ZERO, receipt.feeWei());
  }

  @Override
  public Codes codes() {
    String failed = code + "_transaction_failed";
    return new Codes(failed, failed, failed, failed);
  }
}
