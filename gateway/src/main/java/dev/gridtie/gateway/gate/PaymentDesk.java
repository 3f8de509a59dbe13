package dev.gridtie.gateway.gate;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.gate.PaymentStore.StoredAnswer;
import dev.gridtie.gateway.gate.Ticket.Gate;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.server.ChargeScheme.Timing;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import dev.gridtie.x402.wire.SettleResponse;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * Takes payments and sees each to its end. A payment that would move money is claimed in the
 * database before anything is done for it; its steps are {@link PaymentState}'s. State: the tickets
 * of the payments being worked on, at most one for each key; only its holder changes that payment.
 */
public final class PaymentDesk implements AutoCloseable {
  /** How many payments may be worked on at once. */
  public static final int LIVE_MAX = 1024;

  /** How often somebody who comes while a payment is being looked after waits and tries again. */
  private static final int ADMISSION_ATTEMPTS = 3;

  private static final Duration ADMISSION_PATIENCE = Duration.ofSeconds(30);

  /** How often, and how long apart, a payment is looked at that another gateway works on. */
  private static final int ELSEWHERE_ATTEMPTS = 150;

  private static final Duration ELSEWHERE_PAUSE = Duration.ofMillis(200);
  private static final Duration CLOSING_PATIENCE = Duration.ofSeconds(3);

  private final DeskParts parts;
  private final Charging charging;
  private final Balances balances;
  private final Giving giving;
  private final CeilingWay ceilings;
  private final ChannelWay channelWay;
  private final Recovery recovery;
  private final Channels channels;
  private final Claims claims;
  private final List<Thread> claimers = new ArrayList<>();
  private final Map<String, Ticket> live = new ConcurrentHashMap<>();
  private volatile boolean closed;
  private @Nullable Thread background;

  /** What comes of a payment that was sent with a request. */
  public sealed interface Admission {
    /** It is being worked on; wait at the ticket, and leave it when done. */
    record Serve(Ticket ticket) implements Admission {}

    /** It has paid for this answer before. */
    record Replay(StoredAnswer answer, SettleResponse settlement) implements Admission {}

    /**
     * It pays for nothing.
     *
     * @param correction what the payer has got wrong, for the 402's {@code extra}; may be empty
     */
    record Refuse(ApiError error, @Nullable SettleResponse settlement, ObjectNode correction)
        implements Admission {
      Refuse(ApiError error, @Nullable SettleResponse settlement) {
        this(error, settlement, Json.object());
      }
    }
  }

  public PaymentDesk(DeskParts parts) {
    this.parts = parts;
    this.charging = new Charging(parts);
    this.balances = new Balances(parts, charging);
    this.channels = new Channels(parts, charging);
    this.claims = new Claims(parts, channels);
    this.recovery = new Recovery(parts, charging, claims);
    this.giving = new Giving(parts, channels, live::containsKey);
    this.ceilings = new CeilingWay(parts, new Metering(parts, charging), giving);
    this.channelWay = new ChannelWay(parts, channels, giving);
  }

