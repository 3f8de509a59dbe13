package dev.gridtie.x402.evm;

import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.facilitator.ChainMark;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.PaymentScheme;
import dev.gridtie.x402.facilitator.RemoteFacilitator;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * What the facilitators of all EVM schemes share: guards that every payment passes, and settling by
 * one transaction. A scheme adds its own guards and its {@link Movement}.
 */
public abstract class EvmFacilitator implements PaymentScheme, RemoteFacilitator.ChainView {
  /** A payment must stay valid at least this much longer: the time that settling may take. */
  public static final long VALID_SECONDS_MIN = 6;

  /** How long it is known that a token's address is a contract. */
  private static final long CONTRACT_KNOWN_SECONDS = 900;

  /** How many are known; anybody can name any. */
  private static final int CONTRACTS_MAX = 1024;

  /** Until when, in Unix seconds, each is known. */
  private final Map<EvmAddress, BigInteger> contractsUntil = new ConcurrentHashMap<>();

  private final EvmChain chain;
  private final Settler settler;
  private final InstantSource clock;
  private final PayerSignatures signatures;

  protected EvmFacilitator(EvmChain chain, Settler settler, InstantSource clock) {
    this.chain = chain;
    this.settler = settler;
    this.clock = clock;
    this.signatures = new PayerSignatures(chain, settler.senders().first(), settler.guard());
  }

  protected final EvmChain chain() {
    return chain;
  }

  protected final PayerSignatures signatures() {
    return signatures;
  }

  protected final GasGuard guard() {
    return settler.guard();
  }

  protected final SenderPool senders() {
    return settler.senders();
  }

  protected final BigInteger now() {
    return BigInteger.valueOf(clock.instant().getEpochSecond());
  }

