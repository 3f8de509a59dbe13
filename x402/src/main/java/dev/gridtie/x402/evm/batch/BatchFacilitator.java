package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmFacilitator;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.Transfers;
import dev.gridtie.x402.evm.batch.BatchTypes.Authorization;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Claim;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.batch.BatchTypes.Voucher;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Verifies deposits and vouchers of scheme batch-settlement, and brings deposits, claims,
 * settlements and refunds to the chain. Whether a voucher is for the right sum is the server's to
 * say, who knows what it has charged; here it is said whether the channel bears it.
 */
public final class BatchFacilitator extends EvmFacilitator {
  private static final String P = "invalid_batch_settlement_evm_";
  private static final Movement.Codes DEPOSIT_CODES =
      new Movement.Codes(
          P + "deposit_transaction_failed",
          P + "deposit_transaction_failed",
          P + "deposit_transaction_failed",
          P + "payload_authorization_valid_before");

  private final Settler settler;

  public BatchFacilitator(EvmChain chain, Settler settler, InstantSource clock) {
    super(chain, settler, clock);
    this.settler = settler;
  }

  @Override
  protected String requireValid(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    requireScheme(BatchTypes.SCHEME, P + "scheme", payment, requirements);
    requireNetwork(P + "network_mismatch", payment, requirements);
    Payload payload = payload(payment);
    long chainId = chainId(requirements);
    requireConfig(payload, requirements, chainId);
    requireVoucherSigned(payload, chainId);
    ChannelState state = ChannelState.of(chain(), senders().first(), payload.voucher().channelId());
    BigInteger bears = state.balance();
    if (payload instanceof Payload.Deposit deposit) {
      requireDeposit(deposit, requirements, chainId);
      bears = bears.add(deposit.amount());
    } else if (state.balance().signum() == 0) {
      throw new PaymentRefusedException(
          P + "channel_not_found", "there is nothing in this channel; deposit first");
    }
    requireBorne(payload.voucher(), state, bears);
    if (payload instanceof Payload.Deposit deposit) {
      simulate(deposit);
    }
    return payload.config().payer().toString();
  }

  private static Payload payload(PaymentPayload payment) throws PaymentRefusedException {
    try {
      return Payload.fromJson(payment.payload());
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException(P + "payload_type", e.getMessage());
    }
  }

  private static long chainId(PaymentRequirements requirements) throws PaymentRefusedException {
    try {
      return EvmFields.chainId(requirements);
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_network", e.getMessage());
    }
  }

  /** The channel is the one that was asked for, and is what the voucher names. */
  private static void requireConfig(Payload payload, PaymentRequirements requirements, long chainId)
      throws PaymentRefusedException {
    ChannelConfig config = payload.config();
    if (!Arrays.equals(config.id(chainId), payload.voucher().channelId())) {
      throw new PaymentRefusedException(
          P + "channel_id_mismatch", "the voucher is on another channel than is described");
    }
    if (!config.receiver().lower().equalsIgnoreCase(requirements.payTo())) {
      throw new PaymentRefusedException(
          P + "receiver_mismatch", "the channel pays somebody else; pay " + requirements.payTo());
    }
    String authorizer = Json.text(requirements.extra(), "receiverAuthorizer");
    if (authorizer == null || !config.receiverAuthorizer().lower().equalsIgnoreCase(authorizer)) {
      throw new PaymentRefusedException(
          P + "receiver_authorizer_mismatch", "the channel's receiverAuthorizer is not ours");
    }
    if (!config.token().lower().equalsIgnoreCase(requirements.asset())) {
      throw new PaymentRefusedException(
          P + "token_mismatch", "the channel is in another coin; pay in " + requirements.asset());
    }
    if (config.withdrawDelay() < BatchTypes.DELAY_MIN
        || config.withdrawDelay() > BatchTypes.DELAY_MAX) {
      throw new PaymentRefusedException(
          P + "withdraw_delay_out_of_range",
          "withdrawDelay must be from "
              + BatchTypes.DELAY_MIN
              + " to "
              + BatchTypes.DELAY_MAX
              + " seconds");
    }
    if (config.withdrawDelay() != requirements.extra().path("withdrawDelay").asLong(-1)) {
      throw new PaymentRefusedException(
          P + "withdraw_delay_mismatch", "the channel's withdrawDelay is not what was asked");
    }
  }

