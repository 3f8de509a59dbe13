package dev.gridtie.gateway.gate;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.catalog.ModelOffer;
import dev.gridtie.gateway.gate.PaymentStore.StoredAnswer;
import dev.gridtie.gateway.relay.Answer;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import java.sql.Connection;
import java.sql.SQLException;
import tools.jackson.databind.node.ObjectNode;

/**
 * The money of one payment: what came in, what is held for an answer, what was charged, and the
 * receipt for it.
 */
final class Charging {
  private final DeskParts parts;

  Charging(DeskParts parts) {
    this.parts = parts;
  }

  /** The id of the answer that a payment pays for: the same however often it is asked for. */
  static String answerId(String paymentKey) {
    return "chatcmpl-" + Ids.derived("answer " + paymentKey);
  }

  static String receiptId(PaymentRecord p) {
    return "rcpt-" + Ids.derived("receipt " + p.key() + " " + p.attempts());
  }

  /** Writes down that the money has moved, in state and ledger at once. */
  PaymentRecord deposit(Connection c, LedgerTx log, PaymentRecord p, Settlement.Settled settled)
      throws SQLException, RefusedException {
    parts
        .till()
        .paid(
            log,
            p.key(),
            p.payer(),
            parts.worth(settled.amount()),
            settled.transaction(),
            parts.now());
    PaymentRecord after = p.settled(settled.transaction());
    PaymentStore.save(c, after, parts.now());
    return after;
  }

  /**
   * The chain says that the money has not moved and never will; if it had said otherwise before,
   * the loss is ours.
   */
  PaymentRecord fail(Connection c, LedgerTx log, PaymentRecord p, String reason)
      throws SQLException, RefusedException {
    if (log.entry(Ids.derived("paid " + p.key())).isPresent()) {
      parts.till().lost(log, p.key(), parts.worth(p.requirements().amount()), parts.now());
    }
    PaymentRecord after = p.failed(reason);
    PaymentStore.save(c, after, parts.now());
    return after;
  }

  /** Begins another attempt at an answer: sets aside what is left of the payment. */
  PaymentRecord hold(Connection c, LedgerTx log, PaymentRecord p)
      throws SQLException, RefusedException {
    if (p.holding()) { // an attempt that could not be settled up, for the ledger could not be
      // written then
      parts.till().release(log, p.key(), p.attempts(), parts.now());
    }
    PaymentRecord holding = p.nextAttempt();
    PicoUsd quote = parts.worth(p.requirements().amount());
    PicoUsd wanted = quote.minus(charged(log, p).min(quote));
    var unused =
        parts.till().hold(log, p.key(), holding.attempts(), p.payer(), wanted, parts.now());
    PaymentStore.save(c, holding, parts.now());
    return holding;
  }

  /** Ends an attempt's hold without a charge. */
  void release(Connection c, LedgerTx log, PaymentRecord p) throws SQLException, RefusedException {
    parts.till().release(log, p.key(), p.attempts(), parts.now());
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

  /** What of an answer was delivered: all of it, or its first tokens. */
  private record Delivered(boolean whole, int tokens, String finish, String text) {
    static Delivered of(Ticket ticket) throws InterruptedException {
      int delivered = ticket.deliveredTokens();
      if (ticket.answer.awaitEnd() instanceof Answer.End.Whole end
          && end.reason() != EndReason.CANCELLED
          && (ticket.wholeDelivered() || delivered >= end.completionTokens())) {
        String finish = end.reason() == EndReason.LENGTH ? "length" : "stop";
        return new Delivered(
            true, end.completionTokens(), finish, ticket.answer.text(Integer.MAX_VALUE));
      }
      return new Delivered(false, delivered, "cut", ticket.answer.text(delivered));
    }

    PicoUsd price(Order order) {
      return whole || tokens > 0 ? order.model().price(order.promptTokens(), tokens) : PicoUsd.ZERO;
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
      Delivered delivered = Delivered.of(ticket);
      return parts.write((c, log) -> settleUp(c, log, delivered, order, held, created));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  private boolean settleUp(
      Connection c,
      LedgerTx log,
      Delivered delivered,
      Order order,
      PaymentRecord held,
      long created)
      throws SQLException, RefusedException {
    String receiptId = receiptId(held);
    PicoUsd total = delivered.price(order);
    PicoUsd due =
        total
            .minus(total.min(charged(log, held)))
            .min(parts.till().held(log, held.key(), held.attempts()));
    parts.till().charge(log, held.key(), held.attempts(), due, receiptId, parts.now());
    ObjectNode signed = parts.signer().sign(receipt(log, delivered, order, held, due));
    PaymentStore.saveReceipt(c, receiptId, Json.write(signed));
    String hash = Hex.encode(Hashes.sha256(Json.canonical(signed).getBytes(UTF_8))).substring(2);
    LedgerTx.Applied unused =
        log.apply(
            new Entry.Witness(Ids.derived("witness " + receiptId), parts.now(), "receipt", hash));
    if (delivered.whole()) {
      StoredAnswer stored =
          new StoredAnswer(
              order.model().id(),
              order.request().includeUsage(),
              delivered.text(),
              delivered.finish(),
              order.promptTokens(),
              delivered.tokens(),
              receiptId,
              created);
      PaymentStore.saveAnswer(c, held.key(), stored, parts.now());
    }
    PaymentStore.save(c, held.released(), parts.now());
    return true;
  }

  private ObjectNode receipt(
      LedgerTx log, Delivered delivered, Order order, PaymentRecord p, PicoUsd due)
      throws SQLException {
    ModelOffer offer = order.model();
    ObjectNode r = Json.object();
    r.put("version", 1);
    r.put("id", receiptId(p));
    r.put("time", parts.now().toString());
    r.put("answerId", answerId(p.key()));
    r.put("requestSha256", order.requestSha256());
    r.put("answerSha256", Hex.encode(Hashes.sha256(delivered.text().getBytes(UTF_8))).substring(2));
    ObjectNode model = r.putObject("model");
    model.put("id", offer.id());
    model.put("build", offer.build());
    model.put("quantization", offer.quantization());
    model.put("seed", Long.toString(p.seed()));
    ObjectNode usage = r.putObject("usage");
    usage.put("promptTokens", order.promptTokens());
    usage.put("completionTokens", delivered.tokens());
    r.put("finish", delivered.finish());
    ObjectNode price = r.putObject("price");
    price.put("unit", "1e-12 USD");
    price.put("promptToken", offer.promptPrice().pico().toString());
    price.put("completionToken", offer.completionPrice().pico().toString());
    price.put("charged", due.pico().toString());
    price.put("balance", parts.till().balance(log, p.payer()).pico().toString());
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
}
