package dev.gridtie.gateway.gate;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.gate.PaymentStore.StoredAnswer;
import dev.gridtie.gateway.provider.PromptBound;
import dev.gridtie.gateway.receipts.Receipts;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.till.Expenses;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Usage;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.HexFormat;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * The money of one payment: what came in, what is held for an answer, what was charged, and the
 * receipt for it.
 */
final class Charging {
  private static final int SALT_BYTES = 16;

  private final DeskParts parts;

  Charging(DeskParts parts) {
    this.parts = parts;
  }

  /** The id of the answer that a payment pays for: the same however often it is asked for. */
  static String answerIdDigits(String paymentKey) {
    return Ids.derived("answer " + paymentKey);
  }

  /** The same, as chat completions write it. */
  static String answerId(String paymentKey) {
    return "chatcmpl-" + answerIdDigits(paymentKey);
  }

  static String receiptId(PaymentRecord p) {
    return "rcpt-" + Ids.derived("receipt " + p.key() + " " + p.attempts());
  }

  /** Writes down that the money has moved, in state and ledger at once. */
  PaymentRecord deposit(Connection c, LedgerTx log, PaymentRecord p, Settlement.Settled settled)
      throws SQLException, RefusedException {
    Offers.Offer offer = parts.offer(p);
    offer
        .till()
        .paid(
            log,
            p.key(),
            p.payer(),
            offer.worth(settled.amount()),
            settled.transaction(),
            parts.now());
    parts.gas(log, p.requirements().network(), settled);
    PaymentRecord after = p.settled(settled.transaction());
    PaymentStore.save(c, after, parts.now());
    Optional<PaymentStore.Draft> draft = PaymentStore.draft(c, p.key());
    if (draft.isPresent()) {
      chargeDelivered(c, log, after, draft.get());
    }
    return after;
  }

  /**
   * The chain says that the money has not moved and never will; if it had said otherwise before,
   * the loss is ours.
   */
  PaymentRecord fail(Connection c, LedgerTx log, PaymentRecord p, String reason)
      throws SQLException, RefusedException {
    if (log.entry(Ids.derived("paid " + p.key())).isPresent()) {
      Offers.Offer offer = parts.offer(p);
      offer.till().lost(log, p.key(), offer.worth(p.requirements().amount()), parts.now());
    }
    PaymentStore.forgetDraft(c, p.key());
    PaymentRecord after = p.failed(reason);
    PaymentStore.save(c, after, parts.now());
    return after;
  }

  /** Begins another attempt at an answer: sets aside what is left of the payment. */
  PaymentRecord hold(Connection c, LedgerTx log, PaymentRecord p)
      throws SQLException, RefusedException {
    if (p.holding()) { // an attempt that could not be settled up, for the ledger could not be
      // written then
      parts.offer(p).till().release(log, p.key(), p.attempts(), parts.now());
    }
    PaymentRecord holding = p.nextAttempt();
    Offers.Offer offer = parts.offer(p);
    PicoUsd quote = offer.worth(p.requirements().amount());
    PicoUsd wanted = quote.minus(charged(log, p).min(quote));
    var unused =
        offer.till().hold(log, p.key(), holding.attempts(), p.payer(), wanted, parts.now());
    PaymentStore.save(c, holding, parts.now());
    return holding;
  }

  /** Whether an attempt holds all it may come to; where not, its hold is ended. */
  boolean holdsAll(Connection c, LedgerTx log, PaymentRecord p)
      throws SQLException, RefusedException {
    Offers.Offer offer = parts.offer(p);
    PicoUsd held = offer.till().held(log, p.key(), p.attempts());
    boolean all = held.compareTo(offer.worth(p.requirements().amount())) >= 0;
    if (!all) {
      release(c, log, p);
    }
    return all;
  }

  /** Ends an attempt's hold without a charge. */
  void release(Connection c, LedgerTx log, PaymentRecord p) throws SQLException, RefusedException {
    parts.offer(p).till().release(log, p.key(), p.attempts(), parts.now());
    PaymentStore.save(c, p.released(), parts.now());
  }

