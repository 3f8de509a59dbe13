package dev.gridtie.x402.evm;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.evm.Movement.Debit;
import dev.gridtie.x402.facilitator.GasMemory;
import dev.gridtie.x402.facilitator.GasMemory.Addition;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Keeps strangers from spending the gas of one chain's keys: which amounts are worth a transaction,
 * who is barred after one that failed, how much gas is given away. What must outlive the program is
 * in a {@link GasMemory}. Safe for use by many threads.
 */
public final class GasGuard {
  /** How long a payer is barred after its first transaction that failed at our cost. */
  static final Duration BARRED_FIRST = Duration.ofMinutes(10);

  /** Each further failure bars for so many times as long. */
  private static final int BARRED_LONGER = 6;

  private static final Duration BARRED_MAX = Duration.ofDays(30);

  /** For how long a payer's failures are counted. */
  private static final Duration FAILURES_COUNT = Duration.ofDays(60);

  /**
   * After so many transactions of contract wallets that failed in a day, none of theirs is taken
   * until the day is over: many addresses may be one attacker.
   */
  static final int CONTRACT_FAILURES_A_DAY_MAX = 20;

  /** How many payers are known to be contracts, or not to be. */
  private static final int KINDS_MAX = 10_000;

  private static final Instant FOR_EVER = Instant.ofEpochSecond(32_503_680_000L);
  private static final BigInteger WEI = BigInteger.TEN.pow(18);

