package dev.gridtie.gateway.gate;

import dev.gridtie.gateway.answer.Answer;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentIdentifier;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.Refusal;
import dev.gridtie.x402.wire.SettleResponse;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * What all ways of giving an answer for a payment share: beginning it, naming it, refusing it, and
 * what clients are told of its money.
 */
final class Giving {
  private final DeskParts parts;
  private final Channels channels;

  /** Whether somebody works on a payment now. */
  private final Predicate<String> isLive;

  Giving(DeskParts parts, Channels channels, Predicate<String> isLive) {
    this.parts = parts;
    this.channels = channels;
    this.isLive = isLive;
  }

  /**
   * Begins an answer that is paid by what it comes to. A document is whole or nothing, and so it is
   * finished; a stream is stopped where its last reader leaves, and paid as far as it came.
   */
  void startMetered(Ticket ticket, Order order, PaymentRecord record, long created) {
    if (!order.job().stream()) {
      ticket.finishing();
    }
    startGenerating(ticket, order, record, created);
  }

  void startGenerating(Ticket ticket, Order order, PaymentRecord record, long created) {
    ticket.generating(
        parts
            .relay()
            .run(
                order.planFor(Charging.answerIdDigits(ticket.key), created),
                order.job().withSeed(record.seed()),
                ticket.sink()));
  }

  /** Nobody can take it: said before any money moves. */
  boolean isUnfit(Ticket ticket, PaymentRecord verified) {
    if (ticket.answer.endIfAny().orElse(null) instanceof Answer.End.Broken broken
        && (broken.failure().kind() == Failure.Kind.UNFIT
            || broken.failure().kind() == Failure.Kind.BUSY)) {
      PaymentRecord unused = parts.save(verified.failed("not_begun"));
      ticket.shut(broken.failure().error(), null);
      return true;
    }
    return false;
  }

  /**
   * Whether the payer has given this payment a name (extension payment-identifier) that it has used
   * before. Only asked once the payment is verified, for the name alone opens nothing.
   */
  boolean isNamedBefore(Ticket ticket, PaymentRecord claimed) {
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
  boolean isOver(Connection c, String paymentKey) throws SQLException {
    if (isLive.test(paymentKey)) {
      return false;
    }
    Optional<PaymentRecord> record = PaymentStore.find(c, paymentKey);
    return record.isEmpty()
        || (record.get().state().isFree() && !parts.isBusyElsewhere(c, record.get()))
        || (record.get().state() == PaymentState.SETTLED
            && PaymentStore.answer(c, paymentKey).isEmpty());
  }

  /** How an answer that was given first is paid. */
  interface Taking {
    Metering.Outcome take() throws InterruptedException;
  }

  boolean takeDelivered(Ticket ticket, Taking taking) {
    try {
      switch (taking.take()) {
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

  void refuse(Ticket ticket, PaymentRecord record, Refusal why) {
    PaymentRecord unused = parts.save(record.failed(why.code()));
    refuseUnsaved(ticket, record, why);
  }

  /** Refuses a payment of which nothing is stored, and nothing will be. */
  static void refuseUnsaved(Ticket ticket, PaymentRecord record, Refusal why) {
    ticket.shut(Refusals.notTaken(why), refusedResponse(record, why, ""));
  }

  static void shutPending(Ticket ticket, PaymentRecord record) {
    Refusal why =
        new Refusal("settlement_pending", "the transaction was sent and its end is not known yet");
    String hash = record.sent().map(SignedTransaction::hash).orElse("");
    ticket.shut(Refusals.pending(), refusedResponse(record, why, hash));
  }

  boolean isOnChannel(PaymentPayload payment) {
    return parts.offers().of(payment).filter(o -> o.channels().isPresent()).isPresent();
  }

  SettleResponse settledResponse(PaymentRecord p) {
    return parts.database().read(c -> settledResponse(c, p));
  }

  SettleResponse settledResponse(Connection c, PaymentRecord p) throws SQLException {
    return isOnChannel(p.payment())
        ? SettleResponse.settled(p.transaction(), networkName(p), p.payer(), null)
            .withExtra(channels.response(c, p))
        : SettleResponse.settled(
            p.transaction(), networkName(p), p.payer(), p.requirements().amount());
  }

  static SettleResponse refusedResponse(PaymentRecord p, Refusal why, String transaction) {
    return SettleResponse.refused(why, transaction, networkName(p));
  }

  static String networkName(PaymentRecord p) {
    String network = p.payment().network();
    return p.payment().version() == 1 ? Networks.v1Name(network).orElse(network) : network;
  }
}
