package dev.gridtie.gateway.gate;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.gate.Charging.Delivered;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.batch.BatchServer;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.batch.ChannelState;
import dev.gridtie.x402.evm.batch.VoucherGuards;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import tools.jackson.databind.node.ObjectNode;

/**
 * Requests that are charged on payers' channels: each voucher must be for what was charged before
 * and the most that this one may come to; what was delivered is charged, and nothing moves on the
 * chain. State: the channels in use, each by one request at a time.
 */
final class Channels {
  /**
   * In place of a failure's reason: the deposit has arrived, and no answer was given for it yet.
   */
  static final String DEPOSITED = "deposited";

  private static final String P = "invalid_batch_settlement_evm_";

  private final DeskParts parts;
  private final Charging charging;
  private final Set<String> busy = ConcurrentHashMap.newKeySet();

  Channels(DeskParts parts, Charging charging) {
    this.parts = parts;
    this.charging = charging;
  }

  /** What was found of a voucher. */
  sealed interface Look {
    /** It is good for the request, on a channel that stands like this. */
    record Good(ChannelRow row) implements Look {}

    /**
     * @param correction what its signer has got wrong, for the 402's {@code extra}; may be empty
     */
    record Bad(Refusal why, ObjectNode correction) implements Look {
      Bad(Refusal why) {
        this(why, Json.object());
      }
    }
  }

  /** Whose turn it is on a channel; closing it lets the next one have it. */
  record Turn(Set<String> busy, String channel) implements AutoCloseable {
    @Override
    public void close() {
      busy.remove(channel);
    }
  }

  /** Takes a channel for one request; empty where another one has it. */
  Optional<Turn> turn(String network, byte[] channelId) {
    String channel = network + " " + Hex.encode(channelId);
    return busy.add(channel) ? Optional.of(new Turn(busy, channel)) : Optional.empty();
  }

  static Refusal isBusy() {
    return new Refusal(
        P + "channel_busy",
        "another request is being served on this channel; wait for its answer, or use another"
            + " channel (another salt)");
  }

  static Refusal isRefund() {
    return new Refusal(P + "payload_type", "a refund pays for nothing; ask for it at /v1/channel");
  }

  Optional<ChannelRow> find(String network, byte[] channelId) {
    return parts.database().read(c -> ChannelStore.find(c, network, channelId));
  }

  /**
   * Looks whether a payment's voucher is good. Its channel must be taken.
   *
   * @throws UnreachableException where the chain had to be asked and could not be
   */
  Look look(PaymentPayload payment, PaymentRequirements asked)
      throws UnreachableException, MalformedPaymentException {
    Payload payload = Payload.fromJson(payment.payload());
    Offers.Offer offer = parts.offers().of(payment).orElseThrow();
    boolean refund = payload instanceof Payload.Refund;
    Optional<ChannelRow> known = find(asked.network(), payload.voucher().channelId());
    if (known.isEmpty()) {
      known = beginning(offer, payload, asked);
      if (known.isEmpty()) {
        return new Look.Bad(
            new Refusal(
                P + "channel_id_mismatch", "the voucher is on another channel than is described"));
      }
    }
    ChannelRow row = known.get();
    BigInteger expected = expected(row, asked, refund);
    if (!payload.voucher().maxClaimable().equals(expected) && !isFresh(row, offer)) {
      // Before its signer is told to be wrong, the chain is asked: we may have forgotten.
      row = row.seen(state(offer, payload.voucher().channelId()), parts.now());
      expected = expected(row, asked, refund);
    }
    if (!payload.voucher().maxClaimable().equals(expected)) {
      return new Look.Bad(mismatch(payload, expected), correction(row));
    }
    if (payload instanceof Payload.Plain && isGoodByItself(payload, asked, row, offer)) {
      return new Look.Good(row);
    }
    return switch (parts.scheme().verify(payment, asked)) {
      case Verdict.Invalid invalid -> new Look.Bad(invalid.why());
      case Verdict.Valid valid -> {
        ChannelRow seen = row.seen(ChannelState.fromJson(valid.extra()), parts.now());
        yield seen.state().withdrawRequestedAt() > 0 && !refund
            ? new Look.Bad(
                new Refusal(
                    P + "cumulative_exceeds_balance",
                    "its payer is withdrawing from this channel; finish that first, or open another"
                        + " channel"))
            : new Look.Good(seen);
      }
    };
  }

