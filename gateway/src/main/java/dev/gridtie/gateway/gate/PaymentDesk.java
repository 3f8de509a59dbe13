package dev.gridtie.gateway.gate;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.catalog.ModelOffer;
import dev.gridtie.gateway.gate.PaymentStore.StoredAnswer;
import dev.gridtie.gateway.gate.Ticket.Gate;
import dev.gridtie.gateway.receipts.ReceiptSigner;
import dev.gridtie.gateway.relay.Answer;
import dev.gridtie.gateway.relay.AnswerSource;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.Sender;
import dev.gridtie.x402.evm.SignedTransaction;
import dev.gridtie.x402.facilitator.PaymentScheme;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import dev.gridtie.x402.wire.SettleResponse;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * Takes payments and sees each to its end. A payment is claimed in the database before anything is
 * done for it; its steps are {@link PaymentState}'s; what is not known is asked of the chain until
 * it is, across restarts.
 */
public final class PaymentDesk implements AutoCloseable {
  /** How many payments may be worked on at once. */
  public static final int LIVE_MAX = 1024;

  /** How many payments are looked after in one round of reconciling. */
  private static final int RECONCILED_AT_ONCE_MAX = 100;

  /** How many settled payments are looked for on the chain again at the start. */
  private static final int RECHECKED_MAX = 500;

  private static final Duration RECONCILE_EVERY = Duration.ofSeconds(1);

  /** How often somebody who comes while a payment is being looked after waits and tries again. */
  private static final int ADMISSION_ATTEMPTS = 3;

  private static final Duration CLOSING_PATIENCE = Duration.ofSeconds(3);

  private final Parts parts;
  private final Map<String, Ticket> live = new ConcurrentHashMap<>();
  private final AtomicBoolean closed = new AtomicBoolean();
  private @Nullable Thread reconciler;
  private Instant lastForgotten = Instant.EPOCH;

  /**
   * What the desk works with.
   *
   * @param answersKept how long the text of an answer is kept, for those who lost it
   */
  public record Parts(
      Database database,
      ChargeScheme charge,
      PaymentScheme scheme,
      EvmChain chain,
      Sender sender,
      Till till,
      ReceiptSigner signer,
      InstantSource clock,
      RandomGenerator random,
      Duration answersKept) {}

  /** What comes of a payment that was sent with a request. */
  public sealed interface Admission {
    /** It is being worked on; wait at the ticket, and leave it when done. */
    record Serve(Ticket ticket) implements Admission {}

    /** It has paid for this answer before. */
    record Replay(StoredAnswer answer, String answerId, SettleResponse settlement)
        implements Admission {}

    /** It pays for nothing. */
    record Refuse(ApiError error, @Nullable SettleResponse settlement) implements Admission {}
  }

  /** Work on the database that may be refused by the ledger's rules. */
  private interface Step<T> {
    T run(Connection connection, LedgerTx log) throws SQLException, RefusedException;
  }

  public PaymentDesk(Parts parts) {
    this.parts = parts;
  }

  private <T extends @Nullable Object> T write(Step<T> step) {
    return parts.database().write(c -> step.run(c, new LedgerTx(c)));
  }

  private Instant now() {
    return parts.clock().instant();
  }

  /** Names the payload, signature included. */
  private static String signatureOf(PaymentPayload payment) {
    return Hex.encode(Hashes.sha256(Json.write(payment.payload()).getBytes(UTF_8)));
  }

  private String keyOf(PaymentPayload payment) throws MalformedPaymentException {
    return parts.charge().paymentKey(payment);
  }

  /** The id of the answer that a payment pays for: the same however often it is asked for. */
  static String answerId(String paymentKey) {
    return "chatcmpl-" + Ids.derived("answer " + paymentKey);
  }

  private static String receiptId(String paymentKey, int attempt) {
    return "rcpt-" + Ids.derived("receipt " + paymentKey + " " + attempt);
  }

  private SettleResponse settledResponse(PaymentRecord p) {
    return SettleResponse.settled(
        p.transaction(), networkName(p.payment()), p.payer(), p.requirements().amount());
  }

