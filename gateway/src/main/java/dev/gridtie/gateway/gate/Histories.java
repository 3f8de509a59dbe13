package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import java.time.Instant;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** What payers have paid, and have not, for answers that were given first. */
public interface Histories {
  /**
   * A payer's.
   *
   * @param paid in all
   * @param defaulted whether a payment of its failed after its answer
   */
  record History(PicoUsd paid, boolean defaulted) {
    static final History NONE = new History(PicoUsd.ZERO, false);
  }

  History of(String payer);

  void paid(String payer, PicoUsd amount, Instant now);

  /** Notes an answer that was never paid. Once for each payment. */
  void defaulted(String payment, String payer, PicoUsd amount, Instant now);

  /** What was not paid by anybody since. */
  PicoUsd defaultsSince(Instant since);

  /** Those of this run: forgotten when the program ends. */
  static Histories ofThisRun() {
    return new Histories() {
      /** How many payers are remembered; the oldest is forgotten, and begins small again. */
      private static final int PAYERS_MAX = 100_000;

      private final Map<String, Instant> at = new HashMap<>();
      private final Map<String, PicoUsd> defaults = new HashMap<>();
      private final LinkedHashMap<String, History> histories =
          new LinkedHashMap<>(16, 0.75f, true) {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<String, History> eldest) {
              return size() > PAYERS_MAX;
            }
          };

      @Override
      public synchronized History of(String payer) {
        return histories.getOrDefault(payer, History.NONE);
      }

      @Override
      public synchronized void paid(String payer, PicoUsd amount, Instant now) {
        History before = of(payer);
        histories.put(payer, new History(before.paid().plus(amount), before.defaulted()));
      }

      @Override
      public synchronized void defaulted(
          String payment, String payer, PicoUsd amount, Instant now) {
        histories.put(payer, new History(of(payer).paid(), true));
        if (defaults.size() < PAYERS_MAX) {
          at.put(payment, now);
          defaults.put(payment, amount);
        }
      }

      @Override
      public synchronized PicoUsd defaultsSince(Instant since) {
        at.values().removeIf(t -> t.isBefore(since));
        defaults.keySet().retainAll(at.keySet());
        return defaults.values().stream().reduce(PicoUsd.ZERO, PicoUsd::plus);
      }
    };
  }
}
