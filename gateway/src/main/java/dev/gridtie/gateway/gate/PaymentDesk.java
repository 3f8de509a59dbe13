package dev.gridtie.gateway.gate;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.gate.PaymentStore.StoredAnswer;
import dev.gridtie.gateway.gate.Ticket.Gate;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentIdentifier;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import dev.gridtie.x402.wire.SettleResponse;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * Takes payments and sees each to its end. A payment is claimed in the database before anything is
 * done for it; its steps are {@link PaymentState}'s. State: the tickets of the payments being
 * worked on, at most one for each key; only its holder changes that payment.
 */
public final class PaymentDesk implements AutoCloseable {
  /** How many payments may be worked on at once. */
  public static final int LIVE_MAX = 1024;

  /** How often somebody who comes while a payment is being looked after waits and tries again. */
  private static final int ADMISSION_ATTEMPTS = 3;

  private static final Duration ADMISSION_PATIENCE = Duration.ofSeconds(30);
  private static final Duration CLOSING_PATIENCE = Duration.ofSeconds(3);

  private final DeskParts parts;
  private final Charging charging;
  private final Metering metering;
  private final Recovery recovery;
  private final Map<String, Ticket> live = new ConcurrentHashMap<>();
  private volatile boolean closed;
  private @Nullable Thread background;

  /** What comes of a payment that was sent with a request. */
  public sealed interface Admission {
    /** It is being worked on; wait at the ticket, and leave it when done. */
    record Serve(Ticket ticket) implements Admission {}

    /** It has paid for this answer before. */
    record Replay(StoredAnswer answer, SettleResponse settlement) implements Admission {}

    /** It pays for nothing. */
    record Refuse(ApiError error, @Nullable SettleResponse settlement) implements Admission {}
  }

  public PaymentDesk(DeskParts parts) {
    this.parts = parts;
    this.charging = new Charging(parts);
    this.metering = new Metering(parts, charging);
    this.recovery = new Recovery(parts, charging);
  }

  /**
   * Recovers what an earlier run left, and goes on recovering in the background. Once, before the
   * first payment.
   */
  public void start() {
    recovery.begin();
    background =
        Thread.ofVirtual().name("recovery").start(() -> recovery.run(this::reconcileApart));
  }

  /** Names the payload, signature included. */
  private static String signatureOf(PaymentPayload payment) {
    return Hex.encode(Hashes.sha256(Json.write(payment.payload()).getBytes(UTF_8)));
  }

  // Before a payment is worked on

  /**
   * Whether a payment was used before, and for what; empty where it was not, or is still being
   * worked on.
   *
   * @throws MalformedPaymentException where the payload cannot be read
   */
  public Optional<Admission> recall(PaymentPayload payment, String fingerprint)
      throws MalformedPaymentException {
    Optional<Offers.Offer> offer = parts.offers().of(payment);
    if (offer.isEmpty()) {
      return Optional.empty(); // none of ours: matching says why
    }
    String key = offer.get().charge().paymentKey(payment);
    if (live.containsKey(key)) {
      return Optional.empty();
    }
    return parts.database().read(c -> recall(c, key, fingerprint, signatureOf(payment)));
  }

  private static Optional<Admission> recall(
      Connection c, String key, String fingerprint, String signature) throws SQLException {
    Optional<PaymentRecord> found = PaymentStore.find(c, key);
    if (found.isEmpty() || isFree(found.get().state())) {
      return Optional.empty();
    }
    PaymentRecord record = found.get();
    boolean open =
        record.state() == PaymentState.SETTLING || record.state() == PaymentState.UNKNOWN;
    if (!record.fingerprint().equals(fingerprint) || !record.signature().equals(signature)) {
      return Optional.of(new Admission.Refuse(Refusals.reused(), null));
    }
    if (open) {
      return Optional.empty(); // what was given first is not paid yet
    }
    return PaymentStore.answer(c, key)
        .map(
            answer ->
                answer.finish().equals(PaymentStore.FORGOTTEN)
                    ? new Admission.Refuse(
                        Refusals.forgotten(answer.receiptId()), settledResponse(record))
                    : new Admission.Replay(answer, settledResponse(record)));
  }

