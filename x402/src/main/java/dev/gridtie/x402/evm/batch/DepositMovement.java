package dev.gridtie.x402.evm.batch;

import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.evm.Transfers;
import dev.gridtie.x402.evm.batch.BatchTypes.Authorization;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Money that goes from a payer into its channel. */
record DepositMovement(EvmChain chain, Payload.Deposit deposit, long chainId) implements Movement {
  private static final String FAILED = "invalid_batch_settlement_evm_deposit_transaction_failed";
  private static final Codes CODES =
      new Codes(
          FAILED,
          FAILED,
          FAILED,
          "invalid_batch_settlement_evm_payload_authorization_valid_before");

  @Override
  public EvmAddress to() {
    return BatchTypes.BATCH;
  }

  @Override
  public byte[] data() {
    return BatchCalls.deposit(deposit);
  }

  @Override
  public BigInteger deadline() {
    return switch (deposit.authorization()) {
      case Authorization.Erc3009 a -> a.validBefore();
      case Authorization.Permit2 a -> a.deadline().add(BigInteger.ONE);
    };
  }

  @Override
  public boolean moved(EvmChain.Receipt receipt) {
    EvmAddress from =
        deposit.authorization() instanceof Authorization.Erc3009
            ? BatchTypes.ERC3009_COLLECTOR
            : deposit.config().payer();
    return Transfers.in(
        receipt, deposit.config().token(), from, BatchTypes.BATCH, deposit.amount());
  }

  @Override
  public boolean isUsed(EvmAddress asking) throws UnreachableException, RefusedException {
    ChannelConfig config = deposit.config();
    return switch (deposit.authorization()) {
      case Authorization.Erc3009 a ->
          Abi.uint(
                      chain.call(
                          asking,
                          config.token(),
                          Abi.call(
                              "authorizationState(address,bytes32)",
                              Abi.word(config.payer()),
                              Authorization.Erc3009.nonce(config.id(chainId), a.salt()))))
                  .signum()
              != 0;
      case Authorization.Permit2 a ->
          Abi.uint(
                  chain.call(
                      asking,
                      Permit2Types.PERMIT2,
                      Abi.call(
                          "nonceBitmap(address,uint256)",
                          Abi.word(config.payer()),
                          Abi.word(a.nonce().shiftRight(8)))))
              .testBit(a.nonce().intValue() & 0xff);
    };
  }

  /** Bound to the channel by its nonce or witness: whoever brought it, the channel has it. */
  @Override
  public Optional<EvmChain.Receipt> movedBy(SignedTransaction sent)
      throws UnreachableException, RefusedException {
    List<EvmChain.Log> into =
        chain.logs(
            deposit.config().token(),
            sent.sinceBlock(),
            List.of(
                Transfers.EVENT,
                Abi.word(
                    deposit.authorization() instanceof Authorization.Erc3009
                        ? BatchTypes.ERC3009_COLLECTOR
                        : deposit.config().payer()),
                Abi.word(BatchTypes.BATCH)));
    for (EvmChain.Log log : into) {
      Optional<EvmChain.Call> call = chain.transaction(log.transactionHash());
      boolean same = call.isPresent() && Arrays.equals(call.get().data(), data());
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
        receipt.transactionHash(),
        deposit.config().payer().toString(),
        deposit.amount(),
        receipt.feeWei());
  }

  @Override
  public Codes codes() {
    return CODES;
  }
}
