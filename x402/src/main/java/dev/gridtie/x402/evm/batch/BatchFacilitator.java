package dev.gridtie.x402.evm.batch;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.Question;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmChain.Trial;
import dev.gridtie.x402.evm.EvmFacilitator;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.evm.Settler;
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
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import tools.jackson.databind.node.ObjectNode;

/**
 * Verifies deposits and vouchers of scheme batch-settlement, and brings deposits, claims,
 * settlements and refunds to the chain. Whether a voucher is for the right sum is the server's to
 * say, who knows what it has charged; here it is said whether the channel bears it.
 */
public final class BatchFacilitator extends EvmFacilitator {
  private static final String P = BatchTypes.CODE;

  private final Settler settler;
  private final EvmKey authorizer;
  private final AtomicLong payouts = new AtomicLong();

  /**
   * @param authorizer signs claims and refunds of the channels that name it
   */
  public BatchFacilitator(EvmChain chain, Settler settler, EvmKey authorizer, InstantSource clock) {
    super(chain, settler, clock);
    this.settler = settler;
    this.authorizer = authorizer;
  }

  @Override
  protected Verdict.Valid requireValid(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    requireScheme(BatchTypes.SCHEME, P + "scheme", payment, requirements);
    requireNetwork(P + "network_mismatch", payment, requirements);
    long chainId = chainId(requirements);
    if (BatchDeed.isIn(payment.payload())) {
      requireDeed(payment, chainId);
      return new Verdict.Valid("");
    }
    Payload payload = payload(payment);
    VoucherGuards.requireConfig(payload, requirements, chainId);
    requireVoucherSigned(payload, chainId);
    ChannelState state = state(payload.voucher().channelId());
    BigInteger bears = state.balance();
    switch (payload) {
      case Payload.Deposit deposit -> {
        if (bringsMore(deposit, requirements, chainId)) {
          bears = bears.add(deposit.amount());
        }
      }
      case Payload.Plain plain -> requireFunded(state);
      case Payload.Refund refund -> {
        requireFunded(state);
        if (state.balance().compareTo(refund.voucher().maxClaimable()) <= 0) {
          throw new PaymentRefusedException(
              P + "refund_no_balance", "all that is in the channel is spent");
        }
        return new Verdict.Valid(payload.config().payer().toString(), state.toJson());
      }
    }
    VoucherGuards.requireBorne(payload.voucher(), state, bears);
    return new Verdict.Valid(payload.config().payer().toString(), state.toJson());
  }

