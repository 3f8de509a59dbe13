package dev.gridtie.gateway.gate;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.gate.Offers.Channeled;
import dev.gridtie.gateway.gate.Offers.Offer;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.batch.BatchDeed;
import dev.gridtie.x402.evm.batch.BatchTypes.Claim;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import tools.jackson.databind.node.ObjectNode;

/**
 * Brings what vouchers have promised to the chain: many channels in one transaction, when the
 * policy says so, and at once where a payer is on its way out. Doing it twice takes nothing twice,
 * so nothing needs to be remembered of a transaction that a crash has cut off.
 */
final class Claims {
  /** How many channels of a coin are looked at in one round, and the most that wait. */
  private static final int ROWS_MAX = 1000;

  /** How long a claim may be mined and still be taken back. */
  private static final Duration TAKEN_BACK_MAX = Duration.ofHours(1);

  private final DeskParts parts;
  private final Channels channels;

  /** A channel that was claimed beside the rounds, by network and coin. */
  private final Map<String, ChannelRow> toPayOut = new ConcurrentHashMap<>();

  Claims(DeskParts parts, Channels channels) {
    this.parts = parts;
    this.channels = channels;
  }

  /** Goes on until interrupted. */
  void run(Offer offer) {
    Channeled bank = offer.channels().orElseThrow();
    while (!Thread.currentThread().isInterrupted()) {
      try {
        payOutWhatWasClaimed(offer, bank);
        if (parts.presence().isFirst()) { // of several gateways one claims
          round(offer, bank);
        }
        Thread.sleep(bank.policy().every());
      } catch (InterruptedException e) {
        return;
      } catch (UnreachableException | EvmChain.RefusedException | RuntimeException e) {
        System.err.println("gridtie: claims on " + offer.charge().network() + ": " + e);
        try {
          Thread.sleep(bank.policy().every());
        } catch (InterruptedException interrupted) {
          return;
        }
      }
    }
  }

  /** Claimed here with what was given back to a payer. */
  private void payOutWhatWasClaimed(Offer offer, Channeled bank) {
    ChannelRow claimed = toPayOut.remove(offer.charge().network() + offer.charge().asset());
    if (claimed != null) {
      payOut(bank, claimed);
    }
  }

  private void round(Offer offer, Channeled bank)
      throws UnreachableException, EvmChain.RefusedException {
    List<ChannelRow> open = open(offer);
    if (open.isEmpty()) {
      return;
    }
    List<ChannelRow> leaving = new ArrayList<>();
    for (ChannelRow row : open) {
      ChannelRow seen = isStale(row, bank) ? look(row, bank) : row;
      if (seen.state().withdrawRequestedAt() > 0) {
        leaving.add(seen);
      }
    }
    if (!leaving.isEmpty()) {
      claim(offer, bank, leaving);
    }
    List<ChannelRow> rest = open(offer);
    BigInteger owed =
        rest.stream().map(ChannelRow::unclaimed).reduce(BigInteger.ZERO, BigInteger::add);
    Duration oldest =
        rest.stream()
            .flatMap(r -> r.unclaimedSince().stream())
            .map(since -> Duration.between(since, parts.now()))
            .reduce(Duration.ZERO, (a, b) -> a.compareTo(b) >= 0 ? a : b);
    // So many are claimed at once, whatever the policy: those behind them must come into sight.
    boolean full = rest.size() >= ROWS_MAX;
    if (!rest.isEmpty()
        && (full
            || bank.policy().isTime(offer.worth(owed), oldest, bank.facilitator().baseFee()))) {
      claim(offer, bank, rest);
    }
  }

  /** Channels in the offer's coin with something to claim. */
  private List<ChannelRow> open(Offer offer) {
    return parts
        .database()
        .read(
            c ->
                ChannelStore.unclaimed(
                    c, offer.charge().network(), offer.charge().asset(), ROWS_MAX));
  }

  /** A chain has taken blocks back: claims may have gone with them, and are due again then. */
  void lookAgain(String network) throws UnreachableException {
    for (Offer offer : parts.offers().channeled()) {
      if (offer.charge().network().equals(network)) {
        Instant since = parts.now().minus(TAKEN_BACK_MAX);
        try {
          for (ChannelRow row :
              parts.database().read(c -> ChannelStore.claimed(c, network, since, ROWS_MAX))) {
            ChannelRow unused = look(row, offer.channels().orElseThrow());
          }
        } catch (EvmChain.RefusedException e) {
          throw new UnreachableException(String.valueOf(e.getMessage()));
        }
      }
    }
  }

  private boolean isStale(ChannelRow row, Channeled bank) {
    return Duration.between(row.stateAt(), parts.now()).compareTo(bank.policy().fresh()) >= 0;
  }

