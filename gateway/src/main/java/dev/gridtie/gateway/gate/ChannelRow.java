package dev.gridtie.gateway.gate;

import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Claim;
import dev.gridtie.x402.evm.batch.ChannelState;
import java.math.BigInteger;
import java.time.Instant;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * A payer's channel, as we know it.
 *
 * @param network CAIP-2
 * @param charged what its requests came to, in all, atomic units
 * @param voucher the last that was charged against: it bears {@code charged}
 * @param state as the chain had it
 * @param stateAt when that was
 * @param booked what the ledger has of its claims, in all
 * @param unclaimedSince when the oldest charge was made that is not claimed yet
 */
record ChannelRow(
    String network,
    ChannelConfig config,
    BigInteger charged,
    Optional<Signed> voucher,
    ChannelState state,
    Instant stateAt,
    BigInteger booked,
    Optional<Instant> unclaimedSince) {

  /** A voucher's sum and signature. */
  record Signed(BigInteger maxClaimable, byte[] signature) {}

  /**
   * A channel that nothing was charged on here: what the chain says was claimed is its beginning.
   */
  static ChannelRow fresh(String network, ChannelConfig config, ChannelState state, Instant now) {
    return new ChannelRow(
        network,
        config,
        state.totalClaimed(),
        Optional.empty(),
        state,
        now,
        state.totalClaimed(),
        Optional.empty());
  }

  /** What was charged and is not claimed. */
  BigInteger unclaimed() {
    return charged.subtract(state.totalClaimed()).max(BigInteger.ZERO);
  }

  /** One more request was charged. */
  ChannelRow charged(BigInteger amount, Signed by, Instant now) {
    return new ChannelRow(
        network,
        config,
        charged.add(amount),
        Optional.of(by),
        state,
        stateAt,
        booked,
        Optional.of(unclaimedSince.orElse(now)));
  }

  /** The chain was asked. */
  ChannelRow seen(ChannelState newState, Instant now) {
    BigInteger newCharged = charged.max(newState.totalClaimed());
    boolean open = newCharged.compareTo(newState.totalClaimed()) > 0;
    return new ChannelRow(
        network,
        config,
        newCharged,
        voucher,
        newState,
        now,
        booked,
        open ? unclaimedSince.or(() -> Optional.of(now)) : Optional.empty());
  }

  /** The same with what another one knows of the chain, where that is newer. */
  ChannelRow withNewerOf(ChannelRow other) {
    return other.stateAt().isAfter(stateAt) ? seen(other.state(), other.stateAt()) : this;
  }

  /** What the chain had of its claims is in the ledger. */
  ChannelRow withBooked(BigInteger total) {
    return new ChannelRow(network, config, charged, voucher, state, stateAt, total, unclaimedSince);
  }

  /** As responses say it. */
  ObjectNode json() {
    return state.toJson().put("chargedCumulativeAmount", charged.toString());
  }

  /** Claims all that was charged; empty where nothing is to be claimed. */
  Optional<Claim> claim() {
    return unclaimed().signum() == 0
        ? Optional.empty()
        : voucher.map(v -> new Claim(config, v.maxClaimable(), v.signature(), charged));
  }
}