  /** A named authorizer signs by its key; without one the payer does, in its own way. */
  private void requireVoucherSigned(Payload payload, long chainId)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    Voucher voucher = payload.voucher();
    byte[] digest = Voucher.digest(voucher.channelId(), voucher.maxClaimable(), chainId);
    boolean unused =
        signatures()
            .require(
                payload.config().voucherSigner(),
                digest,
                voucher.signature(),
                P + "voucher_signature");
  }

  private static void requireBorne(Voucher voucher, ChannelState state, BigInteger bears)
      throws PaymentRefusedException {
    if (voucher.maxClaimable().compareTo(bears) > 0) {
      throw new PaymentRefusedException(
          P + "cumulative_exceeds_balance",
          "the voucher is for "
              + voucher.maxClaimable()
              + " in all, and the channel has had "
              + bears
              + "; deposit more");
    }
    if (voucher.maxClaimable().compareTo(state.totalClaimed()) <= 0) {
      throw new PaymentRefusedException(
          P + "cumulative_below_claimed",
          state.totalClaimed() + " of this channel have been claimed already");
    }
  }

  private void requireDeposit(
      Payload.Deposit deposit, PaymentRequirements requirements, long chainId)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    EvmAddress token = requireToken(requirements);
    switch (deposit.authorization()) {
      case Authorization.Erc3009 a -> requireErc3009(deposit, a, requirements, chainId);
      case Authorization.Permit2 a -> requirePermit2(deposit, a, chainId);
    }
    String least = Json.text(requirements.extra(), "minDeposit");
    if (least != null && deposit.amount().compareTo(new BigInteger(least)) < 0) {
      throw new PaymentRefusedException(
          P + "deposit_below_min_deposit", "deposit at least " + least + " atomic units");
    }
    BigInteger balance = balance(token, deposit.config().payer());
    if (balance.compareTo(deposit.amount()) < 0) {
      throw new PaymentRefusedException(
          P + "insufficient_balance",
          "the payer holds " + balance + " atomic units, and deposits " + deposit.amount());
    }
  }

  private void requireErc3009(
      Payload.Deposit deposit,
      Authorization.Erc3009 a,
      PaymentRequirements requirements,
      long chainId)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    String name = Json.text(requirements.extra(), "name");
    String version = Json.text(requirements.extra(), "version");
    if (name == null || version == null) {
      throw new PaymentRefusedException(
          P + "missing_eip712_domain", "extra must hold the token's EIP-712 name and version");
    }
    requireWindow(
        a.validAfter(),
        a.validBefore(),
        P + "payload_authorization_valid_after",
        P + "payload_authorization_valid_before");
    ChannelConfig config = deposit.config();
    byte[] structHash =
        Authorization.Erc3009.structHash(
            config.payer(),
            deposit.amount(),
            a.validAfter(),
            a.validBefore(),
            Authorization.Erc3009.nonce(config.id(chainId), a.salt()));
    boolean unused =
        signatures()
            .require(
                config.payer(),
                Eip712.digest(
                    Eip712.domainSeparator(name, version, chainId, config.token()), structHash),
                a.signature(),
                P + "receive_authorization_signature");
  }

  private void requirePermit2(Payload.Deposit deposit, Authorization.Permit2 a, long chainId)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    ChannelConfig config = deposit.config();
    if (!a.from().equals(config.payer())) {
      throw new PaymentRefusedException(
          P + "permit2_invalid_signature", "the permit is not the payer's");
    }
    if (!a.spender().equals(BatchTypes.PERMIT2_COLLECTOR)) {
      throw new PaymentRefusedException(
          P + "permit2_invalid_spender",
          "the permit is for another spender; sign it for " + BatchTypes.PERMIT2_COLLECTOR);
    }
    if (!a.token().equals(config.token())) {
      throw new PaymentRefusedException(P + "token_mismatch", "the permit is for another coin");
    }
    if (!a.amount().equals(deposit.amount())) {
      throw new PaymentRefusedException(
          P + "permit2_amount_mismatch", "the permit is for " + a.amount());
    }
    if (!Arrays.equals(a.channelId(), config.id(chainId))) {
      throw new PaymentRefusedException(
          P + "channel_id_mismatch", "the permit is for another channel");
    }
    requireWindow(
        BigInteger.ZERO,
        a.deadline(),
        P + "permit2_deadline_expired",
        P + "permit2_deadline_expired");
    byte[] digest =
        Authorization.Permit2.digest(
            a.token(), a.amount(), a.nonce(), a.deadline(), a.channelId(), chainId);
    boolean unused =
        signatures()
            .require(config.payer(), digest, a.signature(), P + "permit2_invalid_signature");
  }

  private void simulate(Payload.Deposit deposit)
      throws PaymentRefusedException, UnreachableException {
    try {
      byte[] unused =
          chain().call(senders().first(), BatchTypes.BATCH, BatchCalls.deposit(deposit));
    } catch (RefusedException e) {
      boolean permit2 = deposit.authorization() instanceof Authorization.Permit2;
      if (permit2 && !isAllowed(deposit)) {
        throw new PaymentRefusedException(
            P + "permit2_allowance_required",
            "the payer has not allowed Permit2 to move this coin: approve "
                + Permit2Types.PERMIT2
                + " once");
      }
      throw new PaymentRefusedException(
          P + "deposit_simulation_failed", "the deposit would fail: " + e.getMessage());
    }
  }

  private boolean isAllowed(Payload.Deposit deposit) throws UnreachableException {
    try {
      byte[] call =
          Abi.call(
              "allowance(address,address)",
              Abi.word(deposit.config().payer()),
              Abi.word(Permit2Types.PERMIT2));
      BigInteger allowed =
          Abi.uint(chain().call(senders().first(), deposit.config().token(), call));
      return allowed.compareTo(deposit.amount()) >= 0;
    } catch (RefusedException e) {
      return false;
    }
  }

  /** A deposit is brought to the chain; a voucher moves nothing there. */
  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    try {
      if (Payload.fromJson(payment.payload()) instanceof Payload.Plain voucher) {
        return new Settlement.Settled(
            "", voucher.config().payer().toString(), BigInteger.ZERO, BigInteger.ZERO);
      }
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(
          new dev.gridtie.x402.wire.Refusal(P + "payload_type", e.getMessage()));
    }
    return super.settle(payment, requirements, beforeSending);
  }

  @Override
  protected Movement movement(PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException {
    if (Payload.fromJson(payment.payload()) instanceof Payload.Deposit deposit) {
      return new DepositMovement(deposit, EvmFields.chainId(requirements));
    }
    throw new MalformedPaymentException("a voucher is not brought to the chain by itself");
  }

  /** Money that goes from a payer into its channel. */
  private final class DepositMovement implements Movement {
    private final Payload.Deposit deposit;
    private final long chainId;

    DepositMovement(Payload.Deposit deposit, long chainId) {
      this.deposit = deposit;
      this.chainId = chainId;
    }

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
                        chain()
                            .call(
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
                    chain()
                        .call(
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
          chain()
              .logs(
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
        Optional<EvmChain.Call> call = chain().transaction(log.transactionHash());
        boolean same = call.isPresent() && Arrays.equals(call.get().data(), data());
        Optional<EvmChain.Receipt> receipt =
            same ? chain().receipt(log.transactionHash()) : Optional.empty();
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
      return DEPOSIT_CODES;
    }
  }

  // What the receiver wants of the chain

  /**
   * Claims many channels in one transaction. A claim that was made before is passed over by the
   * contract, so doing it again takes nothing twice.
   *
   * @param authorizerSignature over {@link BatchTypes#claimBatchDigest}
   */
  public Settlement claim(
      List<Claim> claims, byte[] authorizerSignature, Consumer<SignedTransaction> beforeSending) {
    return settler.settle(
        new Deed(BatchCalls.claimWithSignature(claims, authorizerSignature), P + "claim"),
        beforeSending);
  }

  /** Pays out what was claimed for a receiver; nothing where nothing was. */
  public Settlement payOut(
      EvmAddress receiver, EvmAddress token, Consumer<SignedTransaction> beforeSending) {
    return settler.settle(
        new Deed(BatchCalls.settle(receiver, token), P + "settle"), beforeSending);
  }

  /**
   * Gives back what is left in a channel, at most this much.
   *
   * @param nonce the channel's {@link ChannelState#refundNonce}
   * @param authorizerSignature over {@link BatchTypes#refundDigest}
   */
  public Settlement refund(
      ChannelConfig config,
      BigInteger amount,
      BigInteger nonce,
      byte[] authorizerSignature,
      Consumer<SignedTransaction> beforeSending) {
    return settler.settle(
        new Deed(
            BatchCalls.refundWithSignature(config, amount, nonce, authorizerSignature),
            P + "refund"),
        beforeSending);
  }

  /** What became of one of these, once. */
  public Settlement reconcileDeed(byte[] data, SignedTransaction sent) {
    return settler.reconcile(new Deed(data, P + "claim"), sent);
  }

  /**
   * A call of the contract that may be made again without harm, and never expires.
   *
   * @param code how the codes of its failures begin
   */
  private record Deed(byte[] data, String code) implements Movement {
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
    public Optional<EvmChain.Receipt> movedBy(SignedTransaction sent) {
      return Optional.empty();
    }

    @Override
    public Settlement.Settled settled(EvmChain.Receipt receipt) {
      return new Settlement.Settled(
          receipt.transactionHash(), "", BigInteger.ZERO, receipt.feeWei());
    }

    @Override
    public Codes codes() {
      String failed = code + "_transaction_failed";
      return new Codes(failed, failed, failed, failed);
    }
  }
}
