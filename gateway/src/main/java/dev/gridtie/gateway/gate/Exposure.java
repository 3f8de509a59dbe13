package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.gate.Histories.History;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.Map;

/**
 * What payers may owe while their answers are given and their payments are not settled yet: little
 * at first, more the more they have paid, and nothing any more once a payment of theirs has failed
 * after its answer. What new payers may owe, each and together, shrinks by what was not paid today:
 * many addresses may be one payer. State: what is owed now, guarded by its own monitor; what is
 * remembered is its {@link Histories}'.
 */
public final class Exposure {
  /** How many answers may be open at once. */
  private static final int DEBTS_MAX = 100_000;

  private static final Duration DAY = Duration.ofDays(1);

  private final Caps caps;
  private final Histories histories;
  private final InstantSource clock;
  private final Map<String, Debt> debts = new HashMap<>();
  private final Map<String, PicoUsd> owed = new HashMap<>();
  private PicoUsd total = PicoUsd.ZERO;
  private PicoUsd byNew = PicoUsd.ZERO;

  /**
   * The most that may be owed.
   *
   * @param newPayer by somebody who has never paid
   * @param payer by anybody; grown into by paying
   * @param total by all together
   * @param lostPerDay after which nobody is given anything first until the day is over
   */
  public record Caps(PicoUsd newPayer, PicoUsd payer, PicoUsd total, PicoUsd lostPerDay) {
    public static final Caps DEFAULT =
        new Caps(
            PicoUsd.ofDollars("0.10"),
            PicoUsd.ofDollars("5"),
            PicoUsd.ofDollars("100"),
            PicoUsd.ofDollars("5"));
  }

  /**
   * What one answer may come to, until its settlement is known.
   *
   * @param unearned whether its payer has not paid as much before
   */
  private record Debt(String payer, PicoUsd amount, boolean unearned) {}

  /** Remembers payers for this run alone. */
  public Exposure(Caps caps) {
    this(caps, Histories.ofThisRun(), InstantSource.system());
  }

  public Exposure(Caps caps, Histories histories, InstantSource clock) {
    this.caps = caps;
    this.histories = histories;
    this.clock = clock;
  }

  /**
   * Lets a payer owe this much by a payment, until {@link #paid}, {@link #defaulted} or {@link
   * #over} is said of it; false where that is too much.
   */
  boolean tryOwe(String payment, String payer, PicoUsd amount) {
    History history = histories.of(payer);
    PicoUsd lost = lostToday();
    return tryOwe(payment, payer, amount, history, lost);
  }

  private synchronized boolean tryOwe(
      String payment, String payer, PicoUsd amount, History history, PicoUsd lost) {
    PicoUsd after = owed.getOrDefault(payer, PicoUsd.ZERO).plus(amount);
    boolean unearned = isUnearned(history, after);
    if (debts.size() >= DEBTS_MAX
        || after.compareTo(cap(history, lost)) > 0
        || total.plus(amount).compareTo(caps.total()) > 0
        || (unearned && byNew.plus(lost).plus(amount).compareTo(caps.lostPerDay()) > 0)) {
      return false;
    }
    add(payment, new Debt(payer, amount, unearned));
    return true;
  }

  private static boolean isUnearned(History history, PicoUsd owes) {
    return history.paid().compareTo(owes) < 0;
  }

  /** A payer owes this much already, from before a restart. */
  void owe(String payment, String payer, PicoUsd amount) {
    add(payment, new Debt(payer, amount, isUnearned(histories.of(payer), amount)));
  }

  private synchronized void add(String payment, Debt debt) {
    over(payment);
    debts.put(payment, debt);
    owed.merge(debt.payer(), debt.amount(), PicoUsd::plus);
    total = total.plus(debt.amount());
    byNew = debt.unearned() ? byNew.plus(debt.amount()) : byNew;
  }

  /** Nothing is owed by this payment any more, whatever has become of it. */
  synchronized void over(String payment) {
    Debt debt = debts.remove(payment);
    if (debt != null) {
      owed.computeIfPresent(
          debt.payer(), (p, sum) -> sum.equals(debt.amount()) ? null : sum.minus(debt.amount()));
      total = total.minus(debt.amount());
      byNew = debt.unearned() ? byNew.minus(debt.amount()) : byNew;
    }
  }

  private PicoUsd lostToday() {
    return histories.defaultsSince(clock.instant().minus(DAY));
  }

  private PicoUsd cap(History history, PicoUsd lost) {
    PicoUsd left = caps.lostPerDay().minus(lost.min(caps.lostPerDay()));
    if (history.defaulted() || left.isZero()) {
      return PicoUsd.ZERO;
    }
    BigInteger begin =
        caps.newPayer().pico().multiply(left.pico()).divide(caps.lostPerDay().pico());
    return new PicoUsd(begin).plus(history.paid()).min(caps.payer());
  }

  /** What a payer may owe at most, as things are. */
  PicoUsd capOf(String payer) {
    return cap(histories.of(payer), lostToday());
  }

  /** What a payer was given, it has paid. */
  void paid(String payment, String payer, PicoUsd amount) {
    Instant now = clock.instant();
    histories.paid(payer, amount, now);
    over(payment);
  }

  /** What a payer was given, it has not paid, and by that payment never will. */
  void defaulted(String payment, String payer, PicoUsd amount) {
    Instant now = clock.instant();
    histories.defaulted(payment, payer, amount, now);
    over(payment);
  }
}
