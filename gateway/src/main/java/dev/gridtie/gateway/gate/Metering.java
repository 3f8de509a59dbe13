package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.gate.Charging.Delivered;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.util.function.UnaryOperator;
import tools.jackson.databind.node.ObjectNode;

/**
 * Settles answers that were given first: of the ceiling that was signed, what was delivered is
 * taken, in one transaction, and never more.
 */
final class Metering {
  private final DeskParts parts;
  private final Charging charging;

  Metering(DeskParts parts, Charging charging) {
    this.parts = parts;
    this.charging = charging;
  }

  /** What became of it, for whoever waits for the answer's last bytes. */
  sealed interface Outcome {
    record Paid(PaymentRecord record) implements Outcome {}

    record Pending(PaymentRecord record) implements Outcome {}

    record Unpaid(PaymentRecord record, Refusal why) implements Outcome {}
  }

  /**
   * Takes what was delivered. To be called once the answer has ended, by one caller.
   *
   * @param served the payment, verified, with its ceiling
   * @param created Unix seconds, of the answer
   */
  Outcome settle(Ticket ticket, Order order, PaymentRecord served, long created)
      throws InterruptedException {
    Delivered delivered = Delivered.of(ticket, order);
    Offers.Offer offer = parts.offer(served);
    BigInteger ceiling = served.requirements().amount();
    PicoUsd due = delivered.price().min(offer.worth(ceiling));
    if (due.isZero()) {
      // Nothing was delivered: the payment is as if it had not been sent.
      Refusal why = new Refusal("not_begun", "nothing was delivered, and nothing is charged");
      return new Outcome.Unpaid(parts.save(served.failed(why.code())), why);
    }
    BigInteger amount = offer.atomic(due, ceiling);
    PaymentRequirements used = served.requirements().withAmount(amount);
    PaymentRecord measured = served.withRequirements(used);
    byte[] bytes = ticket.answer.bytes().getBytes();
    UnaryOperator<PaymentRecord> keep =
        as ->
            parts.write(
                (c, log) -> {
                  PaymentStore.save(c, as, parts.now());
                  ObjectNode draft = charging.draft(delivered, order, measured, due);
                  charging.keep(
                      c,
                      log,
                      served,
                      order,
                      delivered,
                      bytes,
                      new PaymentStore.Draft(draft, due),
                      created);
                  return as;
                });
    Settlement settlement =
        parts
            .scheme()
            .settle(
                served.payment(),
                used,
                signed -> {
                  PaymentRecord unused = keep.apply(measured.settling(signed));
                });
    PaymentRecord current =
        parts.database().read(c -> PaymentStore.find(c, served.key()).orElseThrow());
    return switch (settlement) {
      case Settlement.Settled settled -> {
        PaymentRecord paid = parts.write((c, log) -> charging.deposit(c, log, current, settled));
        parts.exposure().paid(served.key(), served.payer(), due);
        yield new Outcome.Paid(paid);
      }
      case Settlement.Failed failed
          when current.sent().isEmpty() && Refusals.isOurs(failed.why()) ->
          // Gas above the cap, or a chain that is away: recovery sends it when they are not.
          new Outcome.Pending(keep.apply(measured.with(PaymentState.UNKNOWN)));
      case Settlement.Failed failed -> {
        parts.exposure().defaulted(served.key(), served.payer(), due);
        yield new Outcome.Unpaid(
            parts.write(
                (c, log) -> {
                  PaymentStore.forgetAnswer(c, served.key());
                  return charging.fail(c, log, current, failed.why().code());
                }),
            failed.why());
      }
      case Settlement.Unknown unknown ->
          new Outcome.Pending(parts.save(current.with(PaymentState.UNKNOWN)));
    };
  }
}