  /** What a voucher must be for: what was charged so far, and the most that is charged next. */
  private static BigInteger expected(ChannelRow row, PaymentRequirements asked, boolean refund) {
    return refund ? row.charged() : row.charged().add(asked.amount());
  }

  private boolean isFresh(ChannelRow row, Offers.Offer offer) {
    Duration age = Duration.between(row.stateAt(), parts.now());
    return age.compareTo(offer.channels().orElseThrow().policy().fresh()) < 0;
  }

  /** A channel that is not known here, as the chain has it; empty where it is not what it says. */
  private Optional<ChannelRow> beginning(
      Offers.Offer offer, Payload payload, PaymentRequirements asked) throws UnreachableException {
    ChannelConfig config = payload.config();
    long chainId = Networks.evmChainId(asked.network()).orElseThrow();
    if (!java.util.Arrays.equals(config.id(chainId), payload.voucher().channelId())) {
      return Optional.empty();
    }
    ChannelState state = state(offer, payload.voucher().channelId());
    return Optional.of(ChannelRow.fresh(asked.network(), config, state, parts.now()));
  }

  private static ChannelState state(Offers.Offer offer, byte[] channelId)
      throws UnreachableException {
    try {
      return offer.channels().orElseThrow().facilitator().state(channelId);
    } catch (EvmChain.RefusedException e) {
      throw new UnreachableException(String.valueOf(e.getMessage()));
    }
  }

  /**
   * Whether no chain needs to be asked: a plain key has signed, and the channel was seen lately.
   */
  private boolean isGoodByItself(
      Payload payload, PaymentRequirements asked, ChannelRow row, Offers.Offer offer) {
    return isFresh(row, offer)
        && row.state().withdrawRequestedAt() == 0
        && VoucherGuards.refusal(
                payload, asked, Networks.evmChainId(asked.network()).orElseThrow(), row.state())
            .isEmpty();
  }

  private static Refusal mismatch(Payload payload, BigInteger expected) {
    return new Refusal(
        P + "cumulative_amount_mismatch",
        "the voucher is for "
            + payload.voucher().maxClaimable()
            + " in all, and "
            + expected
            + " is right: what the channel was charged so far, and the price");
  }

  /** What a client needs to put its own account of a channel right. */
  private static ObjectNode correction(ChannelRow row) {
    ObjectNode extra = Json.object();
    extra.set("channelState", row.json());
    row.voucher()
        .ifPresent(
            v ->
                extra
                    .putObject("voucherState")
                    .put("signedMaxClaimable", v.maxClaimable().toString())
                    .put("signature", Hex.encode(v.signature())));
    return extra;
  }

  /**
   * A deposit has come: how its channel stands now.
   *
   * @throws UnreachableException where the chain cannot be asked
   */
  ChannelRow deposited(ChannelRow row, Settlement.Settled settled)
      throws UnreachableException, MalformedPaymentException {
    ChannelState now =
        settled.extra().has("channelState")
            ? ChannelState.fromJson(settled.extra().path("channelState"))
            : state(offer(row), row.state().channelId());
    return row.seen(now, parts.now());
  }

  /** The way by which a channel is paid from. */
  Offers.Offer offer(ChannelRow row) {
    return parts.offers().channeled().stream()
        .filter(
            o ->
                o.charge().network().equals(row.network())
                    && o.charge().asset().equalsIgnoreCase(row.config().token().toString()))
        .findFirst()
        .orElseThrow(
            () ->
                new dev.gridtie.ledger.StoreException(
                    "channels in "
                        + row.config().token()
                        + " on "
                        + row.network()
                        + " are not taken any more, and one is open; configure them again"));
  }

