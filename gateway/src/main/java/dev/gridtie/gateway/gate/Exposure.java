package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What payers may owe while their answers are given and their payments are not settled yet: little
 * at first, more the more they have paid, and nothing any more once a payment of theirs has failed
 * after its answer. State: guarded by its own monitor.
 */
public final class Exposure {
  /** How many payers' history is remembered; the oldest is forgotten, and begins small again. */
  private static final int PAYERS_MAX = 100_000;

  /** How many answers may be open at once. */
  private static final int DEBTS_MAX = 100_000;

  private final Caps caps;
  private final Map<String, Debt> debts = new HashMap<>();
  private final Map<String, PicoUsd> owed = new HashMap<>();
  private final LinkedHashMap<String, History> histories =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, History> eldest) {
          return size() > PAYERS_MAX;
        }
      };
  private PicoUsd total = PicoUsd.ZERO;

  /**
   * The most that may be owed.
   *
   * @param newPayer by somebody who has never paid
   * @param payer by anybody; grown into by paying
   * @param total by all together
   */
  public record Caps(PicoUsd newPayer, PicoUsd payer, PicoUsd total) {
    public static final Caps DEFAULT =
        new Caps(PicoUsd.ofDollars("0.10"), PicoUsd.ofDollars("5"), PicoUsd.ofDollars("100"));
  }

  private record History(PicoUsd paid, boolean defaulted) {
    static final History NONE = new History(PicoUsd.ZERO, false);
  }

  /** What one answer may come to, until its settlement is known. */
  private record Debt(String payer, PicoUsd amount) {}

  public Exposure(Caps caps) {
    this.caps = caps;
  }

  /**
   * Lets a payer owe this much by a payment, until {@link #paid}, {@link #defaulted} or {@link
   * #over} is said of it; false where that is too much.
   */
  synchronized boolean tryOwe(String payment, String payer, PicoUsd amount) {
    PicoUsd after = owed.getOrDefault(payer, PicoUsd.ZERO).plus(amount);
    if (debts.size() >= DEBTS_MAX
        || after.compareTo(cap(payer)) > 0
        || total.plus(amount).compareTo(caps.total()) > 0) {
      return false;
    }
    owe(payment, payer, amount);
    return true;
  }

  /** A payer owes this much already, from before a restart. */
  synchronized void owe(String payment, String payer, PicoUsd amount) {
    over(payment);
    debts.put(payment, new Debt(payer, amount));
    owed.merge(payer, amount, PicoUsd::plus);
    total = total.plus(amount);
  }

  /** Nothing is owed by this payment any more, whatever has become of it. */
  synchronized void over(String payment) {
    Debt debt = debts.remove(payment);
    if (debt != null) {
      owed.computeIfPresent(
          debt.payer(), (p, sum) -> sum.equals(debt.amount()) ? null : sum.minus(debt.amount()));
      total = total.minus(debt.amount());
    }
  }

  private PicoUsd cap(String payer) {
    History history = histories.getOrDefault(payer, History.NONE);
    if (history.defaulted()) {
      return PicoUsd.ZERO;
    }
    return caps.newPayer().plus(history.paid()).min(caps.payer());
  }

  /** What a payer may owe at most, as things are. */
  synchronized PicoUsd capOf(String payer) {
    return cap(payer);
  }

  /** What a payer was given, it has paid. */
  synchronized void paid(String payment, String payer, PicoUsd amount) {
    over(payment);
    History before = histories.getOrDefault(payer, History.NONE);
    histories.put(payer, new History(before.paid().plus(amount), before.defaulted()));
  }

  /** What a payer was given, it has not paid, and by that payment never will. */
  synchronized void defaulted(String payment, String payer) {
    over(payment);
    History before = histories.getOrDefault(payer, History.NONE);
    histories.put(payer, new History(before.paid(), true));
  }
}
