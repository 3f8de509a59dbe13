package dev.gridtie.gateway.gate;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import dev.gridtie.x402.wire.SettleResponse;
import java.math.BigInteger;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * Looks after payers' channels beside their requests: fills them, shows them, gives back what is
 * left. None of it is charged.
 */
public final class ChannelDesk {
  private final DeskParts parts;
  private final Channels channels;
  private final Claims claims;

  ChannelDesk(DeskParts parts, Channels channels, Claims claims) {
    this.parts = parts;
    this.channels = channels;
    this.claims = claims;
  }

  /** What came of it. */
  public sealed interface Outcome {
    /** Its {@code extra} says how the channel stands now. */
    record Done(SettleResponse settlement) implements Outcome {}

    /**
     * @param correction what the payer has got wrong, for the 402's {@code extra}; may be empty
     */
    record Refused(ApiError error, ObjectNode correction) implements Outcome {
      Refused(ApiError error) {
        this(error, Json.object());
      }
    }
  }

  /**
   * Takes a deposit, a voucher or the wish for a refund.
   *
   * @param asked the requirements of ours that it answers
   * @throws MalformedPaymentException where the payload cannot be read
   */
  public Outcome take(PaymentPayload payment, PaymentRequirements asked)
      throws MalformedPaymentException {
    Payload payload = Payload.fromJson(payment.payload());
    Optional<Offers.Offer> offer = parts.offers().of(payment).filter(o -> o.channels().isPresent());
    if (offer.isEmpty()) {
      return refused(new Refusal("unsupported_scheme", "there are no channels of this kind here"));
    }
    Optional<Channels.Turn> turn = channels.turn(asked.network(), payload.voucher().channelId());
    if (turn.isEmpty()) {
      return refused(Channels.isBusy());
    }
    try (Channels.Turn mine = turn.get()) {
      return payload instanceof Payload.Refund refund
          ? giveBack(offer.get(), payment, refund, asked)
          : fill(payment, payload, asked);
    } catch (UnreachableException e) {
      return new Outcome.Refused(Refusals.chainUnreachable());
    }
  }

  private static Outcome refused(Refusal why) {
    return new Outcome.Refused(Refusals.notTaken(why));
  }

  /** Brings a deposit to its channel; a voucher only shows how the channel stands. */
  private Outcome fill(PaymentPayload payment, Payload payload, PaymentRequirements asked)
      throws MalformedPaymentException, UnreachableException {
    return switch (channels.look(payment, asked)) {
      case Channels.Look.Bad bad ->
          new Outcome.Refused(Refusals.notTaken(bad.why()), bad.correction());
      case Channels.Look.Good good ->
          // What a crash cuts off here is found in the channel when the same is sent again.
          switch (parts.scheme().settle(payment, asked, signed -> {})) {
            case Settlement.Settled settled -> {
              ChannelRow row =
                  payload instanceof Payload.Deposit
                      ? channels.deposited(good.row(), settled)
                      : good.row();
              channels.keep(row);
              parts.gas(asked.network(), settled);
              yield done(settled.transaction(), payload, asked, BigInteger.ZERO, row);
            }
            case Settlement.Failed failed -> refused(failed.why());
            case Settlement.Unknown unknown -> new Outcome.Refused(Refusals.pending());
          };
    };
  }

  private Outcome giveBack(
      Offers.Offer offer, PaymentPayload payment, Payload.Refund refund, PaymentRequirements asked)
      throws MalformedPaymentException, UnreachableException {
    return switch (claims.giveBack(offer, payment, refund, asked)) {
      case Claims.GivenBack.Done done ->
          done(done.transaction(), refund, asked, done.amount(), done.row());
      case Claims.GivenBack.Refused bad ->
          new Outcome.Refused(Refusals.notTaken(bad.why()), bad.correction());
      case Claims.GivenBack.Pending pending -> new Outcome.Refused(Refusals.pending());
    };
  }

  private static Outcome done(
      String transaction,
      Payload payload,
      PaymentRequirements asked,
      BigInteger amount,
      ChannelRow row) {
    ObjectNode extra = Json.object().put("chargedAmount", "0");
    extra.set("channelState", row.json());
    return new Outcome.Done(
        SettleResponse.settled(
                transaction, asked.network(), payload.config().payer().toString(), amount)
            .withExtra(extra));
  }
}