  /** Asks the chain how a channel stands, and writes it down. */
  private ChannelRow look(ChannelRow row, Channeled bank)
      throws UnreachableException, EvmChain.RefusedException {
    var state = bank.facilitator().state(row.state().channelId());
    return parts.write(
        (c, log) -> {
          // Requests may have been charged meanwhile: only what the chain said is new.
          ChannelRow now =
              ChannelStore.find(c, row.network(), row.state().channelId())
                  .orElse(row)
                  .seen(state, parts.now());
          channels.save(c, log, now);
          return now;
        });
  }

  private void claim(Offer offer, Channeled bank, List<ChannelRow> rows)
      throws UnreachableException, EvmChain.RefusedException {
    long chainId = Networks.evmChainId(offer.charge().network()).orElseThrow();
    for (int from = 0; from < rows.size(); from += BatchDeed.CLAIMS_MAX) {
      List<ChannelRow> some =
          rows.subList(from, Math.min(rows.size(), from + BatchDeed.CLAIMS_MAX));
      claimTogether(bank, some, chainId);
      for (ChannelRow row : some) {
        ChannelRow unused = look(row, bank);
      }
    }
    payOut(bank, rows.getFirst());
  }

  /** What was claimed, on this channel and all others to the same receiver, comes to it. */
  private void payOut(Channeled bank, ChannelRow row) {
    say(
        "paying out",
        settle(
            bank,
            new BatchDeed.PayOut(row.config().receiver(), row.config().token()),
            Networks.evmChainId(row.network()).orElseThrow()));
  }

  /** One channel that cannot be claimed must not keep the others from it. */
  private void claimTogether(Channeled bank, List<ChannelRow> rows, long chainId) {
    List<Claim> claims = rows.stream().flatMap(r -> r.claim().stream()).toList();
    if (claims.isEmpty()) {
      return;
    }
    Settlement settlement =
        settle(bank, new BatchDeed.ClaimMany(claims, Optional.empty()), chainId);
    boolean refused = settlement instanceof Settlement.Failed f && !Refusals.isOurs(f.why());
    if (refused && rows.size() > 1) {
      claimTogether(bank, rows.subList(0, rows.size() / 2), chainId);
      claimTogether(bank, rows.subList(rows.size() / 2, rows.size()), chainId);
    } else {
      say("claiming " + Hex.encode(rows.getFirst().state().channelId()), settlement);
    }
  }

  private static void say(String what, Settlement settlement) {
    if (settlement instanceof Settlement.Failed failed) {
      System.err.println("gridtie: " + what + ": " + failed.why().message());
    }
  }

  private Settlement settle(Channeled bank, BatchDeed deed, long chainId) {
    try {
      Settlement settlement = bank.facilitator().settle(deed, chainId, signed -> {});
      if (settlement instanceof Settlement.Settled settled) {
        parts.gas("eip155:" + chainId, settled);
      }
      return settlement;
    } catch (MalformedPaymentException e) {
      return new Settlement.Failed(new Refusal("invalid_payload", String.valueOf(e.getMessage())));
    }
  }

  /** What came of a payer's wish to have back what it has not spent. */
  sealed interface GivenBack {
    /** It has it: so much, and so the channel stands now. */
    record Done(ChannelRow row, String transaction, BigInteger amount) implements GivenBack {}

    record Refused(Refusal why, ObjectNode correction) implements GivenBack {}

    /** The transaction was sent, and its end is not known. */
    record Pending(String why) implements GivenBack {}
  }

  /**
   * Claims what is due on a channel and gives back what is left, in one transaction. The channel
   * must be taken.
   */
  GivenBack giveBack(
      Offer offer, PaymentPayload payment, Payload.Refund refund, PaymentRequirements asked)
      throws UnreachableException, MalformedPaymentException {
    Channeled bank = offer.channels().orElseThrow();
    return switch (channels.look(payment, asked)) {
      case Channels.Look.Bad bad -> new GivenBack.Refused(bad.why(), bad.correction());
      case Channels.Look.Good good -> {
        ChannelRow row = good.row();
        BigInteger left = row.state().balance().subtract(row.charged());
        BigInteger amount = refund.amount().orElse(left).min(left);
        BatchDeed.GiveBack deed =
            new BatchDeed.GiveBack(
                row.config(),
                amount,
                row.state().refundNonce(),
                row.claim().stream().toList(),
                Optional.empty(),
                Optional.empty());
        long chainId = EvmFields.chainId(asked);
        yield switch (settle(bank, deed, chainId)) {
          case Settlement.Settled settled -> {
            if (!deed.claims().isEmpty()) {
              toPayOut.put(offer.charge().network() + offer.charge().asset(), row);
            }
            try {
              yield new GivenBack.Done(look(row, bank), settled.transaction(), amount);
            } catch (EvmChain.RefusedException e) {
              throw new UnreachableException(String.valueOf(e.getMessage()));
            }
          }
          case Settlement.Failed failed -> new GivenBack.Refused(failed.why(), Json.object());
          case Settlement.Unknown unknown -> new GivenBack.Pending(unknown.why());
        };
      }
    };
  }
}