  /** The scheme's guards, in the order of its specification; says who pays. */
  protected abstract Verdict.Valid requireValid(
      PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException;

  /** What the payment moves. */
  protected abstract Movement movement(PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException, UnreachableException, RefusedException;

  @Override
  public final Verdict verify(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException {
    try {
      Verdict.Valid valid = requireValid(payment, requirements);
      requireWorthIt(payment, requirements);
      return valid;
    } catch (PaymentRefusedException e) {
      return new Verdict.Invalid(e.why(), isUsed(payment, requirements, e.why()));
    } catch (RefusedException e) {
      return new Verdict.Invalid(
          new Refusal("unexpected_verify_error", "the chain refused: " + e.getMessage()));
    }
  }

  /** What would be settled is worth its gas, and its payer has not cost us any for nothing. */
  private void requireWorthIt(PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    Optional<Movement.Debit> debit;
    try {
      debit = movement(payment, requirements).debit();
    } catch (MalformedPaymentException e) {
      return; // a voucher, which moves nothing by itself
    }
    if (debit.isEmpty()) {
      return;
    }
    Optional<Refusal> why =
        guard()
            .notWorthIt(debit.get().token(), debit.get().amount())
            .or(() -> guard().barred(debit.get().payer()));
    if (why.isPresent()) {
      throw new PaymentRefusedException(why.get().code(), why.get().message());
    }
  }

  /**
   * Whether a payment is refused because the chain has seen it already, which is said only of what
   * its payer has signed.
   */
  private boolean isUsed(PaymentPayload payment, PaymentRequirements requirements, Refusal why)
      throws UnreachableException {
    try {
      Movement movement = movement(payment, requirements);
      return (why.code().equals(movement.codes().used())
              || why.code().equals(movement.codes().expired()))
          && movement.isUsed(senders().first());
    } catch (MalformedPaymentException | RefusedException e) {
      return false;
    }
  }

  @Override
  public final Verdict promise(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException {
    try {
      Movement movement = movement(payment, requirements);
      Optional<Refusal> why = settler.promise(movement);
      return why.<Verdict>map(Verdict.Invalid::new)
          .orElseGet(
              () -> new Verdict.Valid(movement.debit().map(d -> d.payer().toString()).orElse("")));
    } catch (MalformedPaymentException e) {
      return new Verdict.Invalid(new Refusal("invalid_payload", e.getMessage()));
    } catch (RefusedException e) {
      throw new UnreachableException(String.valueOf(e.getMessage()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new UnreachableException("interrupted");
    }
  }

  @Override
  public final void forgo(PaymentPayload payment, PaymentRequirements requirements) {
    try {
      settler.forgo(movement(payment, requirements));
    } catch (MalformedPaymentException | UnreachableException | RefusedException e) {
      // It is forgotten when the payment has expired.
    }
  }

  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    try {
      return settler.settle(movement(payment, requirements), beforeSending);
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", e.getMessage()));
    } catch (UnreachableException | RefusedException e) {
      return new Settlement.Failed(
          new Refusal("unexpected_settle_error", "the chain is out of reach: " + e.getMessage()));
    }
  }

  @Override
  public Settlement reconcile(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    try {
      return settler.reconcile(movement(payment, requirements), sent);
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", e.getMessage()));
    } catch (UnreachableException | RefusedException e) {
      return new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public final void adopt(PaymentRequirements requirements, SignedTransaction sent) {
    settler.senders().adopt(sent);
  }

  @Override
  public final boolean isOnChain(PaymentRequirements requirements, String transaction)
      throws UnreachableException {
    try {
      return chain.receipt(transaction).isPresent();
    } catch (RefusedException e) {
      throw new UnreachableException(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public final Optional<ChainMark> mark(String network) throws UnreachableException {
    try {
      EvmChain.Block head = chain.latestBlock();
      return Optional.of(new ChainMark(head.number(), head.hash()));
    } catch (RefusedException e) {
      throw new UnreachableException(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public final boolean hasTakenBack(String network, ChainMark mark) throws UnreachableException {
    try {
      return chain.block(mark.height()).filter(b -> !b.hash().equals(mark.hash())).isPresent();
    } catch (RefusedException e) {
      throw new UnreachableException(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public final void rolledBack(String network) {
    senders().rolledBack();
  }

  @Override
  public final Settlement lookFor(
      PaymentPayload payment, PaymentRequirements requirements, long sinceBlock) {
    try {
      Movement movement = movement(payment, requirements);
      EvmChain.Block head = chain.latestBlock();
      if (movement.isUsed(senders().first())) {
        return switch (movement.use(Optional.empty())) {
          case Movement.Use.Moved moved -> movement.settled(moved.by());
          case Movement.Use.Elsewhere elsewhere ->
              new Settlement.Failed(
                  new Refusal(movement.codes().used(), "it was used for something else"));
          case Movement.Use.Unclear unclear -> new Settlement.Unknown(unclear.why());
        };
      }
      return BigInteger.valueOf(head.timestamp()).compareTo(movement.deadline()) >= 0
          ? new Settlement.Failed(
              new Refusal(movement.codes().expired(), "expired before it was mined"))
          : new Settlement.Unknown("the chain has not seen it yet");
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", e.getMessage()));
    } catch (UnreachableException | RefusedException e) {
      return new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public final long height() throws UnreachableException {
    try {
      return chain.latestBlock().number();
    } catch (RefusedException e) {
      throw new UnreachableException(String.valueOf(e.getMessage()));
    }
  }

  // Guards that several schemes have

  protected static void requireScheme(
      String scheme, String code, PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException {
    if (!payment.scheme().equals(scheme) || !requirements.scheme().equals(scheme)) {
      throw new PaymentRefusedException(code, "the scheme is not " + scheme);
    }
  }

  protected static void requireNetwork(
      String code, PaymentPayload payment, PaymentRequirements requirements)
      throws PaymentRefusedException {
    if (!payment.network().equals(requirements.network())) {
      throw new PaymentRefusedException(
          code,
          "the payment is for "
              + payment.network()
              + ", and "
              + requirements.network()
              + " was asked");
    }
  }

  protected static void requirePayee(String code, EvmAddress to, PaymentRequirements requirements)
      throws PaymentRefusedException {
    if (!to.lower().equalsIgnoreCase(requirements.payTo())) {
      throw new PaymentRefusedException(
          code, "the authorisation pays somebody else; pay " + requirements.payTo());
    }
  }

  /** Valid now, and long enough to be settled. */
  protected final void requireWindow(
      BigInteger validAfter, BigInteger until, String early, String late)
      throws PaymentRefusedException {
    if (until.compareTo(now().add(BigInteger.valueOf(VALID_SECONDS_MIN))) < 0) {
      throw new PaymentRefusedException(
          late,
          "the authorisation has expired, or does within "
              + VALID_SECONDS_MIN
              + " s; sign a new one");
    }
    if (validAfter.compareTo(now()) > 0) {
      throw new PaymentRefusedException(early, "the authorisation is not valid yet");
    }
  }

  protected static void requireAmount(
      String code, BigInteger authorised, PaymentRequirements requirements)
      throws PaymentRefusedException {
    if (!authorised.equals(requirements.amount())) {
      throw new PaymentRefusedException(
          code,
          "the authorisation is for "
              + authorised
              + " atomic units, and the price is "
              + requirements.amount());
    }
  }

  /** The token's contract, which must be one. */
  protected final EvmAddress requireToken(PaymentRequirements requirements)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    EvmAddress token;
    try {
      token = EvmAddress.of(requirements.asset());
    } catch (IllegalArgumentException e) {
      throw new PaymentRefusedException("invalid_payment_requirements", "asset must be an address");
    }
    if (!isContract(token)) {
      throw new PaymentRefusedException(
          "asset_not_deployed_contract", "there is no contract at " + token + " on this chain");
    }
    return token;
  }

  /** A token that was a contract a moment ago still is one. */
  private boolean isContract(EvmAddress token) throws UnreachableException, RefusedException {
    BigInteger now = now();
    BigInteger until = contractsUntil.get(token);
    if (until != null && until.compareTo(now) > 0) {
      return true;
    }
    if (chain.code(token).length == 0) {
      return false;
    }
    if (contractsUntil.size() >= CONTRACTS_MAX) {
      contractsUntil.clear();
    }
    contractsUntil.put(token, now.add(BigInteger.valueOf(CONTRACT_KNOWN_SECONDS)));
    return true;
  }

  /** What an account holds of a token. */
  protected final BigInteger balance(EvmAddress token, EvmAddress account)
      throws UnreachableException, RefusedException {
    return Abi.uint(
        chain.call(senders().first(), token, Abi.call("balanceOf(address)", Abi.word(account))));
  }
}
