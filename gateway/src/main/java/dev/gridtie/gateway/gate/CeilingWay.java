package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.gate.Ticket.Gate;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.UnreachableException;

/** The way by a ceiling: the answer is given first, and settled by what it came to. */
final class CeilingWay {
  private final DeskParts parts;
  private final Metering metering;
  private final Giving giving;

  CeilingWay(DeskParts parts, Metering metering, Giving giving) {
    this.parts = parts;
    this.metering = metering;
    this.giving = giving;
  }

  /**
   * Gives the answer on the strength of a ceiling, and settles what was delivered after it; as far
   * as the payer may owe so much.
   */
  void give(Ticket ticket, Order order, PaymentRecord verified) throws InterruptedException {
    PicoUsd ceiling = parts.offer(verified).worth(verified.requirements().amount());
    if (!parts.exposure().tryOwe(verified.key(), verified.payer(), ceiling)) {
      giving.refuse(
          ticket, verified, Refusals.exposure(ceiling, parts.exposure().capOf(verified.payer())));
      return;
    }
    try {
      // What its payer has promised elsewhere here is looked at together with this.
      if (parts.scheme().promise(verified.payment(), verified.requirements())
          instanceof Verdict.Invalid invalid) {
        giving.refuse(ticket, verified, invalid.why());
        return;
      }
      long created = parts.now().getEpochSecond();
      PaymentRecord served = parts.save(verified.giving());
      giving.startMetered(ticket, order, served, created);
      if (giving.isUnfit(ticket, served)) {
        return;
      }
      ticket.whenDelivered(
          () ->
              giving.takeDelivered(ticket, () -> metering.settle(ticket, order, served, created)));
      ticket.open(new Gate.Open(null, Charging.receiptId(served), created, ticket.answer));
      ticket.awaitServed();
    } catch (UnreachableException e) {
      PaymentRecord unused = parts.save(verified.failed("chain_unreachable"));
      ticket.shut(Refusals.chainUnreachable(), null);
    } finally {
      if (!isOpen(verified.key())) {
        parts.scheme().forgo(verified.payment(), verified.requirements());
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
}
