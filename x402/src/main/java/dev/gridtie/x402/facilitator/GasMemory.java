package dev.gridtie.x402.facilitator;

import java.math.BigInteger;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What is remembered, beyond this program's end, of the gas that strangers have cost its keys:
 * named tallies, each forgotten when its time is over. Safe for use by many threads.
 */
public interface GasMemory {
  /** How many tallies are remembered; where so many are, no new one begins. */
  int TALLIES_MAX = 20_000;

  /** A sum so far, and until when it counts. */
  record Tally(BigInteger amount, Instant until) {}

  /**
   * An amount that is to be added to a tally.
   *
   * @param most what the tally may hold with it
   * @param until when the tally is forgotten; one that counts for longer already stays so long
   */
  record Addition(String name, BigInteger amount, BigInteger most, Instant until) {
    /** One more of what is counted, without a bound. */
    public static Addition one(String name, Instant until) {
      return new Addition(name, BigInteger.ONE, BigInteger.ONE.shiftLeft(62), until);
    }
  }

  /**
   * Adds to all of these, durably before it returns, or to none: where a tally would exceed its
   * bound, where there are too many, or where it cannot be written.
   */
  boolean tryAdd(List<Addition> additions, Instant now);

  /** What a tally holds; empty where there is none, or its time is over. */
  Optional<Tally> find(String name, Instant now);

  /**
   * Applies additions to tallies in memory; what implementations share.
   *
   * @return what the tallies become; empty where one exceeds its bound
   */
  static Optional<Map<String, Tally>> sums(
      Map<String, Tally> known, List<Addition> additions, Instant now) {
    Map<String, Tally> after = new HashMap<>();
    for (Addition one : additions) {
      Tally found = after.containsKey(one.name()) ? after.get(one.name()) : known.get(one.name());
      Tally before =
          found != null && found.until().isAfter(now)
              ? found
              : new Tally(BigInteger.ZERO, Instant.EPOCH);
      BigInteger sum = before.amount().add(one.amount());
      if (sum.compareTo(one.most()) > 0) {
        return Optional.empty();
      }
      Instant until = before.until().isAfter(one.until()) ? before.until() : one.until();
      after.put(one.name(), new Tally(sum, until));
    }
    return Optional.of(after);
  }

  /** One that forgets all when the program ends. */
  static GasMemory forThisRun() {
    return new GasMemory() {
      private final Map<String, Tally> tallies = new HashMap<>();

      @Override
      public synchronized boolean tryAdd(List<Addition> additions, Instant now) {
        tallies.values().removeIf(t -> !t.until().isAfter(now));
        Optional<Map<String, Tally>> after = sums(tallies, additions, now);
        if (after.isEmpty() || tallies.size() + after.get().size() > TALLIES_MAX) {
          return false;
        }
        tallies.putAll(after.get());
        return true;
      }

      @Override
      public synchronized Optional<Tally> find(String name, Instant now) {
        return Optional.ofNullable(tallies.get(name)).filter(t -> t.until().isAfter(now));
      }
    };
  }
}
