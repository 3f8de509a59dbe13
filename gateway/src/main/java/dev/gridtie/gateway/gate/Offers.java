package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.x402.evm.batch.BatchFacilitator;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.server.ChargeScheme.Timing;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/** The ways to pay that the operator accepts, cheapest to settle first. */
public final class Offers {
  private final List<Offer> all;

  /**
   * A way to pay.
   *
   * @param charge how it is asked
   * @param till into whose books it goes
   * @param channels where it is taken from deposits: who keeps them
   * @param cleared whether new payments are taken by it now; what was taken before goes on
   * @param least that is settled by a transaction of its own
   * @param sponsored whether gas is given to payers for an approval of Permit2
   */
  public record Offer(
      ChargeScheme charge,
      Till till,
      Optional<Channeled> channels,
      BooleanSupplier cleared,
      PicoUsd least,
      boolean sponsored) {
    public Offer(ChargeScheme charge, Till till) {
      this(charge, till, Optional.empty());
    }

    public Offer(ChargeScheme charge, Till till, Optional<Channeled> channels) {
      this(charge, till, channels, () -> true, PicoUsd.ZERO, false);
    }

    /** The same, taken only while its coin is cleared. */
    public Offer onlyWhile(BooleanSupplier newCleared) {
      return new Offer(charge, till, channels, newCleared, least, sponsored);
    }

    /** The same with rules for its gas. */
    public Offer withRules(PicoUsd newLeast, boolean newSponsored) {
      return new Offer(charge, till, channels, cleared, newLeast, newSponsored);
    }

    /** What atomic units of the coin are worth. */
    PicoUsd worth(BigInteger atomic) {
      return PicoUsd.ofAtomic(atomic, charge.decimals());
    }

    /**
     * What is taken for what is due, in atomic units: no more than the ceiling, and at least what a
     * transaction is worth.
     */
    BigInteger atomic(PicoUsd due, BigInteger ceiling) {
      return due.toAtomicRoundedUp(charge.decimals()).max(leastAtomic()).min(ceiling);
    }

    /** What is asked for a price: at least what a transaction is worth. */
    PaymentRequirements requirements(PicoUsd price) {
      return charge.requirements(price.toAtomicRoundedUp(charge.decimals()).max(leastAtomic()));
    }

    /** What a price is from a balance, for which nothing moves on a chain. */
    PaymentRequirements fromBalance(PicoUsd price) {
      return charge.requirements(price.toAtomicRoundedUp(charge.decimals()).max(BigInteger.ONE));
    }

    /** At least one unit, for nothing cannot be paid. A channel gathers what is worth less. */
    private BigInteger leastAtomic() {
      BigInteger settled =
          charge.timing() == Timing.IN_BATCH
              ? BigInteger.ONE
              : least.toAtomicRoundedUp(charge.decimals());
      return settled.max(BigInteger.ONE);
    }

    private boolean isFor(PaymentPayload payment) {
      return charge.scheme().equals(payment.scheme())
          && charge.network().equals(payment.network())
          && charge.takes(payment)
          && payment.accepted().map(a -> a.asset().equalsIgnoreCase(charge.asset())).orElse(true);
    }
  }

  /**
   * Deposits in payers' channels.
   *
   * @param facilitator brings claims to their chain
   * @param till where what was claimed goes
   * @param policy when it is claimed
   */
  public record Channeled(BatchFacilitator facilitator, Till till, ClaimPolicy policy) {}

  public Offers(List<Offer> all) {
    if (all.isEmpty()) {
      throw new IllegalArgumentException("there must be a way to pay");
    }
    this.all = List.copyOf(all);
  }

  /** What a 402 says for a price; empty while no coin is cleared. */
  public List<PaymentRequirements> requirements(PicoUsd price) {
    return all.stream()
        .filter(o -> o.cleared().getAsBoolean())
        .map(o -> o.requirements(price))
        .toList();
  }

  /** CAIP-2 of all chains that are paid on. */
  public List<String> networks() {
    return all.stream().map(o -> o.charge().network()).distinct().toList();
  }

  /** Whether gas is given to payers for approvals of Permit2. */
  public boolean sponsorsApprovals() {
    return all.stream().anyMatch(Offer::sponsored);
  }

  /** The ways that are paid from deposits. */
  List<Offer> channeled() {
    return all.stream().filter(o -> o.channels().isPresent()).toList();
  }

  /** Whether any way is paid from deposits, now or once its coin is cleared. */
  public boolean takesDeposits() {
    return !channeled().isEmpty();
  }

  /** What a 402 says to somebody who wants to look after a channel. */
  public List<PaymentRequirements> channelRequirements() {
    return channeled().stream()
        .filter(o -> o.cleared().getAsBoolean())
        .map(o -> o.charge().requirements(BigInteger.ONE))
        .toList();
  }

  /** The ways on a chain that may take more than an answer comes to, and so leave balances. */
  List<Offer> prepaidOn(String network) {
    return all.stream()
        .filter(
            o ->
                o.charge().network().equals(network)
                    && (o.charge().timing() == Timing.BEFORE
                        || (o.charge().timing() == Timing.AFTER && !o.least().isZero())))
        .toList();
  }

  /** The way that a payment has taken; empty where it is none of ours. */
  public Optional<Offer> of(PaymentPayload payment) {
    return all.stream().filter(o -> o.isFor(payment)).findFirst();
  }
}
