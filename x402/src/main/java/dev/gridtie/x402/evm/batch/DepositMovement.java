package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Hex;
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
  public Use use(Optional<SignedTransaction> sent) throws UnreachableException, RefusedException {
    EvmAddress from =
        deposit.authorization() instanceof Authorization.Erc3009
            ? BatchTypes.ERC3009_COLLECTOR
            : deposit.config().payer();
    List<byte[]> into = List.of(Transfers.EVENT, Abi.word(from), Abi.word(BatchTypes.BATCH));
    if (sent.isEmpty()) {
      return new Use.Elsewhere(); // what is in the channel counts, whoever brought it
    }
    List<EvmChain.Log> transfers =
        chain.logs(deposit.config().token(), sent.get().sinceBlock(), into);
    for (EvmChain.Log log : transfers) {
      if (!Transfers.is(log, deposit.config().token(), from, BatchTypes.BATCH, deposit.amount())) {
        continue;
      }
      Optional<EvmChain.Call> call = chain.transaction(log.transactionHash());
      boolean same = call.isPresent() && Arrays.equals(call.get().data(), data());
      Optional<EvmChain.Receipt> receipt =
          same ? chain.receipt(log.transactionHash()) : Optional.empty();
      if (receipt.isPresent() && receipt.get().succeeded() && moved(receipt.get())) {
        return new Use.Moved(receipt.get());
      }
    }
    return new Use.Elsewhere();
  }

  @Override
  public Optional<Debit> debit() {
    ChannelConfig config = deposit.config();
    String right =
        switch (deposit.authorization()) {
          case Authorization.Erc3009 a ->
              "eip3009 "
                  + config.token().lower()
                  + " "
                  + Hex.encode(Authorization.Erc3009.nonce(config.id(chainId), a.salt()));
          case Authorization.Permit2 a -> "permit2 " + a.nonce();
        };
    return Optional.of(
        new Debit(
            config.payer(),
            config.token(),
            deposit.amount(),
            right,
            deposit.authorization() instanceof Authorization.Permit2
                ? Optional.of(Permit2Types.PERMIT2)
                : Optional.empty()));
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