  private final Terms terms;
  private final GasMemory memory;
  private final InstantSource clock;
  private final Promises promises;
  private final Map<EvmAddress, Boolean> contracts =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<EvmAddress, Boolean> eldest) {
          return size() > KINDS_MAX;
        }
      };

  /**
   * What gas is spent for.
   *
   * @param network CAIP-2
   * @param least that a payment must be worth to be settled by a transaction of its own; zero where
   *     any may be, in any coin
   * @param coins the dollar coins that are known, and their decimals
   * @param sponsoring how gas is given to payers for an approval; empty where none is
   */
  public record Terms(
      String network,
      PicoUsd least,
      Map<EvmAddress, Integer> coins,
      Optional<Sponsoring> sponsoring) {
    /** Any payment in any coin is settled, and nothing is given. */
    public static Terms open(String network) {
      return new Terms(network, PicoUsd.ZERO, Map.of(), Optional.empty());
    }

    /** What an amount of a coin is worth; empty where the coin is not known. */
    Optional<PicoUsd> worth(EvmAddress token, BigInteger amount) {
      Integer decimals = coins.get(token);
      return decimals == null ? Optional.empty() : Optional.of(PicoUsd.ofAtomic(amount, decimals));
    }
  }

  /**
   * How much gas may be given away for approvals of Permit2.
   *
   * @param nativeCoin what one of the chain's own coin is worth
   * @param sharePercent of a payment's worth, at most
   * @param perDay to all payers together
   * @param inAll ever, by the keys of this home
   */
  public record Sponsoring(PicoUsd nativeCoin, int sharePercent, PicoUsd perDay, PicoUsd inAll) {
    private BigInteger wei(PicoUsd worth) {
      return worth.pico().multiply(WEI).divide(nativeCoin.pico());
    }

    /** The most that is given for a payment of this worth, in wei. */
    BigInteger most(PicoUsd payment) {
      return wei(payment)
          .multiply(BigInteger.valueOf(sharePercent))
          .divide(BigInteger.valueOf(100));
    }
  }

  public GasGuard(Terms terms, GasMemory memory, InstantSource clock) {
    this.terms = terms;
    this.memory = memory;
    this.clock = clock;
    this.promises = new Promises(clock);
  }

  /** One that takes any payment, and forgets all when the program ends. */
  public static GasGuard open(InstantSource clock) {
    return new GasGuard(Terms.open(""), GasMemory.forThisRun(), clock);
  }

  Promises promises() {
    return promises;
  }

  // What is worth a transaction

  /** Why an amount is not settled by a transaction of its own; empty where it is. */
  Optional<Refusal> notWorthIt(EvmAddress token, BigInteger amount) {
    if (amount.signum() == 0) {
      return Optional.of(
          new Refusal("invalid_payment_requirements", "an amount of 0 cannot be paid"));
    }
    if (terms.least().isZero()) {
      return Optional.empty();
    }
    Optional<PicoUsd> worth = terms.worth(token, amount);
    if (worth.isEmpty()) {
      return Optional.of(
          new Refusal(
              "unsupported_asset",
              "the coin "
                  + token
                  + " is not among those that are settled here: "
                  + terms.coins().keySet()));
    }
    return worth.get().compareTo(terms.least()) >= 0
        ? Optional.empty()
        : Optional.of(
            new Refusal(
                "amount_below_minimum",
                amount
                    + " atomic units are "
                    + worth.get()
                    + ", and at least "
                    + terms.least()
                    + " is settled by a transaction of its own; pay more at once, or by"
                    + " batch-settlement"));
  }

  /** Whether a coin's code is known: what it does does not depend on who asks. */
  boolean isKnownCoin(EvmAddress token) {
    return terms.coins().containsKey(token);
  }

  // Who is a contract

  synchronized void noteContract(EvmAddress payer, boolean contract) {
    contracts.put(payer, contract);
  }

  /** Whether a payer is a contract, where that was asked lately. */
  synchronized Optional<Boolean> isContract(EvmAddress payer) {
    return Optional.ofNullable(contracts.get(payer));
  }

  // Who is barred

  private String named(String what) {
    return what + " " + terms.network();
  }

  private String barOf(EvmAddress payer) {
    return named("bar") + " " + payer.lower();
  }

  /** Why a payer's payments are not taken now; empty where they are. */
  Optional<Refusal> barred(EvmAddress payer) {
    Instant now = clock.instant();
    Optional<GasMemory.Tally> bar = memory.find(barOf(payer), now);
    if (bar.isPresent()) {
      return Optional.of(
          new Refusal(
              "payer_barred",
              "a transaction of this payer's failed at our cost; it can pay again after "
                  + bar.get().until()));
    }
    boolean many =
        memory
            .find(contractFailures(now), now)
            .filter(t -> t.amount().intValue() >= CONTRACT_FAILURES_A_DAY_MAX)
            .isPresent();
    return many && isContract(payer).orElse(false)
        ? Optional.of(
            new Refusal(
                "contract_wallets_barred",
                "too many transactions of contract wallets have failed today; pay by a plain key,"
                    + " or tomorrow"))
        : Optional.empty();
  }

  private String contractFailures(Instant now) {
    return named("contract-failures") + " " + day(now);
  }

  private static LocalDate day(Instant at) {
    return LocalDate.ofInstant(at, ZoneOffset.UTC);
  }

  private static Instant nextDay(Instant at) {
    return day(at).plusDays(1).atStartOfDay(ZoneOffset.UTC).toInstant();
  }

  /** A transaction of ours failed, and moved nothing: its payer is barred. Once for each. */
  void failed(String transaction, Debit debit) {
    Instant now = clock.instant();
    String failures = named("failures") + " " + debit.payer().lower();
    Instant counted = now.plus(FAILURES_COUNT);
    boolean first =
        memory.tryAdd(
            List.of(
                new Addition(
                    named("failed") + " " + transaction, BigInteger.ONE, BigInteger.ONE, counted),
                Addition.one(failures, counted)),
            now);
    if (!first) {
      return; // told before
    }
    int count =
        memory.find(failures, now).map(t -> t.amount().min(BigInteger.TEN).intValue()).orElse(1);
    boolean barred =
        memory.tryAdd(List.of(Addition.one(barOf(debit.payer()), now.plus(barredFor(count)))), now);
    if (!barred || isContract(debit.payer()).orElse(false)) {
      boolean unused =
          memory.tryAdd(List.of(Addition.one(contractFailures(now), nextDay(now))), now);
    }
  }

  private static Duration barredFor(int failures) {
    Duration length = BARRED_FIRST;
    for (int i = 1; i < failures && length.compareTo(BARRED_MAX) < 0; i++) {
      length = length.multipliedBy(BARRED_LONGER);
    }
    return length.compareTo(BARRED_MAX) > 0 ? BARRED_MAX : length;
  }

  // Channels that are filled and emptied at our gas

  /** How often a day a payer's deposits are brought to the chain at our gas. */
  static final int DEPOSITS_A_DAY_MAX = 10;

  /** How often a day a payer is given back what is left of its deposits at our gas. */
  static final int REFUNDS_A_DAY_MAX = 2;

  /** Counts a deposit that is brought to the chain; why it is not, where there were too many. */
  public Optional<Refusal> tryDeposit(EvmAddress payer) {
    return tryOften("deposits", payer, DEPOSITS_A_DAY_MAX, "deposit more at once, or tomorrow");
  }

  /** Counts a refund that is brought to the chain; why it is not, where there were too many. */
  public Optional<Refusal> tryRefund(EvmAddress payer) {
    return tryOften(
        "refunds", payer, REFUNDS_A_DAY_MAX, "withdraw by a transaction of your own, or tomorrow");
  }

  private Optional<Refusal> tryOften(String what, EvmAddress payer, int most, String instead) {
    if (terms.least().isZero()) {
      return Optional.empty(); // where gas costs nothing
    }
    Instant now = clock.instant();
    Addition one =
        new Addition(
            named(what) + " " + payer.lower() + " " + day(now),
            BigInteger.ONE,
            BigInteger.valueOf(most),
            nextDay(now));
    return memory.tryAdd(List.of(one), now)
        ? Optional.empty()
        : Optional.of(
            new Refusal(
                "too_many_" + what,
                "our gas brings at most "
                    + most
                    + " "
                    + what
                    + " of a payer to the chain in a day; "
                    + instead));
  }

  // Gas that is given away

  /** Whether gas is given for approvals of Permit2 at all. */
  public boolean isSponsoring() {
    return terms.sponsoring().isPresent();
  }

  /** The most wei that may be given for a payment. */
  public BigInteger giftMax(EvmAddress token, BigInteger amount) {
    if (terms.sponsoring().isEmpty()) {
      return BigInteger.ZERO;
    }
    return terms.worth(token, amount).map(terms.sponsoring().get()::most).orElse(BigInteger.ZERO);
  }

  /**
   * Like {@link #giftMax}, for a ceiling of which little may be used: what it comes to at least.
   */
  public BigInteger giftMaxOfCeiling(EvmAddress token, BigInteger ceiling) {
    Integer decimals = terms.coins().get(token);
    return decimals == null || terms.least().isZero()
        ? giftMax(token, ceiling)
        : giftMax(token, ceiling.min(terms.least().toAtomicRoundedUp(decimals)));
  }

  /** Whether a payer may be given gas now: each once a day, within what is given in all. */
  public boolean mayGive(EvmAddress payer, BigInteger wei) {
    Instant now = clock.instant();
    return terms.sponsoring().isPresent()
        && memory.find(giftTo(payer), now).isEmpty()
        && gifts(terms.sponsoring().get(), wei, now).stream()
            .allMatch(
                g ->
                    memory
                            .find(g.name(), now)
                            .map(GasMemory.Tally::amount)
                            .orElse(BigInteger.ZERO)
                            .add(wei)
                            .compareTo(g.most())
                        <= 0);
  }

  /** Sets gas aside for a payer, durably, before it is sent. */
  public boolean tryGive(EvmAddress payer, BigInteger wei) {
    Instant now = clock.instant();
    if (terms.sponsoring().isEmpty()) {
      return false;
    }
    List<Addition> all = new java.util.ArrayList<>(gifts(terms.sponsoring().get(), wei, now));
    all.add(
        new Addition(giftTo(payer), BigInteger.ONE, BigInteger.ONE, now.plus(Duration.ofDays(1))));
    return memory.tryAdd(all, now);
  }

  private String giftTo(EvmAddress payer) {
    return named("gift") + " " + payer.lower();
  }

  private List<Addition> gifts(Sponsoring sponsoring, BigInteger wei, Instant now) {
    return List.of(
        new Addition(
            named("gifts") + " " + day(now),
            wei,
            sponsoring.wei(sponsoring.perDay()),
            nextDay(now)),
        new Addition(named("gifts"), wei, sponsoring.wei(sponsoring.inAll()), FOR_EVER));
  }
}