  /** What the attempts at this payment's answer were charged so far. */
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
   * What of an answer was delivered: all of it, or its first tokens.
   *
   * @param text what was said; of bytes that passed untouched, those bytes
   * @param node of the grid that began it; empty where none did
   */
  record Delivered(boolean whole, Usage usage, String finish, String text, Leg leg, String node) {
    static Delivered of(Ticket ticket, Order order) throws InterruptedException {
      long delivered = ticket.deliveredTokens();
      Leg leg = ticket.servedBy().orElse(order.plan().first());
      Answer.End end = ticket.answer.awaitEnd();
      String node = ticket.answer.beginning().node();
      if (end instanceof Answer.End.Whole all
          && !all.ending().cancelled()
          && (ticket.isFinishing()
              || ticket.wholeDelivered()
              || (delivered > 0 && delivered >= all.ending().usage().output()))) {
        String finish = all.ending().finish() == FinishReason.LENGTH ? "length" : "stop";
        Usage counted = all.ending().usage();
        return new Delivered(true, counted, finish, ticket.answer.text(Long.MAX_VALUE), leg, node);
      }
      if (end instanceof Answer.End.Whole all
          && all.ending().cancelled()
          && !all.ending().usage().isNothing()) {
        // Its reader left: what a server elsewhere was asked, and what has come of it, is due.
        Usage spent = all.ending().usage();
        return new Delivered(false, spent, "cut", ticket.answer.text(delivered), leg, node);
      }
      if (delivered == 0) {
        return new Delivered(false, Usage.NONE, "cut", "", leg, node);
      }
      long input =
          switch (end) {
            case Answer.End.Whole all -> all.ending().usage().input();
            case Answer.End.Broken broken -> broken.failure().usage().input();
          };
      long prompt = input > 0 ? input : uncounted(leg, order);
      Usage usage = new Usage(prompt, 0, 0, delivered, 0, !leg.endpoint().isLocal());
      return new Delivered(false, usage, "cut", ticket.answer.text(delivered), leg, node);
    }

    /** A prompt's tokens where the source did not get to say: counted by us, or estimated. */
    private static long uncounted(Leg leg, Order order) {
      return leg.endpoint().isLocal()
          ? order.promptTokens()
          : order
              .job()
              .request()
              .map(r -> Math.min(order.promptTokens(), PromptBound.estimate(r)))
              .orElse((long) order.promptTokens());
    }

    PicoUsd price() {
      return whole || !usage.isNothing() ? leg.endpoint().prices().cost(usage) : PicoUsd.ZERO;
    }
  }