  /**
   * Recovers what an earlier run left, and goes on recovering in the background. Once, before the
   * first payment.
   */
  public void start() {
    recovery.begin();
    background = Thread.ofVirtual().name("recovery").start(() -> recovery.run(this::apart));
    for (Offers.Offer offer : parts.offers().channeled()) {
      claimers.add(Thread.ofVirtual().name("claims").start(() -> claims.run(offer)));
    }
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

  private Optional<Admission> recall(Connection c, String key, String fingerprint, String signature)
      throws SQLException {
    Optional<PaymentRecord> found = PaymentStore.find(c, key);
    if (found.isEmpty() || found.get().state().isFree()) {
      return Optional.empty();
    }
    PaymentRecord record = found.get();
    boolean open =
        record.state() == PaymentState.SETTLING || record.state() == PaymentState.UNKNOWN;
    if (!record.fingerprint().equals(fingerprint) || !record.signature().equals(signature)) {
      if (giving.isOnChannel(record.payment())) {
        return Optional.empty(); // its signer does not know yet what was charged: it is told
      }
      return Optional.of(new Admission.Refuse(Refusals.reused(), null));
    }
    if (open) {
      return Optional.empty(); // what was given first is not paid yet
    }
    Optional<StoredAnswer> kept = PaymentStore.answer(c, key);
    if (kept.isEmpty()) {
      return Optional.empty();
    }
    StoredAnswer answer = kept.get();
    return Optional.of(
        answer.finish().equals(PaymentStore.FORGOTTEN)
            ? new Admission.Refuse(
                Refusals.forgotten(answer.receiptId()), giving.settledResponse(c, record))
            : new Admission.Replay(answer, giving.settledResponse(c, record)));
  }

  /**
   * Serves a signed-in wallet from what it has left of earlier payments: each sign-in once, for one
   * request. Empty where its balance does not reach.
   */
  public Optional<Admission> admitBalance(Order order, SignIn signIn) throws InterruptedException {
    String key = Balances.key(signIn);
    Optional<Admission> before =
        parts.database().read(c -> recall(c, key, order.fingerprint(), Balances.signature(signIn)));
    if (before.isPresent()) {
      return before;
    }
    Optional<PaymentRecord> claimed = balances.claim(key, order, signIn);
    if (claimed.isEmpty()) {
      return Optional.empty();
    }
    PaymentRecord record = claimed.get();
    return Optional.of(
        admit(
            order,
            key,
            Balances.signature(signIn),
            record.payer(),
            record.payment(),
            record.requirements()));
  }

  /** Whether a sign-in was used before, and for what. */
  public Optional<Admission> recall(SignIn signIn, String fingerprint) {
    String key = Balances.key(signIn);
    return live.containsKey(key)
        ? Optional.empty()
        : parts.database().read(c -> recall(c, key, fingerprint, Balances.signature(signIn)));
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
          if (giving.isOnChannel(payment)) {
            return new Admission.Refuse(Refusals.notTaken(Channels.isBusy()), null);
          }
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
      Optional<Looked> looked =
          isStored(ticket.key)
              ? Optional.empty()
              : Optional.of(look(ticket, payer, payment, requirements));
      boolean checked = looked.equals(Optional.of(Looked.GOOD));
      if (looked.equals(Optional.of(Looked.REFUSED))) {
        return;
      }
      Optional<PaymentRecord> claimed = claimInTurn(ticket, order, payer, payment, requirements);
      if (claimed.isEmpty()) {
        ticket.shut(Refusals.pending(), null);
        return;
      }
      PaymentRecord record = claimed.get();
      switch (record.state()) {
        case CLAIMED -> verifyAndSettle(ticket, order, record, checked);
        case SETTLED -> {
          boolean same = ticket.isFor(record.fingerprint(), record.signature());
          if (!same && giving.isOnChannel(payment)) {
            channelWay.correct(ticket, payment, requirements);
          } else {
            serveSettled(ticket, order, record);
          }
        }
        case SETTLING, UNKNOWN -> {
          PaymentRecord known = recovery.reconcile(record);
          if (known.reason().equals(Channels.DEPOSITED)) {
            verifyAndSettle(
                ticket,
                order,
                claim(ticket, order, payer, payment, requirements).orElseThrow(),
                false);
          } else {
            serveReconciled(ticket, order, known);
          }
        }
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
      ticket.answer.release();
      live.remove(ticket.key);
      ticket.done.complete(true);
    }
  }

  /** Whether more is known of a payment than that it was refused or left before it began. */
  private boolean isStored(String key) {
    return parts
        .database()
        .read(
            c -> {
              Optional<PaymentRecord> found = PaymentStore.find(c, key);
              return found.isPresent()
                  && (!found.get().state().isFree() || parts.isBusyElsewhere(c, found.get()));
            });
  }

  /** What was found of a payment before it was claimed. */
  private enum Looked {
    /** It would move the money now. */
    GOOD,
    /** The chain has seen it already: its money may have moved. */
    USED,
    /** Its ticket says why. */
    REFUSED
  }

  /**
   * Whether a payment would move the money now; where not, its ticket says why. Nothing of a
   * payment is stored before this: whoever can write a header could fill the disk otherwise.
   */
  private Looked look(
      Ticket ticket, String payer, PaymentPayload payment, PaymentRequirements requirements)
      throws InterruptedException {
    PaymentRecord unsaved =
        PaymentRecord.claimed(
            ticket,
            payer,
            payment,
            requirements,
            Charging.answerId(ticket.key),
            0,
            parts.presence().id());
    if (parts.offer(unsaved).charge().timing() == Timing.IN_BATCH) {
      return channelWay.check(ticket, unsaved) ? Looked.GOOD : Looked.REFUSED;
    }
    try {
      if (parts.scheme().verify(payment, requirements) instanceof Verdict.Invalid invalid
          && !isStored(ticket.key)) { // another gateway may have settled it meanwhile
        if (invalid.used() && parts.offer(unsaved).charge().timing() == Timing.BEFORE) {
          return Looked.USED;
        }
        Giving.refuseUnsaved(ticket, unsaved, invalid.why());
        return Looked.REFUSED;
      }
      return Looked.GOOD;
    } catch (UnreachableException e) {
      ticket.shut(Refusals.chainUnreachable(), null);
      return Looked.REFUSED;
    }
  }

  /** Claims a payment once no other gateway works on it; empty where one does for too long. */
  private Optional<PaymentRecord> claimInTurn(
      Ticket ticket,
      Order order,
      String payer,
      PaymentPayload payment,
      PaymentRequirements requirements)
      throws InterruptedException {
    for (int i = 0; i < ELSEWHERE_ATTEMPTS && ticket.hasReaders(); i++) {
      Optional<PaymentRecord> claimed = claim(ticket, order, payer, payment, requirements);
      if (claimed.isPresent()) {
        return claimed;
      }
      Thread.sleep(ELSEWHERE_PAUSE);
    }
    return Optional.empty();
  }

  /**
   * Writes the claim down, or finds what stands there: settled or unknown payments are never
   * claimed anew. Empty where another gateway works on it.
   */
  private Optional<PaymentRecord> claim(
      Ticket ticket,
      Order order,
      String payer,
      PaymentPayload payment,
      PaymentRequirements requirements) {
    return parts.write(
        (c, log) -> {
          Optional<PaymentRecord> found = PaymentStore.find(c, ticket.key);
          if (found.isPresent() && parts.isBusyElsewhere(c, found.get())) {
            return Optional.empty();
          }
          String us = parts.presence().id();
          if (found.isPresent()) {
            PaymentRecord ours = PaymentStore.take(c, found.get(), us);
            if (!ours.state().isFree()) {
              return Optional.of(ours);
            }
          }
          long seed = parts.seed(order);
          PaymentRecord record =
              PaymentRecord.claimed(
                  ticket, payer, payment, requirements, Charging.answerId(ticket.key), seed, us);
          PaymentStore.save(c, record, parts.now());
          return Optional.of(record);
        });
  }

  /** The same of a payment that is stored. */
  private boolean isStillGood(Ticket ticket, Order order, PaymentRecord claimed)
      throws InterruptedException {
    try {
      if (parts.scheme().verify(claimed.payment(), claimed.requirements())
          instanceof Verdict.Invalid invalid) {
        if (invalid.used() && parts.offer(claimed).charge().timing() == Timing.BEFORE) {
          serveMoved(ticket, order, claimed);
        } else {
          giving.refuse(ticket, claimed, invalid.why());
        }
        return false;
      }
      return true;
    } catch (UnreachableException e) {
      PaymentRecord unused = parts.save(claimed.failed("chain_unreachable"));
      ticket.shut(Refusals.chainUnreachable(), null);
      return false;
    }
  }

  /**
   * @param checked whether it was found good just now, before it was claimed
   */
  private void verifyAndSettle(Ticket ticket, Order order, PaymentRecord claimed, boolean checked)
      throws InterruptedException {
    if (parts.offer(claimed).charge().timing() == Timing.IN_BATCH) {
      channelWay.give(ticket, order, claimed);
      return;
    }
    if (!checked && !isStillGood(ticket, order, claimed)) {
      return;
    }
    if (giving.isNamedBefore(ticket, claimed)) {
      return;
    }
    PaymentRecord verified = parts.save(claimed.with(PaymentState.VERIFIED));
    // The model reads the prompt while the payment settles; not a byte leaves before both are done.
    if (!ticket.hasReaders()) {
      PaymentRecord unused = parts.save(verified.failed("not_begun"));
      ticket.shut(Refusals.pending(), null);
      return;
    }
    if (parts.offer(verified).charge().timing() == Timing.AFTER) {
      ceilings.give(ticket, order, verified);
      return;
    }
    long created = parts.now().getEpochSecond();
    ticket.finishing();
    giving.startGenerating(ticket, order, verified, created);
    if (giving.isUnfit(ticket, verified)) {
      return;
    }
    settle(ticket, order, verified, created);
  }

  /**
   * Somebody else has brought the payment to the chain before it came here: where its money has
   * moved to us, it is settled by that, and where that cannot be seen it is unknown.
   */
  private void serveMoved(Ticket ticket, Order order, PaymentRecord claimed)
      throws InterruptedException {
    if (giving.isNamedBefore(ticket, claimed)) {
      return;
    }
    Settlement settlement = settlement(claimed);
    PaymentRecord current = current(claimed);
    switch (settlement) {
      case Settlement.Settled settled ->
          serveSettled(
              ticket, order, parts.write((c, log) -> charging.deposit(c, log, current, settled)));
      case Settlement.Failed failed -> giving.refuse(ticket, current, failed.why());
      case Settlement.Unknown unknown ->
          Giving.shutPending(ticket, parts.save(current.with(PaymentState.UNKNOWN)));
    }
  }

  /** Brings a payment to the chain, its transaction written down before it is sent. */
  private Settlement settlement(PaymentRecord p) {
    return parts
        .scheme()
        .settle(
            p.payment(),
            p.requirements(),
            signed -> {
              PaymentRecord unused = parts.save(p.settling(signed));
            });
  }

  private PaymentRecord current(PaymentRecord p) {
    return parts.database().read(c -> PaymentStore.find(c, p.key()).orElseThrow());
  }

  /** The most that a wallet has on any balance it could spend here. */
  public PicoUsd balance(SignIn signIn) {
    return balances.balance(signIn);
  }

  /** Who looks after channels beside requests: their own deposits and refunds. */
  public ChannelDesk channelDesk() {
    return new ChannelDesk(parts, channels, claims);
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

  private void settle(Ticket ticket, Order order, PaymentRecord verified, long created)
      throws InterruptedException {
    Settlement settlement = settlement(verified);
    PaymentRecord current = current(verified);
    switch (settlement) {
      case Settlement.Settled settled -> {
        PaymentRecord held =
            parts.write(
                (c, log) -> charging.hold(c, log, charging.deposit(c, log, current, settled)));
        serve(ticket, order, held, created);
      }
      case Settlement.Failed failed -> giving.refuse(ticket, current, failed.why());
      case Settlement.Unknown unknown ->
          Giving.shutPending(ticket, parts.save(current.with(PaymentState.UNKNOWN)));
    }
  }

  private void serveReconciled(Ticket ticket, Order order, PaymentRecord record)
      throws InterruptedException {
    switch (record.state()) {
      case SETTLED -> serveSettled(ticket, order, record);
      case FAILED ->
          giving.refuse(
              ticket,
              record,
              new Refusal(record.reason(), "it has failed for good; sign a new one"));
      default -> Giving.shutPending(ticket, record);
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
    } else if (parts.database().read(c -> PaymentStore.answer(c, settled.key()).isPresent())) {
      ticket.known(settled.key()); // it was delivered whole, and its money had to be looked for
    } else if (!settled.isBalance() && parts.offer(settled).charge().timing() != Timing.BEFORE) {
      // What was delivered is paid. The whole of it would be kept for those who ask again.
      ticket.shut(Refusals.spent(), giving.settledResponse(settled));
    } else {
      long created = parts.now().getEpochSecond();
      PaymentRecord held = parts.write((c, log) -> charging.hold(c, log, settled));
      if (held.isBalance() && !parts.write((c, log) -> charging.holdsAll(c, log, held))) {
        ticket.shut(Refusals.balanceSpent(), null);
        return;
      }
      ticket.finishing();
      giving.startGenerating(ticket, order, held, created);
      serve(ticket, order, held, created);
    }
  }

  /** Opens the gate and stays until somebody has settled up. */
  private void serve(Ticket ticket, Order order, PaymentRecord held, long created)
      throws InterruptedException {
    ticket.whenDelivered(() -> charging.settleUp(ticket, order, held, created));
    ticket.open(
        new Gate.Open(
            giving.settledResponse(held), Charging.receiptId(held), created, ticket.answer));
    ticket.awaitServed();
  }

  /** Does something with a payment that nobody works on, and keeps others from it meanwhile. */
  private boolean apart(String key, Rollbacks.Apart.Work work) {
    Ticket mine = Ticket.forRecovery(key);
    if (live.putIfAbsent(key, mine) != null) {
      return false;
    }
    try {
      Optional<PaymentRecord> found = parts.database().read(c -> PaymentStore.find(c, key));
      // One that another gateway has come to look after is none of ours any more.
      found.filter(p -> p.owner().equals(parts.presence().id())).ifPresent(work::with);
      return true;
    } finally {
      live.remove(key);
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
    claimers.forEach(Thread::interrupt);
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