  /**
   * Charges what was delivered. To be called once the answer has ended, by one caller, who has the
   * channel.
   *
   * @param served the payment, verified, with its ceiling
   * @param transaction of its deposit; empty where there was none
   * @param created Unix seconds, of the answer
   */
  Metering.Outcome charge(
      Ticket ticket,
      Order order,
      PaymentRecord served,
      ChannelRow row,
      String transaction,
      long created)
      throws InterruptedException {
    Delivered delivered = Delivered.of(ticket, order);
    Offers.Offer offer = parts.offer(served);
    BigInteger ceiling = served.requirements().amount();
    PicoUsd due = delivered.price().min(offer.worth(ceiling));
    if (due.isZero()) {
      keep(row);
      Refusal why = new Refusal("not_begun", "nothing was delivered, and nothing is charged");
      return new Metering.Outcome.Unpaid(parts.save(served.failed(why.code())), why);
    }
    BigInteger amount = offer.atomic(due, ceiling);
    PaymentRecord measured = served.withRequirements(served.requirements().withAmount(amount));
    byte[] bytes = ticket.answer.bytes().getBytes();
    PaymentRecord paid =
        parts.write(
            (c, log) -> {
              save(c, log, present(c, row).charged(amount, signed(served), parts.now()));
              charging.keep(
                  c,
                  log,
                  served,
                  order,
                  delivered,
                  bytes,
                  new PaymentStore.Draft(draft(delivered, order, measured, due, row), due),
                  created);
              return charging.deposit(
                  c,
                  log,
                  measured,
                  new Settlement.Settled(transaction, served.payer(), amount, BigInteger.ZERO));
            });
    return new Metering.Outcome.Paid(paid);
  }

  /** A receipt that says on which channel, and how far it is charged now. */
  private ObjectNode draft(
      Delivered delivered, Order order, PaymentRecord measured, PicoUsd due, ChannelRow row) {
    ObjectNode receipt = charging.draft(delivered, order, measured, due);
    ((ObjectNode) receipt.path("payment"))
        .put("channel", Hex.encode(row.state().channelId()))
        .put("cumulative", row.charged().add(measured.requirements().amount()).toString());
    return receipt;
  }

  private static ChannelRow.Signed signed(PaymentRecord p) {
    try {
      var voucher = Payload.fromJson(p.payment().payload()).voucher();
      return new ChannelRow.Signed(voucher.maxClaimable(), voucher.signature());
    } catch (MalformedPaymentException e) {
      throw new IllegalStateException(e); // it was verified
    }
  }

  /** Keeps what is known of a channel on which nothing was charged. */
  void keep(ChannelRow row) {
    boolean unused =
        parts.write(
            (c, log) -> {
              save(c, log, present(c, row));
              return true;
            });
  }

  /**
   * A channel as it stands in the database now: it may have been claimed since it was looked at.
   */
  private static ChannelRow present(Connection c, ChannelRow seen) throws SQLException {
    return ChannelStore.find(c, seen.network(), seen.state().channelId())
        .map(now -> now.withNewerOf(seen))
        .orElse(seen);
  }

  /** Writes down how a channel stands, and into the ledger what has come of its claims. */
  void save(Connection c, LedgerTx log, ChannelRow row) throws SQLException, RefusedException {
    BigInteger claimed = row.state().totalClaimed();
    ChannelRow booked = row;
    if (claimed.compareTo(row.booked()) > 0) {
      Offers.Offer offer = offer(row);
      offer
          .till()
          .claimed(
              log,
              offer.channels().orElseThrow().till(),
              row.network() + " " + Hex.encode(row.state().channelId()),
              claimed,
              offer.worth(claimed.subtract(row.booked())),
              parts.now());
      booked = row.withBooked(claimed);
    }
    ChannelStore.save(c, booked);
  }

  /** What a response says of a channel after a request: what it was charged, and how it stands. */
  ObjectNode response(Connection c, PaymentRecord p) throws SQLException {
    ObjectNode extra = Json.object();
    try {
      var voucher = Payload.fromJson(p.payment().payload()).voucher();
      BigInteger before = voucher.maxClaimable().subtract(BatchServer.asked(p.payment()));
      BigInteger charged = p.requirements().amount();
      extra.put("chargedAmount", charged.toString());
      Optional<ChannelRow> row =
          ChannelStore.find(c, p.requirements().network(), voucher.channelId());
      if (row.isPresent()) {
        extra.set(
            "channelState",
            row.get()
                .state()
                .toJson()
                .put("chargedCumulativeAmount", before.add(charged).toString()));
      }
      return extra;
    } catch (MalformedPaymentException e) {
      throw new SQLException("a stored payment cannot be read", e);
    }
  }
}