  /**
   * Charges what was delivered, signs the receipt, and keeps a whole answer: one transaction. To be
   * called once the answer has ended.
   *
   * @param created Unix seconds, of the answer
   */
  boolean settleUp(Ticket ticket, Order order, PaymentRecord held, long created) {
    try {
      Delivered delivered = Delivered.of(ticket, order);
      byte[] bytes = ticket.answer.bytes().getBytes();
      return parts.write((c, log) -> settleUp(c, log, delivered, bytes, order, held, created));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  private boolean settleUp(
      Connection c,
      LedgerTx log,
      Delivered delivered,
      byte[] bytes,
      Order order,
      PaymentRecord held,
      long created)
      throws SQLException, RefusedException {
    Till till = parts.offer(held).till();
    String receiptId = receiptId(held);
    PicoUsd total = delivered.price();
    PicoUsd due =
        total.minus(total.min(charged(log, held))).min(till.held(log, held.key(), held.attempts()));
    till.charge(log, held.key(), held.attempts(), due, receiptId, parts.now());
    sign(c, log, draft(delivered, order, held, due), held);
    owe(log, delivered, receiptId);
    if (delivered.whole()) {
      StoredAnswer stored =
          new StoredAnswer(bytes, order.job().stream(), delivered.finish(), receiptId, created);
      PaymentStore.saveAnswer(c, held.key(), stored, parts.now());
    }
    PaymentStore.save(c, held.released(), parts.now());
    return true;
  }

  /** Whoever has answered is owed for it, whatever we are paid. */
  private void owe(LedgerTx log, Delivered delivered, String receiptId)
      throws SQLException, RefusedException {
    Endpoint endpoint = delivered.leg().endpoint();
    Expenses.cost(
        log, receiptId, endpoint.provider(), endpoint.costs().cost(delivered.usage()), parts.now());
  }

  /** Keeps what was delivered and is about to be paid: its receipt, and a whole answer. */
  void keep(
      Connection c,
      LedgerTx log,
      PaymentRecord served,
      Order order,
      Delivered delivered,
      byte[] bytes,
      PaymentStore.Draft draft,
      long created)
      throws SQLException, RefusedException {
    PaymentStore.saveDraft(c, served.key(), draft);
    owe(log, delivered, receiptId(served));
    if (delivered.whole()) {
      StoredAnswer answer =
          new StoredAnswer(
              bytes, order.job().stream(), delivered.finish(), receiptId(served), created);
      PaymentStore.saveAnswer(c, served.key(), answer, parts.now());
    }
  }

  /** Ends what was delivered before it was paid: charges it, and signs its receipt. */
  private void chargeDelivered(
      Connection c, LedgerTx log, PaymentRecord p, PaymentStore.Draft draft)
      throws SQLException, RefusedException {
    Till till = parts.offer(p).till();
    PicoUsd held = till.hold(log, p.key(), p.attempts(), p.payer(), draft.due(), parts.now());
    till.charge(log, p.key(), p.attempts(), held, receiptId(p), parts.now());
    sign(c, log, draft.receipt(), p);
    PaymentStore.forgetDraft(c, p.key());
  }

  /** Adds to a receipt what is known once it is paid, signs it, and puts its hash into the log. */
  private void sign(Connection c, LedgerTx log, ObjectNode receipt, PaymentRecord p)
      throws SQLException, RefusedException {
    String id = receiptId(p);
    receipt.put("time", parts.now().toString());
    ((ObjectNode) receipt.path("price"))
        .put("balance", parts.offer(p).till().balance(log, p.payer()).pico().toString());
    ((ObjectNode) receipt.path("payment")).put("transaction", p.transaction());
    receipt.put("logIndex", log.position(Till.chargeId(p.key(), p.attempts())).orElseThrow());
    ObjectNode signed = parts.signer().sign(receipt);
    PaymentStore.saveReceipt(c, id, Json.write(signed));
    LedgerTx.Applied unused =
        log.apply(
            new Entry.Witness(Receipts.entryId(id), parts.now(), "receipt", Receipts.hash(signed)));
  }

  /** A receipt, but for what is known only once it is paid. */
  ObjectNode draft(Delivered delivered, Order order, PaymentRecord p, PicoUsd due) {
    Endpoint endpoint = delivered.leg().endpoint();
    ObjectNode r = Json.object();
    r.put("version", 2);
    r.put("id", receiptId(p));
    r.put("time", parts.now().toString());
    r.put("answerId", answerId(p.key()));
    byte[] salt = new byte[SALT_BYTES];
    parts.random().nextBytes(salt);
    r.put("salt", HexFormat.of().formatHex(salt));
    r.put("requestHash", Receipts.salted(salt, HexFormat.of().parseHex(order.requestSha256())));
    r.put("answerHash", Receipts.salted(salt, Hashes.sha256(delivered.text().getBytes(UTF_8))));
    ObjectNode model = r.putObject("model");
    model.put("id", delivered.leg().model().id());
    model.put("provider", endpoint.provider());
    model.put("endpoint", endpoint.id());
    model.put("build", endpoint.build());
    model.put("quantization", endpoint.quantization());
    if (!delivered.node().isEmpty()) {
      model.put("node", delivered.node());
    }
    model.put("seed", Long.toString(p.seed()));
    ObjectNode usage = r.putObject("usage");
    usage.put("promptTokens", delivered.usage().input());
    usage.put("completionTokens", delivered.usage().output());
    if (delivered.usage().estimated()) {
      usage.put("estimated", true);
    }
    r.put("finish", delivered.finish());
    ObjectNode price = r.putObject("price");
    price.put("unit", "1e-12 USD");
    price.put("promptToken", endpoint.prices().prompt().pico().toString());
    price.put("completionToken", endpoint.prices().completion().pico().toString());
    price.put("charged", due.pico().toString());
    ObjectNode payment = r.putObject("payment");
    payment.put("scheme", p.requirements().scheme());
    payment.put("network", p.requirements().network());
    payment.put("asset", p.requirements().asset());
    payment.put("payer", p.payer());
    payment.put("payTo", p.requirements().payTo());
    payment.put("amount", p.requirements().amount().toString());
    return r;
  }
}