  /**
   * Whether a payment in this state, which nobody works on, may be claimed as if it had never been
   * sent.
   */
  private static boolean isFree(PaymentState state) {
    return switch (state) {
      case CLAIMED, VERIFIED, FAILED -> true;
      case SETTLING, SETTLED, UNKNOWN -> false;
    };
  }

  /**
   * Serves a signed-in wallet from what it has left of earlier payments: each sign-in once, for one
   * request. Empty where its balance does not reach.
   */
  public Optional<Admission> admitBalance(Order order, SignIn signIn) throws InterruptedException {
    String key = balanceKey(signIn);
    Optional<Admission> before =
        parts.database().read(c -> recall(c, key, order.fingerprint(), signatureOf(signIn)));
    if (before.isPresent()) {
      return before;
    }
    Optional<PaymentRecord> claimed = claimBalance(key, order, signIn);
    if (claimed.isEmpty()) {
      return Optional.empty();
    }
    PaymentRecord record = claimed.get();
    return Optional.of(
        admit(
            order,
            key,
            signatureOf(signIn),
            record.payer(),
            record.payment(),
            record.requirements()));
  }

  /** Whether a sign-in was used before, and for what. */
  public Optional<Admission> recall(SignIn signIn, String fingerprint) {
    String key = balanceKey(signIn);
    return live.containsKey(key)
        ? Optional.empty()
        : parts.database().read(c -> recall(c, key, fingerprint, signatureOf(signIn)));
  }

  private static String balanceKey(SignIn signIn) {
    String name = signIn.chainId() + "|" + signIn.account() + "|" + signIn.nonce();
    return "balance-" + Hex.encode(Hashes.sha256(name.getBytes(UTF_8))).substring(2);
  }

  private static String signatureOf(SignIn signIn) {
    return Hex.encode(Hashes.sha256((signIn.message() + signIn.signature()).getBytes(UTF_8)));
  }

  /**
   * Writes a sign-in down as a payment whose money is here already; empty where no balance of the
   * wallet's holds the quote.
   */
  private Optional<PaymentRecord> claimBalance(String key, Order order, SignIn signIn) {
    return parts.write(
        (c, log) -> {
          Optional<PaymentRecord> found = PaymentStore.find(c, key);
          if (found.isPresent()) {
            return found;
          }
          for (Offers.Offer offer : parts.offers().prepaidOn(signIn.chainId())) {
            PaymentRequirements asked = offer.requirements(order.quote());
            PicoUsd wanted = offer.worth(asked.amount());
            if (offer.till().balance(log, signIn.account()).compareTo(wanted) >= 0) {
              PaymentRecord record =
                  PaymentRecord.fromBalance(
                      key,
                      order.fingerprint(),
                      signatureOf(signIn),
                      signIn.account(),
                      asked,
                      Charging.answerId(key),
                      seed(order));
              // Held at once: what is under way cannot be spent twice.
              return Optional.of(charging.hold(c, log, record));
            }
          }
          return Optional.empty();
        });
  }

  /** The most that a wallet has on any balance it could spend here. */
  public PicoUsd balance(SignIn signIn) {
    return parts
        .database()
        .read(
            c -> {
              PicoUsd most = PicoUsd.ZERO;
              for (Offers.Offer offer : parts.offers().prepaidOn(signIn.chainId())) {
                PicoUsd has = offer.till().balance(new LedgerTx(c), signIn.account());
                most = most.compareTo(has) >= 0 ? most : has;
              }
              return most;
            });
  }

