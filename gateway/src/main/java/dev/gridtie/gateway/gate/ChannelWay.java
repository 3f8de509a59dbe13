package dev.gridtie.gateway.gate;

import dev.gridtie.gateway.gate.Ticket.Gate;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.util.Optional;

/**
 * The way by a channel: the answer is given, and what was delivered is charged on the payer's
 * deposit.
 */
final class ChannelWay {
  private final DeskParts parts;
  private final Channels channels;
  private final Giving giving;

  ChannelWay(DeskParts parts, Channels channels, Giving giving) {
    this.parts = parts;
    this.channels = channels;
    this.giving = giving;
  }

  /**
   * Whether a payment of which nothing is stored is good on its channel as that stands; where not,
   * its ticket says why.
   */
  boolean check(Ticket ticket, PaymentRecord unsaved) throws InterruptedException {
    try {
      Payload payload = Payload.fromJson(unsaved.payment().payload());
      if (payload instanceof Payload.Refund) {
        Giving.refuseUnsaved(ticket, unsaved, Channels.isRefund());
        return false;
      }
      Optional<Channels.Turn> turn =
          channels.turn(unsaved.requirements().network(), payload.voucher().channelId());
      if (turn.isEmpty()) {
        Giving.refuseUnsaved(ticket, unsaved, Channels.isBusy());
        return false;
      }
      try (Channels.Turn mine = turn.get()) {
        if (channels.look(unsaved.payment(), unsaved.requirements())
            instanceof Channels.Look.Bad bad) {
          ticket.shut(
              Refusals.notTaken(bad.why()),
              Giving.refusedResponse(unsaved, bad.why(), ""),
              bad.correction());
          return false;
        }
        return true;
      }
    } catch (MalformedPaymentException e) {
      Giving.refuseUnsaved(
          ticket, unsaved, new Refusal("invalid_payload", String.valueOf(e.getMessage())));
      return false;
    } catch (UnreachableException e) {
      ticket.shut(Refusals.chainUnreachable(), null);
      return false;
    }
  }

  /** Gives the answer, and charges what was delivered on the payer's channel. */
  void give(Ticket ticket, Order order, PaymentRecord claimed) throws InterruptedException {
    try {
      Payload payload = Payload.fromJson(claimed.payment().payload());
      if (payload instanceof Payload.Refund) {
        giving.refuse(ticket, claimed, Channels.isRefund());
        return;
      }
      Optional<Channels.Turn> turn =
          channels.turn(claimed.requirements().network(), payload.voucher().channelId());
      if (turn.isEmpty()) {
        giving.refuse(ticket, claimed, Channels.isBusy());
        return;
      }
      try (Channels.Turn mine = turn.get()) {
        switch (channels.look(claimed.payment(), claimed.requirements())) {
          case Channels.Look.Bad bad -> {
            PaymentRecord unused = parts.save(claimed.failed(bad.why().code()));
            ticket.shut(
                Refusals.notTaken(bad.why()),
                Giving.refusedResponse(claimed, bad.why(), ""),
                bad.correction());
          }
          case Channels.Look.Good good -> give(ticket, order, claimed, good.row(), payload);
        }
      }
    } catch (MalformedPaymentException e) {
      giving.refuse(
          ticket, claimed, new Refusal("invalid_payload", String.valueOf(e.getMessage())));
    } catch (UnreachableException e) {
      PaymentRecord unused = parts.save(claimed.failed("chain_unreachable"));
      ticket.shut(Refusals.chainUnreachable(), null);
    }
  }

  private void give(
      Ticket ticket, Order order, PaymentRecord claimed, ChannelRow row, Payload payload)
      throws InterruptedException, MalformedPaymentException, UnreachableException {
    if (giving.isNamedBefore(ticket, claimed)) {
      return;
    }
    PaymentRecord verified = parts.save(claimed.with(PaymentState.VERIFIED));
    long created = parts.now().getEpochSecond();
    giving.startMetered(ticket, order, verified, created);
    if (giving.isUnfit(ticket, verified)) {
      return;
    }
    Optional<Deposited> deposited =
        payload instanceof Payload.Deposit
            ? deposit(ticket, verified, row)
            : Optional.of(new Deposited(verified, row, ""));
    if (deposited.isEmpty()) {
      return;
    }
    PaymentRecord served = parts.save(deposited.get().record().giving());
    ChannelRow funded = deposited.get().row();
    ticket.whenDelivered(
        () ->
            giving.takeDelivered(
                ticket,
                () ->
                    channels.charge(
                        ticket, order, served, funded, deposited.get().transaction(), created)));
    ticket.open(new Gate.Open(null, Charging.receiptId(served), created, ticket.answer));
    ticket.awaitServed();
  }

  /** A payment whose channel is filled. */
  private record Deposited(PaymentRecord record, ChannelRow row, String transaction) {}

  /** Brings a payment's deposit to the chain; empty where that failed, and the ticket says so. */
  private Optional<Deposited> deposit(Ticket ticket, PaymentRecord verified, ChannelRow row)
      throws MalformedPaymentException, UnreachableException {
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
    return switch (settlement) {
      case Settlement.Settled settled -> {
        // From here on the deposit is the payer's own, in its channel: nothing is owed for it.
        PaymentRecord arrived =
            parts.write(
                (c, log) -> {
                  parts.gas(log, current.requirements().network(), settled);
                  PaymentRecord record = current.with(PaymentState.VERIFIED);
                  PaymentStore.save(c, record, parts.now());
                  return record;
                });
        yield Optional.of(
            new Deposited(arrived, channels.deposited(row, settled), settled.transaction()));
      }
      case Settlement.Failed failed -> {
        giving.refuse(ticket, current, failed.why());
        yield Optional.empty();
      }
      case Settlement.Unknown unknown -> {
        Giving.shutPending(ticket, parts.save(current.with(PaymentState.UNKNOWN)));
        yield Optional.empty();
      }
    };
  }

  /** The voucher was charged for another request before: says what is right now. */
  void correct(Ticket ticket, PaymentPayload payment, PaymentRequirements requirements) {
    try {
      if (channels.look(payment, requirements) instanceof Channels.Look.Bad bad) {
        ticket.shut(Refusals.notTaken(bad.why()), null, bad.correction());
      } else {
        ticket.shut(Refusals.reused(), null);
      }
    } catch (MalformedPaymentException e) {
      ticket.shut(Refusals.reused(), null);
    } catch (UnreachableException e) {
      ticket.shut(Refusals.chainUnreachable(), null);
    }
  }
}