  private static SettleResponse refusedResponse(
      PaymentPayload payment, Refusal why, String transaction) {
    return SettleResponse.refused(why, transaction, networkName(payment));
  }

  private static String networkName(PaymentPayload payment) {
    return payment.version() == 1
        ? Networks.v1Name(payment.network()).orElse(payment.network())
        : payment.network();
  }

  /**
   * Whether a payment was used before, and for what; empty where it was not, or is still being
   * worked on.
   *
   * @throws MalformedPaymentException where the payload cannot be read
   */
  public Optional<Admission> recall(PaymentPayload payment, String fingerprint)
      throws MalformedPaymentException {
    String key = keyOf(payment);
    if (live.containsKey(key)) {
      return Optional.empty();
    }
    return parts.database().read(c -> recall(c, key, fingerprint, signatureOf(payment)));
  }

  private Optional<Admission> recall(Connection c, String key, String fingerprint, String signature)
      throws SQLException {
    Optional<PaymentRecord> found = PaymentStore.find(c, key);
    if (found.isEmpty() || isFree(found.get().state())) {
      return Optional.empty();
    }
    PaymentRecord record = found.get();
    if (!record.fingerprint().equals(fingerprint) || !record.signature().equals(signature)) {
      return Optional.of(new Admission.Refuse(reused(), null));
    }
    Optional<StoredAnswer> answer = PaymentStore.answer(c, key);
    if (answer.isEmpty()) {
      return Optional.empty();
    }
    if (answer.get().finish().equals(PaymentStore.FORGOTTEN)) {
      return Optional.of(
          new Admission.Refuse(
              ApiError.of(
                  ApiError.Kind.CONFLICT,
                  "answer_forgotten",
                  "This payment's answer was delivered and is no longer kept. Its receipt is "
                      + answer.get().receiptId()
                      + "."),
              settledResponse(record)));
    }
    return Optional.of(new Admission.Replay(answer.get(), answerId(key), settledResponse(record)));
  }

  private static boolean isFree(PaymentState state) {
    return switch (state) {
      case CLAIMED, VERIFIED, FAILED -> true;
      case SETTLING, SETTLED, UNKNOWN -> false;
    };
  }

  private static ApiError reused() {
    return ApiError.of(
        ApiError.Kind.CONFLICT,
        "payment_reused",
        "This payment was sent before with another request. Sign a new payment for this one; you were not charged again.");
  }