  /**
   * Takes a payment for an order: joins whoever sent the same before, or begins. Wait at the
   * ticket.
   *
   * @throws MalformedPaymentException where the payload cannot be read
   */
  public Admission admit(Order order, PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException, InterruptedException {
    ChargeScheme charge = parts.offers().of(payment).orElseThrow().charge();
    String key = charge.paymentKey(payment);
    String signature = signatureOf(payment);
    String payer = charge.payer(payment);
    return admit(order, key, signature, payer, payment, requirements);
  }

  private Admission admit(
      Order order,
      String key,
      String signature,
      String payer,
      PaymentPayload payment,
      PaymentRequirements requirements)
      throws InterruptedException {
    for (int attempt = 0; attempt < ADMISSION_ATTEMPTS && !closed; attempt++) {
      if (live.size() >= LIVE_MAX) {
        return new Admission.Refuse(Refusals.tooManyPayments(), null);
      }
      Ticket mine = new Ticket(key, order.fingerprint(), signature);
      boolean first = mine.join();
      Ticket ticket = live.computeIfAbsent(key, k -> mine);
      if (ticket == mine && first) {
        Thread.ofVirtual()
            .name("payment")
            .start(() -> work(mine, order, payer, payment, requirements));
        return new Admission.Serve(mine);
      }
      if (!ticket.isForRecovery()) {
        if (!ticket.isFor(order.fingerprint(), signature)) {
          return new Admission.Refuse(Refusals.reused(), null);
        }
        if (ticket.join()) {
          return new Admission.Serve(ticket);
        }
      }
      awaitEnd(ticket);
      Optional<Admission> before =
          parts.database().read(c -> recall(c, key, order.fingerprint(), signature));
      if (before.isPresent()) {
        return before.get();
      }
    }
    return new Admission.Refuse(Refusals.pending(), null);
  }

  private static void awaitEnd(Ticket ticket) throws InterruptedException {
    try {
      boolean unused = ticket.done.get(ADMISSION_PATIENCE.toSeconds(), TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      // The next look at the database says where it stands.
    }
  }

  // One payment's way, on a thread of its own

  private void work(
      Ticket ticket,
      Order order,
      String payer,
      PaymentPayload payment,
      PaymentRequirements requirements) {
    try {
      PaymentRecord record = claim(ticket, order, payer, payment, requirements);
      switch (record.state()) {
        case CLAIMED -> verifyAndSettle(ticket, order, record);
        case SETTLED -> serveSettled(ticket, order, record);
        case SETTLING, UNKNOWN -> serveReconciled(ticket, order, recovery.reconcile(record));
        case VERIFIED, FAILED ->
            throw new IllegalStateException("claimed in state " + record.state());
      }
    } catch (StoreException e) {
      System.err.println("gridtie: payment " + ticket.key + ": " + e.getMessage());
      ticket.shut(Refusals.ledgerUnavailable(), null);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      ticket.shut(Refusals.pending(), null);
    } catch (RuntimeException e) {
      System.err.println("gridtie: payment " + ticket.key + ": " + e);
      ticket.shut(Refusals.internal(), null);
    } finally {
      ticket.stopGenerating();
      live.remove(ticket.key);
      ticket.done.complete(true);
    }
  }

  /**
   * Writes the claim down, or finds what stands there: settled or unknown payments are never
   * claimed anew.
   */
  private PaymentRecord claim(
      Ticket ticket,
      Order order,
      String payer,
      PaymentPayload payment,
      PaymentRequirements requirements) {
    return parts.write(
        (c, log) -> {
          Optional<PaymentRecord> found = PaymentStore.find(c, ticket.key);
          if (found.isPresent() && !isFree(found.get().state())) {
            return found.get();
          }
          long seed = seed(order);
          PaymentRecord record =
              PaymentRecord.claimed(
                  ticket, payer, payment, requirements, Charging.answerId(ticket.key), seed);
          PaymentStore.save(c, record, parts.now());
          return record;
        });
  }

  /** The seed that the request names, or one of ours. */
  private long seed(Order order) {
    Long named = order.job().request().map(r -> r.sampling().seed()).orElse(null);
    return named == null ? parts.random().nextLong() : named;
  }

  private void verifyAndSettle(Ticket ticket, Order order, PaymentRecord claimed)
      throws InterruptedException {
    Verdict verdict;
    try {
      verdict = parts.scheme().verify(claimed.payment(), claimed.requirements());
    } catch (UnreachableException e) {
      PaymentRecord unused = parts.save(claimed.failed("chain_unreachable"));
      ticket.shut(Refusals.chainUnreachable(), null);
      return;
    }
    if (verdict instanceof Verdict.Invalid invalid) {
      refuse(ticket, claimed, invalid.why());
      return;
    }
    if (isNamedBefore(ticket, claimed)) {
      return;
    }
    PaymentRecord verified = parts.save(claimed.with(PaymentState.VERIFIED));
    // The model reads the prompt while the payment settles; not a byte leaves before both are done.
    if (!ticket.hasReaders()) {
      PaymentRecord unused = parts.save(verified.failed("not_begun"));
      ticket.shut(Refusals.pending(), null);
      return;
    }
    if (parts.offer(verified).charge().isMetered()) {
      giveFirst(ticket, order, verified);
      return;
    }
    long created = parts.now().getEpochSecond();
    startGenerating(ticket, order, verified, created);
    if (isUnfit(ticket, verified)) {
      return;
    }
    settle(ticket, order, verified, created);
  }

  /** Nobody can take it: said before any money moves. */
  private boolean isUnfit(Ticket ticket, PaymentRecord verified) {
    if (ticket.answer.endIfAny().orElse(null) instanceof Answer.End.Broken broken
        && broken.failure().kind() == Failure.Kind.UNFIT) {
      PaymentRecord unused = parts.save(verified.failed("not_begun"));
      ticket.shut(broken.failure().error(), null);
      return true;
    }
    return false;
  }

  /**
   * Gives the answer on the strength of a ceiling, and settles what was delivered after it; as far
   * as the payer may owe so much.
   */
  private void giveFirst(Ticket ticket, Order order, PaymentRecord verified)
      throws InterruptedException {
    PicoUsd ceiling = parts.offer(verified).worth(verified.requirements().amount());
    if (!parts.exposure().tryOwe(verified.key(), verified.payer(), ceiling)) {
      refuse(
          ticket, verified, Refusals.exposure(ceiling, parts.exposure().capOf(verified.payer())));
      return;
    }
    try {
      long created = parts.now().getEpochSecond();
      PaymentRecord giving = parts.save(verified.giving());
      startGenerating(ticket, order, giving, created);
      if (isUnfit(ticket, giving)) {
        return;
      }
      ticket.whenDelivered(() -> takeDelivered(ticket, order, giving, created));
      ticket.open(new Gate.Open(null, Charging.receiptId(giving), ticket.answer));
      var end = ticket.answer.awaitEnd();
      ticket.awaitSettledUp();
    } finally {
      if (!isOpen(verified.key())) {
        parts.exposure().over(verified.key());
      }
    }
  }

  /** Whether a transaction may be under way: then it is owed until recovery knows its end. */
  private boolean isOpen(String key) {
    return parts
        .database()
        .read(c -> PaymentStore.find(c, key))
        .map(PaymentRecord::state)
        .filter(s -> s == PaymentState.SETTLING || s == PaymentState.UNKNOWN)
        .isPresent();
  }

  private boolean takeDelivered(Ticket ticket, Order order, PaymentRecord giving, long created) {
    try {
      switch (metering.settle(ticket, order, giving, created)) {
        case Metering.Outcome.Paid paid -> {
          ticket.paid(settledResponse(paid.record()));
          return true;
        }
        case Metering.Outcome.Pending pending -> {
          Refusal why =
              new Refusal(
                  "settlement_pending", "the transaction was sent and its end is not known");
          ticket.unpaid(Refusals.pending(), refusedResponse(pending.record(), why, ""));
        }
        case Metering.Outcome.Unpaid unpaid ->
            ticket.unpaid(
                Refusals.notTaken(unpaid.why()),
                refusedResponse(unpaid.record(), unpaid.why(), ""));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return false;
  }

  /**
   * Whether the payer has given this payment a name (extension payment-identifier) that it has used
   * before. Only asked once the payment is verified, for the name alone opens nothing.
   */
  private boolean isNamedBefore(Ticket ticket, PaymentRecord claimed) {
    Optional<String> id;
    try {
      id = PaymentIdentifier.of(claimed.payment());
    } catch (MalformedPaymentException e) {
      refuse(ticket, claimed, new Refusal("invalid_payload", e.getMessage()));
      return true;
    }
    if (id.isEmpty()) {
      return false;
    }
    Optional<PaymentStore.Named> before =
        parts.write(
            (c, log) -> {
              Optional<PaymentStore.Named> found = PaymentStore.named(c, claimed.payer(), id.get());
              boolean free = found.isEmpty() || isOver(c, found.get().paymentKey());
              if (!free && !found.get().paymentKey().equals(claimed.key())) {
                return found;
              }
              PaymentStore.saveName(
                  c,
                  claimed.payer(),
                  id.get(),
                  new PaymentStore.Named(claimed.fingerprint(), claimed.key()),
                  parts.now());
              return Optional.empty();
            });
    if (before.isEmpty()) {
      return false;
    }
    PaymentRecord unused = parts.save(claimed.failed("payment_identifier_used"));
    if (before.get().fingerprint().equals(claimed.fingerprint())) {
      ticket.known(before.get().paymentKey());
    } else {
      ticket.shut(Refusals.nameUsed(), null);
    }
    return true;
  }

  /** Whether a payment has come to no answer that could be given again, and nobody works on it. */
  private boolean isOver(Connection c, String paymentKey) throws SQLException {
    if (live.containsKey(paymentKey)) {
      return false;
    }
    Optional<PaymentRecord> record = PaymentStore.find(c, paymentKey);
    return record.isEmpty()
        || isFree(record.get().state())
        || (record.get().state() == PaymentState.SETTLED
            && PaymentStore.answer(c, paymentKey).isEmpty());
  }

  /** What a payment that is known by its key came to; empty while that is not known. */
  public Optional<Admission> answered(String paymentKey) {
    return parts
        .database()
        .read(
            c -> {
              Optional<PaymentRecord> record = PaymentStore.find(c, paymentKey);
              return record.isEmpty()
                  ? Optional.empty()
                  : recall(c, paymentKey, record.get().fingerprint(), record.get().signature());
            });
  }

  private void startGenerating(Ticket ticket, Order order, PaymentRecord record, long created) {
    ticket.generating(
        parts
            .relay()
            .run(
                order.planFor(Charging.answerIdDigits(ticket.key), created),
                order.job().withSeed(record.seed()),
                ticket.sink()));
  }

  private void settle(Ticket ticket, Order order, PaymentRecord verified, long created)
      throws InterruptedException {
    Settlement settlement =
        parts
            .scheme()
            .settle(
                verified.payment(),
                verified.requirements(),
                signed -> {
                  PaymentRecord unused = parts.save(verified.settling(signed));
                });
    PaymentRecord current =
        parts.database().read(c -> PaymentStore.find(c, verified.key()).orElseThrow());
    switch (settlement) {
      case Settlement.Settled settled -> {
        PaymentRecord held =
            parts.write(
                (c, log) -> charging.hold(c, log, charging.deposit(c, log, current, settled)));
        serve(ticket, order, held, created);
      }
      case Settlement.Failed failed -> refuse(ticket, current, failed.why());
      case Settlement.Unknown unknown ->
          shutPending(ticket, parts.save(current.with(PaymentState.UNKNOWN)));
    }
  }

  private void serveReconciled(Ticket ticket, Order order, PaymentRecord record)
      throws InterruptedException {
    switch (record.state()) {
      case SETTLED -> serveSettled(ticket, order, record);
      case FAILED ->
          refuse(
              ticket,
              record,
              new Refusal(record.reason(), "it has failed for good; sign a new one"));
      default -> shutPending(ticket, record);
    }
  }

  /**
   * The money moved before, and no whole answer was delivered: give it now, for what is left of the
   * payment.
   */
  private void serveSettled(Ticket ticket, Order order, PaymentRecord settled)
      throws InterruptedException {
    if (!ticket.isFor(settled.fingerprint(), settled.signature())) {
      ticket.shut(Refusals.reused(), null);
    } else if (parts.offer(settled).charge().isMetered()) {
      // What was delivered is paid. The whole of it is kept for those who ask again; a part is not.
      boolean kept = parts.database().read(c -> PaymentStore.answer(c, settled.key()).isPresent());
      ticket.shut(kept ? Refusals.pending() : Refusals.spent(), settledResponse(settled));
    } else {
      long created = parts.now().getEpochSecond();
      PaymentRecord held = parts.write((c, log) -> charging.hold(c, log, settled));
      if (held.isBalance() && !parts.write((c, log) -> charging.holdsAll(c, log, held))) {
        ticket.shut(Refusals.balanceSpent(), null);
        return;
      }
      startGenerating(ticket, order, held, created);
      serve(ticket, order, held, created);
    }
  }

  /** Opens the gate and stays until somebody has settled up. */
  private void serve(Ticket ticket, Order order, PaymentRecord held, long created)
      throws InterruptedException {
    ticket.whenDelivered(() -> charging.settleUp(ticket, order, held, created));
    ticket.open(new Gate.Open(settledResponse(held), Charging.receiptId(held), ticket.answer));
    Answer.End unused = ticket.answer.awaitEnd();
    ticket.awaitSettledUp();
  }

  private void refuse(Ticket ticket, PaymentRecord record, Refusal why) {
    PaymentRecord unused = parts.save(record.failed(why.code()));
    ticket.shut(Refusals.notTaken(why), refusedResponse(record, why, ""));
  }

  private static void shutPending(Ticket ticket, PaymentRecord record) {
    Refusal why =
        new Refusal("settlement_pending", "the transaction was sent and its end is not known yet");
    String hash = record.sent().map(SignedTransaction::hash).orElse("");
    ticket.shut(Refusals.pending(), refusedResponse(record, why, hash));
  }

  private static SettleResponse settledResponse(PaymentRecord p) {
    return SettleResponse.settled(
        p.transaction(), networkName(p), p.payer(), p.requirements().amount());
  }

  private static SettleResponse refusedResponse(PaymentRecord p, Refusal why, String transaction) {
    return SettleResponse.refused(why, transaction, networkName(p));
  }

  private static String networkName(PaymentRecord p) {
    String network = p.payment().network();
    return p.payment().version() == 1 ? Networks.v1Name(network).orElse(network) : network;
  }

  /** Reconciles a payment that nobody works on, and keeps others from it meanwhile. */
  private void reconcileApart(PaymentRecord p) {
    Ticket mine = Ticket.forRecovery(p.key());
    if (live.putIfAbsent(p.key(), mine) != null) {
      return;
    }
    try {
      PaymentRecord fresh = parts.database().read(c -> PaymentStore.find(c, p.key()).orElseThrow());
      if (fresh.state() == PaymentState.SETTLING || fresh.state() == PaymentState.UNKNOWN) {
        PaymentRecord unused = recovery.reconcile(fresh);
      }
    } finally {
      live.remove(p.key());
      mine.done.complete(true);
    }
  }

  /** A receipt's JSON, by its id. */
  public Optional<String> receipt(String id) {
    return parts.database().read(c -> PaymentStore.receipt(c, id));
  }

  /**
   * Takes no more, and gives what is being worked on a moment to end. What does not is recovered at
   * the next start.
   */
  @Override
  public void close() {
    closed = true;
    Thread running = background;
    if (running != null) {
      running.interrupt();
    }
    long end = System.nanoTime() + CLOSING_PATIENCE.toNanos();
    while (!live.isEmpty() && System.nanoTime() < end) {
      try {
        Thread.sleep(20);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
    }
  }
}
