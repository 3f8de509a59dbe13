package dev.gridtie.x402.evm;

import dev.gridtie.x402.evm.Movement.Debit;
import java.math.BigInteger;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Predicate;

/**
 * What payers have promised and not paid yet: a wallet that holds one payment can sign twenty. Each
 * is looked at together with the others of its payer before gas is spent for it. State: the
 * promises, guarded by this object.
 */
final class Promises {
  /** How many there may be at once. */
  private static final int PROMISES_MAX = 20_000;

  /** How many of contract wallets may be on their way to the chain at once. */
  private static final int CONTRACTS_MAX = 8;

  /**
   * @param number later ones have higher ones
   * @param sending whether it is on its way to the chain, by a contract wallet
   * @param until it cannot be mined any more from then on
   */
  private record Promise(Debit debit, long number, boolean sending, Instant until) {
    boolean isOf(Debit other) {
      return debit.payer().equals(other.payer()) && debit.token().equals(other.token());
    }
  }

  private final InstantSource clock;
  private final Map<String, Promise> promises = new HashMap<>();
  private long numbers;

  Promises(InstantSource clock) {
    this.clock = clock;
  }

  /**
   * What was promised up to a promise; what comes later must see whether it still finds room.
   *
   * @param inAll by its payer in this coin, itself included
   * @param others by how many others
   * @param byPermit2 of it what Permit2 must be allowed to move
   */
  record Sum(BigInteger inAll, int others, BigInteger byPermit2) {}

  private static String key(Debit debit) {
    return debit.payer().lower() + " " + debit.right();
  }

  /** Whether this very payment was promised before, for as much. */
  synchronized boolean has(Debit debit) {
    Promise before = promises.get(key(debit));
    return before != null
        && before.until().isAfter(clock.instant())
        && before.debit().amount().compareTo(debit.amount()) >= 0;
  }

  /** Adds a promise, or one in place of an earlier of the same payment; false for too many. */
  synchronized boolean add(Debit debit, Instant until) {
    Instant now = clock.instant();
    promises.values().removeIf(p -> !p.until().isAfter(now));
    if (promises.size() >= PROMISES_MAX && !promises.containsKey(key(debit))) {
      return false;
    }
    Promise before = promises.get(key(debit));
    numbers++;
    promises.put(
        key(debit),
        before == null
            ? new Promise(debit, numbers, false, until)
            : new Promise(debit, before.number(), before.sending(), until));
    return true;
  }

  /** What its payer has promised up to this. */
  synchronized Sum sum(Debit debit) {
    BigInteger inAll = BigInteger.ZERO;
    BigInteger byPermit2 = BigInteger.ZERO;
    int others = -1;
    Promise mine = promises.get(key(debit));
    long last = mine == null ? Long.MAX_VALUE : mine.number();
    for (Promise one : promises.values()) {
      if (one.isOf(debit) && one.number() <= last) {
        others++;
        inAll = inAll.add(one.debit().amount());
        if (one.debit().by().isPresent()) {
          byPermit2 = byPermit2.add(one.debit().amount());
        }
      }
    }
    return new Sum(inAll, others, byPermit2);
  }

  /**
   * Takes a contract wallet's turn to send: each sends one at a time, for what it does cannot be
   * foreseen, and not many do at once. False where it must wait.
   */
  synchronized boolean trySend(Debit debit) {
    Promise mine = promises.get(key(debit));
    if (mine == null || mine.sending()) {
      return true; // sent before: it is the same payment
    }
    Predicate<Promise> sending = Promise::sending;
    boolean another =
        promises.values().stream()
            .anyMatch(sending.and(p -> p.debit().payer().equals(debit.payer())));
    if (another || promises.values().stream().filter(sending).count() >= CONTRACTS_MAX) {
      return false;
    }
    promises.put(key(debit), new Promise(mine.debit(), mine.number(), true, mine.until()));
    return true;
  }

  /** It was paid, or will not be. */
  synchronized void end(Debit debit) {
    promises.remove(key(debit));
  }
}