  /**
   * Whether a deposit is still to come; one that was brought before is a voucher like any other.
   */
  private boolean bringsMore(
      Payload.Deposit deposit, PaymentRequirements requirements, long chainId)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    try {
      simulate(deposit, requireDeposit(deposit, requirements, chainId));
      return true;
    } catch (PaymentRefusedException e) {
      if (hasArrived(deposit)) {
        return false;
      }
      throw e;
    }
  }

  private static void requireFunded(ChannelState state) throws PaymentRefusedException {
    if (state.balance().signum() == 0) {
      throw new PaymentRefusedException(
          P + "channel_not_found", "there is nothing in this channel; deposit first");
    }
  }

  /** It is signed, or can be signed here, and the contract would do it. */
  private void requireDeed(PaymentPayload payment, long chainId)
      throws PaymentRefusedException, UnreachableException {
    String what = Json.text(payment.payload(), "type");
    try {
      byte[] unused =
          chain()
              .call(
                  senders().first(),
                  BatchTypes.BATCH,
                  movement(BatchDeed.fromJson(payment.payload()), chainId).data());
    } catch (MalformedPaymentException e) {
      boolean unsigned = String.valueOf(e.getMessage()).startsWith("there is no signature");
      throw new PaymentRefusedException(
          P + (unsigned ? "authorizer_address_mismatch" : "payload_type"), e.getMessage());
    } catch (RefusedException e) {
      throw new PaymentRefusedException(
          P + what + "_simulation_failed", "the contract would refuse it: " + e.getMessage());
    }
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

  /** The least that may be deposited; a seller may name it. */
  private static BigInteger minDeposit(PaymentRequirements requirements)
      throws PaymentRefusedException {
    try {
      return requirements.extra().has("minDeposit")
          ? EvmFields.uint(requirements.extra(), "minDeposit", 128)
          : BigInteger.ZERO;
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException(
          P + "deposit_below_min_deposit", String.valueOf(e.getMessage()));
    }
  }

  /** Says what it would do, where that was asked along. */
  private Optional<Trial> requireDeposit(
      Payload.Deposit deposit, PaymentRequirements requirements, long chainId)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    EvmAddress token = requireToken(requirements);
    Optional<Trial> trial =
        switch (deposit.authorization()) {
          case Authorization.Erc3009 a -> requireErc3009(deposit, a, requirements, chainId);
          case Authorization.Permit2 a -> requirePermit2(deposit, a, chainId);
        };
    BigInteger least = minDeposit(requirements);
    if (deposit.amount().compareTo(least) < 0) {
      throw new PaymentRefusedException(
          P + "deposit_below_min_deposit", "deposit at least " + least + " atomic units");
    }
    if (trial.isPresent() && trial.get() instanceof Trial.Done) {
      return trial; // it holds enough, or this would have been refused
    }
    BigInteger balance = balance(token, deposit.config().payer());
    if (balance.compareTo(deposit.amount()) < 0) {
      throw new PaymentRefusedException(
          P + "insufficient_balance",
          "the payer holds " + balance + " atomic units, and deposits " + deposit.amount());
    }
    return trial;
  }

  private Optional<Trial> requireErc3009(
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
    return signatures()
        .requireAndTry(
            config.payer(),
            Eip712.digest(
                Eip712.domainSeparator(name, version, chainId, config.token()), structHash),
            a.signature(),
            P + "receive_authorization_signature",
            () -> depositing(deposit));
  }

  private Optional<Trial> requirePermit2(
      Payload.Deposit deposit, Authorization.Permit2 a, long chainId)
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
    return signatures()
        .requireAndTry(
            config.payer(),
            digest,
            a.signature(),
            P + "permit2_invalid_signature",
            () -> depositing(deposit));
  }

  private Question depositing(Payload.Deposit deposit) {
    return new Question(senders().first(), BatchTypes.BATCH, BatchCalls.deposit(deposit));
  }

  private void simulate(Payload.Deposit deposit, Optional<Trial> trial)
      throws PaymentRefusedException, UnreachableException {
    try {
      byte[] unused =
          trial.isPresent() ? trial.get().orThrow() : signatures().tryAsSent(depositing(deposit));
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

  /** Whether a deposit was brought to the chain before, and its channel bears its voucher. */
  private boolean hasArrived(Payload.Deposit deposit) throws UnreachableException {
    try {
      long chainId = chain().chainId();
      return new DepositMovement(chain(), deposit, chainId).isUsed(senders().first())
          && deposit
                  .voucher()
                  .maxClaimable()
                  .compareTo(state(deposit.voucher().channelId()).balance())
              <= 0;
    } catch (RefusedException e) {
      return false;
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

  // Bringing it to the chain

  /** A deposit or a deed is brought to the chain; a voucher moves nothing there. */
  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    try {
      if (!BatchDeed.isIn(payment.payload())
          && Payload.fromJson(payment.payload()) instanceof Payload.Plain voucher) {
        return new Settlement.Settled(
            "", voucher.config().payer().toString(), BigInteger.ZERO, BigInteger.ZERO);
      }
      Optional<Refusal> often =
          BatchDeed.isIn(payment.payload())
              ? Optional.empty()
              : guard().tryDeposit(Payload.fromJson(payment.payload()).config().payer());
      if (often.isPresent()) {
        return new Settlement.Failed(often.get());
      }
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal(P + "payload_type", e.getMessage()));
    }
    Settlement settlement = super.settle(payment, requirements, beforeSending);
    if (settlement instanceof Settlement.Failed && isArrivedDeposit(payment)) {
      settlement = new Settlement.Settled("", "", BigInteger.ZERO, BigInteger.ZERO);
    }
    return withState(payment, requirements, settlement);
  }

  private boolean isArrivedDeposit(PaymentPayload payment) {
    try {
      return !BatchDeed.isIn(payment.payload())
          && Payload.fromJson(payment.payload()) instanceof Payload.Deposit deposit
          && hasArrived(deposit);
    } catch (MalformedPaymentException | UnreachableException e) {
      return false;
    }
  }

  @Override
  public Settlement reconcile(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    return withState(payment, requirements, super.reconcile(payment, requirements, sent));
  }

  /** Says how the channel stands now, where one was put into or taken from. */
  private Settlement withState(
      PaymentPayload payment, PaymentRequirements requirements, Settlement settlement) {
    if (!(settlement instanceof Settlement.Settled s) || !payment.payload().has("channelConfig")) {
      return settlement;
    }
    try {
      ChannelConfig config = ChannelConfig.fromJson(payment.payload().path("channelConfig"));
      ObjectNode extra = Json.object();
      extra.set("channelState", state(config.id(EvmFields.chainId(requirements))).toJson());
      return new Settlement.Settled(
          s.transaction(), config.payer().toString(), s.amount(), s.feeWei(), extra);
    } catch (MalformedPaymentException | UnreachableException | RefusedException e) {
      return settlement; // the money has moved, whatever else cannot be said
    }
  }

  @Override
  protected Movement movement(PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException {
    long chainId = EvmFields.chainId(requirements);
    if (BatchDeed.isIn(payment.payload())) {
      return movement(BatchDeed.fromJson(payment.payload()), chainId);
    }
    if (Payload.fromJson(payment.payload()) instanceof Payload.Deposit deposit) {
      return new DepositMovement(chain(), deposit, chainId);
    }
    throw new MalformedPaymentException("a voucher is not brought to the chain by itself");
  }

  private Movement movement(BatchDeed deed, long chainId) throws MalformedPaymentException {
    return switch (deed) {
      case BatchDeed.ClaimMany many ->
          new DeedMovement(
              BatchCalls.claimWithSignature(
                  many.claims(), signature(many.claims(), many.signature(), chainId)),
              P + "claim");
      case BatchDeed.PayOut payOut ->
          new DeedMovement(BatchCalls.settle(payOut.receiver(), payOut.token()), P + "settle");
      case BatchDeed.GiveBack back -> {
        byte[] refund =
            BatchCalls.refundWithSignature(
                back.config(), back.amount(), back.nonce(), signature(back, chainId));
        yield new DeedMovement(
            back.claims().isEmpty()
                ? refund
                : BatchCalls.multicall(
                    List.of(
                        BatchCalls.claimWithSignature(
                            back.claims(),
                            signature(back.claims(), back.claimSignature(), chainId)),
                        refund)),
            P + "refund");
      }
    };
  }

  /** The authorizer's signature over claims: the one that was given, or ours. */
  private byte[] signature(List<Claim> claims, Optional<byte[]> given, long chainId)
      throws MalformedPaymentException {
    return given.isPresent()
        ? given.get()
        : authorizerOf(claims.getFirst().config())
            .sign(BatchTypes.claimBatchDigest(claims, chainId));
  }

  private byte[] signature(BatchDeed.GiveBack back, long chainId) throws MalformedPaymentException {
    return back.signature().isPresent()
        ? back.signature().get()
        : authorizerOf(back.config())
            .sign(
                BatchTypes.refundDigest(
                    back.config().id(chainId), back.nonce(), back.amount(), chainId));
  }

  private EvmKey authorizerOf(ChannelConfig config) throws MalformedPaymentException {
    if (!config.receiverAuthorizer().equals(authorizer.address())) {
      throw new MalformedPaymentException(
          "there is no signature of the receiver's authorizer "
              + config.receiverAuthorizer()
              + ", and its key is not here");
    }
    return authorizer;
  }

  /**
   * Does what a receiver wants done.
   *
   * @throws MalformedPaymentException where a signature is missing
   */
  public Settlement settle(BatchDeed deed, long chainId, Consumer<SignedTransaction> beforeSending)
      throws MalformedPaymentException {
    Movement movement = movement(deed, chainId);
    Optional<Refusal> often =
        deed instanceof BatchDeed.GiveBack back
            ? guard().tryRefund(back.config().payer())
            : Optional.empty();
    return often
        .<Settlement>map(Settlement.Failed::new)
        .orElseGet(() -> settler.settle(movement, beforeSending));
  }

  /**
   * Names what is to be brought to the chain. A payout has no name of its own: the same again later
   * pays out what was claimed since.
   */
  public String key(String network, PaymentPayload payment) throws MalformedPaymentException {
    String what = Json.text(payment.payload(), "type");
    String text =
        network
            + "|"
            + Json.canonical(payment.payload())
            + ("settle".equals(what) ? "|" + payouts.incrementAndGet() + "|" + now() : "");
    return "channel-" + Hex.encode(Hashes.sha256(text.getBytes(UTF_8))).substring(2);
  }

  /** Whose key signs claims and refunds where nobody else's signature is given. */
  public EvmAddress authorizer() {
    return authorizer.address();
  }

  /** How a channel stands. */
  public ChannelState state(byte[] channelId) throws UnreachableException, RefusedException {
    return ChannelState.of(chain(), senders().first(), channelId);
  }

  /** What a unit of gas costs at least, in wei. */
  public BigInteger baseFee() throws UnreachableException, RefusedException {
    return chain().latestBlock().baseFee();
  }
}