  /**
   * Takes a payment for an order: joins whoever sent the same before, or begins. Wait at the
   * ticket.
   *
   * @throws MalformedPaymentException where the payload cannot be read
   */
  public Admission admit(Order order, PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException, InterruptedException {
    String key = keyOf(payment);
    String signature = signatureOf(payment);
    String payer = parts.charge().payer(payment).toLowerCase(Locale.ROOT);
    for (int attempt = 0; attempt < ADMISSION_ATTEMPTS; attempt++) {
      if (closed.get()) {
        break;
      }
      if (live.size() >= LIVE_MAX) {
        return new Admission.Refuse(
            ApiError.of(
                ApiError.Kind.RATE_LIMITED,
                "too_many_payments",
                "Too many payments are being worked on."),
            null);
      }
      Ticket mine = new Ticket(key, order.fingerprint(), signature);
      mine.join();
      Ticket ticket = live.computeIfAbsent(key, k -> mine);
      if (ticket == mine) {
        Thread.ofVirtual()
            .name("payment")
            .start(() -> work(mine, order, payer, payment, requirements));
        return new Admission.Serve(mine);
      }
      if (!ticket.isFor(order.fingerprint(), signature) && !ticket.fingerprint.isEmpty()) {
        return new Admission.Refuse(reused(), null);
      }
      if (ticket.fingerprint.equals(order.fingerprint()) && ticket.join()) {
        return new Admission.Serve(ticket);
      }
      awaitEnd(ticket);
      Optional<Admission> before = recall(payment, order.fingerprint());
      if (before.isPresent()) {
        return before.get();
      }
    }
    return new Admission.Refuse(pending(), null);
  }

  private static void awaitEnd(Ticket ticket) throws InterruptedException {
    try {
      ticket.done.get(30, TimeUnit.SECONDS);
    } catch (java.util.concurrent.ExecutionException | TimeoutException e) {
      // The next look at the database says where it stands.
    }
  }

  private static ApiError pending() {
    return ApiError.of(
        ApiError.Kind.UNAVAILABLE,
        "settlement_pending",
        "It is not known yet whether this payment went through. Send the same request with the same payment again in a"
            + " moment: it is never charged twice. Do not sign a new payment.");
  }

  // One payment's way, on a thread of its own.

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
        case SETTLING, UNKNOWN -> {
          PaymentRecord after = reconcile(record);
          if (after.state() == PaymentState.SETTLED) {
            serveSettled(ticket, order, after);
          } else if (after.state() == PaymentState.FAILED) {
            refuse(
                ticket,
                after,
                new Refusal(after.reason(), "The payment has failed; sign a new one."),
                "");
          } else {
            shutPending(ticket, after);
          }
        }
        case VERIFIED, FAILED ->
            throw new IllegalStateException("claimed in state " + record.state());
      }
    } catch (StoreException e) {
      log("payment " + ticket.key, e);
      ticket.shut(
          ApiError.of(
              ApiError.Kind.UNAVAILABLE,
              "ledger_unavailable",
              "The ledger cannot be written. If the payment was taken, the same request with the same payment gets its"
                  + " answer later; it is never charged twice."),
          null);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      ticket.shut(pending(), null);
    } catch (RuntimeException e) {
      log("payment " + ticket.key, e);
      ticket.shut(
          ApiError.of(
              ApiError.Kind.INTERNAL, "internal_error", "Something went wrong on our side."),
          null);
    } finally {
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
    return write(
        (c, log) -> {
          Optional<PaymentRecord> found = PaymentStore.find(c, ticket.key);
          if (found.isPresent() && !isFree(found.get().state())) {
            return found.get();
          }
          PaymentRecord record =
              new PaymentRecord(
                  ticket.key,
                  PaymentState.CLAIMED,
                  ticket.fingerprint,
                  ticket.signature,
                  payer,
                  payment,
                  requirements,
                  Optional.empty(),
                  "",
                  answerId(ticket.key),
                  order.request().seed().orElseGet(parts.random()::nextLong),
                  0,
                  false,
                  "");
          PaymentStore.save(c, record, now());
          return record;
        });
  }

  private void verifyAndSettle(Ticket ticket, Order order, PaymentRecord claimed)
      throws InterruptedException {
    Verdict verdict;
    try {
      verdict = parts.scheme().verify(claimed.payment(), claimed.requirements());
    } catch (EvmChain.UnreachableException e) {
      save(failed(claimed, "chain_unreachable"));
      ticket.shut(chainDown(), null);
      return;
    }
    if (verdict instanceof Verdict.Invalid invalid) {
      refuse(ticket, claimed, invalid.why(), "");
      return;
    }
    PaymentRecord verified = save(with(claimed, PaymentState.VERIFIED));
    if (!ticket.hasReaders()) {
      save(failed(verified, "client_gone"));
      ticket.shut(pending(), null);
      return;
    }
    // The model reads the prompt while the payment settles; not a byte leaves before both are done.
    if (!startGenerating(ticket, order, verified.seed())) {
      save(failed(verified, "engine_unavailable"));
      return;
    }
    settle(ticket, order, verified);
  }

  private boolean startGenerating(Ticket ticket, Order order, long seed) {
    Outcome<AnswerSource.Cancellation> started =
        order.model().source().answer(order.request(), order.maxTokens(), seed, ticket.answer);
    return switch (started) {
      case Outcome.Ok<AnswerSource.Cancellation> ok -> {
        ticket.generating(ok.value());
        yield true;
      }
      case Outcome.Refused<AnswerSource.Cancellation> refused -> {
        ticket.shut(refused.error(), null);
        yield false;
      }
    };
  }

  private void settle(Ticket ticket, Order order, PaymentRecord verified)
      throws InterruptedException {
    Settlement settlement;
    try {
      settlement =
          parts
              .scheme()
              .settle(
                  verified.payment(),
                  verified.requirements(),
                  signed -> save(withSent(verified, PaymentState.SETTLING, signed)));
    } catch (RuntimeException e) {
      ticket.stopGenerating();
      throw e;
    }
    PaymentRecord current =
        parts.database().read(c -> PaymentStore.find(c, verified.key()).orElseThrow());
    switch (settlement) {
      case Settlement.Settled settled -> {
        PaymentRecord held =
            write(
                (c, log) ->
                    hold(
                        c,
                        log,
                        deposit(c, log, current, settled),
                        order,
                        current.requirements().amount()));
        openAndServe(ticket, order, held);
      }
      case Settlement.Failed failed -> {
        ticket.stopGenerating();
        refuse(ticket, current, failed.why(), "");
      }
      case Settlement.Unknown unknown -> {
        ticket.stopGenerating();
        shutPending(ticket, save(with(current, PaymentState.UNKNOWN)));
      }
    }
  }

  /** Writes down that the money has moved, in state and ledger at once. */
  private PaymentRecord deposit(
      Connection c, LedgerTx log, PaymentRecord p, Settlement.Settled settled)
      throws SQLException, RefusedException {
    parts
        .till()
        .paid(log, p.key(), p.payer(), worth(settled.amount()), settled.transaction(), now());
    PaymentRecord after =
        new PaymentRecord(
            p.key(),
            PaymentState.SETTLED,
            p.fingerprint(),
            p.signature(),
            p.payer(),
            p.payment(),
            p.requirements(),
            p.sent(),
            settled.transaction(),
            p.requestId(),
            p.seed(),
            p.attempts(),
            false,
            "");
    PaymentStore.save(c, after, now());
    return after;
  }

  private PicoUsd worth(BigInteger atomic) {
    return PicoUsd.ofAtomic(atomic, parts.charge().decimals());
  }

  /** Begins another attempt at an answer: sets aside what is left of the payment. */
  private PaymentRecord hold(
      Connection c, LedgerTx log, PaymentRecord p, Order order, BigInteger quote)
      throws SQLException, RefusedException {
    int attempt = p.attempts() + 1;
    PicoUsd wanted = worth(quote).minus(charged(log, p).min(worth(quote)));
    parts.till().hold(log, p.key(), attempt, p.payer(), wanted, now());
    PaymentRecord holding =
        new PaymentRecord(
            p.key(),
            p.state(),
            p.fingerprint(),
            p.signature(),
            p.payer(),
            p.payment(),
            p.requirements(),
            p.sent(),
            p.transaction(),
            p.requestId(),
            p.seed(),
            attempt,
            true,
            "");
    PaymentStore.save(c, holding, now());
    return holding;
  }

  /** What earlier attempts at this payment's answer were charged. */
  private static PicoUsd charged(LedgerTx log, PaymentRecord p) throws SQLException {
    PicoUsd sum = PicoUsd.ZERO;
    for (int attempt = 1; attempt <= p.attempts(); attempt++) {
      if (log.entry(Till.chargeId(p.key(), attempt)).orElse(null) instanceof Entry.Post post) {
        sum = sum.plus(new PicoUsd(post.amount()));
      }
    }
    return sum;
  }

  /**
   * The money moved before, and no whole answer was delivered: give it now, for what is left of the
   * payment.
   */
  private void serveSettled(Ticket ticket, Order order, PaymentRecord settled)
      throws InterruptedException {
    if (!ticket.isFor(settled.fingerprint(), settled.signature())) {
      ticket.shut(reused(), null);
      return;
    }
    if (!startGenerating(ticket, order, settled.seed())) {
      return;
    }
    PaymentRecord held;
    try {
      held = write((c, log) -> hold(c, log, settled, order, settled.requirements().amount()));
    } catch (StoreException e) {
      ticket.stopGenerating();
      throw e;
    }
    openAndServe(ticket, order, held);
  }

  private void openAndServe(Ticket ticket, Order order, PaymentRecord held)
      throws InterruptedException {
    long created = now().getEpochSecond();
    String receipt = receiptId(held.key(), held.attempts());
    ticket.whenDelivered(() -> settleUp(ticket, order, held, receipt, created));
    ticket.open(
        new Gate.Open(
            settledResponse(held), answerId(held.key()), receipt, created, ticket.answer));
    Answer.End unused = ticket.answer.awaitEnd();
    ticket.awaitSettledUp();
  }

  /** Charges what was delivered, signs the receipt, and keeps a whole answer: one transaction. */
  private boolean settleUp(
      Ticket ticket, Order order, PaymentRecord held, String receiptId, long created) {
    Answer.End end;
    try {
      end = ticket.answer.awaitEnd();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
    int delivered = ticket.deliveredTokens();
    boolean whole =
        end instanceof Answer.End.Whole w
            && w.reason() != EndReason.CANCELLED
            && (delivered >= w.completionTokens() || ticket.wholeDelivered());
    int completion = end instanceof Answer.End.Whole w && whole ? w.completionTokens() : delivered;
    String finish =
        end instanceof Answer.End.Whole w && w.reason() == EndReason.LENGTH ? "length" : "stop";
    return write(
        (c, log) -> {
          ModelOffer model = order.model();
          PicoUsd total =
              whole || delivered > 0 ? model.price(order.promptTokens(), completion) : PicoUsd.ZERO;
          PicoUsd before = charged(log, held);
          PicoUsd due = total.minus(total.min(before)).min(heldAmount(log, held));
          parts.till().charge(log, held.key(), held.attempts(), due, receiptId, now());
          String text = ticket.answer.text(completion);
          PicoUsd balance = parts.till().balance(log, held.payer());
          ObjectNode signed =
              parts
                  .signer()
                  .sign(
                      receipt(
                          order,
                          held,
                          receiptId,
                          finishName(whole, finish),
                          completion,
                          text,
                          due,
                          balance,
                          log));
          String json = Json.write(signed);
          PaymentStore.saveReceipt(c, receiptId, json);
          log.apply(
              new Entry.Witness(
                  Ids.derived("witness " + receiptId),
                  now(),
                  "receipt",
                  Hex.encode(Hashes.sha256(Json.canonical(signed).getBytes(UTF_8))).substring(2)));
          if (whole) {
            PaymentStore.saveAnswer(
                c,
                held.key(),
                new StoredAnswer(
                    model.id(),
                    order.request().includeUsage(),
                    text,
                    finish,
                    order.promptTokens(),
                    completion,
                    receiptId,
                    created),
                now());
          }
          PaymentStore.save(c, withoutHold(held), now());
          return true;
        });
  }

  private static String finishName(boolean whole, String finish) {
    return whole ? finish : "cut";
  }

  private static PicoUsd heldAmount(LedgerTx log, PaymentRecord held) throws SQLException {
    return log.entry(Ids.derived("hold " + held.key() + " " + held.attempts())).orElseThrow()
            instanceof Entry.Hold hold
        ? new PicoUsd(hold.amount())
        : PicoUsd.ZERO;
  }

  private ObjectNode receipt(
      Order order,
      PaymentRecord p,
      String receiptId,
      String finish,
      int completionTokens,
      String text,
      PicoUsd due,
      PicoUsd balance,
      LedgerTx log)
      throws SQLException {
    ObjectNode r = Json.object();
    r.put("version", 1);
    r.put("id", receiptId);
    r.put("time", now().toString());
    r.put("answerId", answerId(p.key()));
    r.put("requestSha256", order.requestSha256());
    r.put("answerSha256", Hex.encode(Hashes.sha256(text.getBytes(UTF_8))).substring(2));
    ObjectNode model = r.putObject("model");
    model.put("id", order.model().id());
    model.put("build", order.model().build());
    model.put("quantization", order.model().quantization());
    model.put("seed", Long.toString(p.seed()));
    ObjectNode usage = r.putObject("usage");
    usage.put("promptTokens", order.promptTokens());
    usage.put("completionTokens", completionTokens);
    r.put("finish", finish);
    ObjectNode price = r.putObject("price");
    price.put("unit", "1e-12 USD");
    price.put("promptToken", order.model().promptPrice().pico().toString());
    price.put("completionToken", order.model().completionPrice().pico().toString());
    price.put("charged", due.pico().toString());
    price.put("balance", balance.pico().toString());
    ObjectNode payment = r.putObject("payment");
    payment.put("scheme", p.requirements().scheme());
    payment.put("network", p.requirements().network());
    payment.put("asset", p.requirements().asset());
    payment.put("payer", p.payer());
    payment.put("payTo", p.requirements().payTo());
    payment.put("amount", p.requirements().amount().toString());
    payment.put("transaction", p.transaction());
    r.put("logIndex", log.position(Till.chargeId(p.key(), p.attempts())).orElseThrow());
    return r;
  }

  private void refuse(Ticket ticket, PaymentRecord record, Refusal why, String transaction) {
    save(failed(record, why.code()));
    boolean ours =
        why.code().startsWith("unexpected_settle_error") || why.code().equals("chain_unreachable");
    ApiError.Kind kind = ours ? ApiError.Kind.UNAVAILABLE : ApiError.Kind.PAYMENT_REQUIRED;
    ticket.shut(
        ApiError.of(
            kind,
            why.code(),
            "The payment was not taken: " + why.message() + ". Nothing was charged."),
        refusedResponse(record.payment(), why, transaction));
  }

  private static ApiError chainDown() {
    return ApiError.of(
        ApiError.Kind.UNAVAILABLE,
        "chain_unreachable",
        "The chain is out of reach, so no payment can be taken now. Nothing was charged; the same payment can be sent again.");
  }

  private void shutPending(Ticket ticket, PaymentRecord record) {
    ticket.shut(
        pending(),
        refusedResponse(
            record.payment(),
            new Refusal(
                "settlement_pending", "the transaction was sent and its end is not known yet"),
            record.sent().map(SignedTransaction::hash).orElse("")));
  }

  private PaymentRecord save(PaymentRecord record) {
    return write(
        (c, log) -> {
          PaymentStore.save(c, record, now());
          return record;
        });
  }

  private static PaymentRecord with(PaymentRecord p, PaymentState state) {
    return new PaymentRecord(
        p.key(),
        state,
        p.fingerprint(),
        p.signature(),
        p.payer(),
        p.payment(),
        p.requirements(),
        p.sent(),
        p.transaction(),
        p.requestId(),
        p.seed(),
        p.attempts(),
        p.holding(),
        p.reason());
  }

  private static PaymentRecord withSent(
      PaymentRecord p, PaymentState state, SignedTransaction sent) {
    return new PaymentRecord(
        p.key(),
        state,
        p.fingerprint(),
        p.signature(),
        p.payer(),
        p.payment(),
        p.requirements(),
        Optional.of(sent),
        p.transaction(),
        p.requestId(),
        p.seed(),
        p.attempts(),
        p.holding(),
        p.reason());
  }

  private static PaymentRecord failed(PaymentRecord p, String reason) {
    return new PaymentRecord(
        p.key(),
        PaymentState.FAILED,
        p.fingerprint(),
        p.signature(),
        p.payer(),
        p.payment(),
        p.requirements(),
        p.sent(),
        "",
        p.requestId(),
        p.seed(),
        p.attempts(),
        false,
        reason);
  }

  private static PaymentRecord withoutHold(PaymentRecord p) {
    return new PaymentRecord(
        p.key(),
        p.state(),
        p.fingerprint(),
        p.signature(),
        p.payer(),
        p.payment(),
        p.requirements(),
        p.sent(),
        p.transaction(),
        p.requestId(),
        p.seed(),
        p.attempts(),
        false,
        p.reason());
  }

  // Recovery

  /**
   * Puts in order what an earlier run left behind, and goes on doing so in the background. To be
   * called once, before the first payment is taken; does not wait for the chain.
   */
  public void start() {
    List<PaymentRecord> open =
        write(
            (c, log) -> {
              for (PaymentRecord p :
                  PaymentStore.inStates(c, PaymentState.CLAIMED, PaymentState.VERIFIED)) {
                PaymentStore.save(c, failed(p, "interrupted"), now()); // nothing was sent for it
              }
              for (PaymentRecord p : PaymentStore.holding(c)) {
                parts.till().release(log, p.key(), p.attempts(), now());
                PaymentStore.save(c, withoutHold(p), now());
              }
              return PaymentStore.inStates(c, PaymentState.SETTLING, PaymentState.UNKNOWN);
            });
    open.forEach(p -> p.sent().ifPresent(parts.sender()::adopt));
    reconciler = Thread.ofVirtual().name("reconciler").start(this::reconcileForEver);
  }

  private void reconcileForEver() {
    boolean rechecked = false;
    while (!closed.get()) {
      try {
        rechecked = rechecked || recheckSettled();
        for (PaymentRecord p : openPayments()) {
          reconcileApart(p);
        }
        forgetOldAnswers();
        Thread.sleep(RECONCILE_EVERY);
      } catch (InterruptedException e) {
        return;
      } catch (RuntimeException e) {
        log("reconciling", e);
      }
    }
  }

  private List<PaymentRecord> openPayments() {
    List<PaymentRecord> open =
        parts
            .database()
            .read(c -> PaymentStore.inStates(c, PaymentState.SETTLING, PaymentState.UNKNOWN));
    return open.size() <= RECONCILED_AT_ONCE_MAX ? open : open.subList(0, RECONCILED_AT_ONCE_MAX);
  }

  /** Reconciles a payment that nobody works on, and keeps others from it meanwhile. */
  private void reconcileApart(PaymentRecord p) {
    Ticket placeholder = new Ticket(p.key(), "", "");
    if (live.putIfAbsent(p.key(), placeholder) != null) {
      return;
    }
    try {
      PaymentRecord fresh = parts.database().read(c -> PaymentStore.find(c, p.key()).orElseThrow());
      if (fresh.state() == PaymentState.SETTLING || fresh.state() == PaymentState.UNKNOWN) {
        var unused = reconcile(fresh);
      }
    } finally {
      placeholder.shut(pending(), null);
      live.remove(p.key());
      placeholder.done.complete(true);
    }
  }

  /** Asks the chain what became of a payment, and writes it down. */
  private PaymentRecord reconcile(PaymentRecord p) {
    Settlement settlement =
        parts.scheme().reconcile(p.payment(), p.requirements(), p.sent().orElseThrow());
    return switch (settlement) {
      case Settlement.Settled settled -> write((c, log) -> deposit(c, log, p, settled));
      case Settlement.Failed failed ->
          write(
              (c, log) -> {
                if (log.entry(Ids.derived("paid " + p.key())).isPresent()) {
                  parts.till().lost(log, p.key(), worth(p.requirements().amount()), now());
                }
                PaymentRecord after = failed(p, failed.why().code());
                PaymentStore.save(c, after, now());
                return after;
              });
      case Settlement.Unknown unknown ->
          p.state() == PaymentState.UNKNOWN ? p : save(with(p, PaymentState.UNKNOWN));
    };
  }

  /**
   * A chain may forget: after a reorganisation, or a test chain's crash. What it lost is sent
   * again.
   */
  private boolean recheckSettled() {
    for (PaymentRecord p : parts.database().read(c -> PaymentStore.lastSettled(c, RECHECKED_MAX))) {
      try {
        if (p.sent().isPresent() && parts.chain().receipt(p.transaction()).isEmpty()) {
          parts.sender().adopt(p.sent().get());
          var unused = save(with(p, PaymentState.UNKNOWN));
        }
      } catch (EvmChain.UnreachableException | EvmChain.RefusedException e) {
        return false;
      }
    }
    return true;
  }

  private void forgetOldAnswers() {
    Instant now = now();
    if (Duration.between(lastForgotten, now).compareTo(Duration.ofMinutes(10)) > 0) {
      int unused =
          write((c, log) -> PaymentStore.forgetAnswersBefore(c, now.minus(parts.answersKept())));
      lastForgotten = now;
    }
  }

  private static void log(String where, Exception e) {
    System.err.println("gridtie: " + where + ": " + e);
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
    closed.set(true);
    Thread running = reconciler;
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
