package dev.gridtie.gateway.gate;

import dev.gridtie.x402.facilitator.ChainMark;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.server.ChargeScheme.Timing;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Finds settled payments that their chain has taken back (a reorganisation, a test chain's crash),
 * and leaves them to be sent again. Two looks find them: each payment is looked for once more when
 * blocks are mined on top of it; and where a block that was seen is another one now, all that were
 * settled lately are. One thread.
 */
final class Rollbacks {
  /** How often chains are asked whether they still stand. */
  static final Duration LOOK_EVERY = Duration.ofSeconds(5);

  /** When a settled payment is looked for once more: there are blocks on top of it by then. */
  private static final Duration SETTLES_IN = Duration.ofSeconds(30);

  /** How many settled payments a rollback may concern, and how many are read at a time. */
  private static final int LATELY_MAX = 500;

  /** After so many that cannot be asked about, the rest waits for the next look. */
  private static final int FAILURES_MAX = 3;

  /** How many may wait to be looked for. */
  private static final int DUE_MAX = 10_000;

  /** Does something with a payment while nobody else works on it. */
  interface Apart {
    /**
     * @return false where somebody works on it: come again
     */
    boolean work(String paymentKey, Work work);

    /** What is to be done with it. */
    interface Work {
      void with(PaymentRecord payment);
    }
  }

  private final DeskParts parts;
  private final Claims claims;
  private final Map<String, ChainMark> marks = new HashMap<>();
  private final Set<String> due = new LinkedHashSet<>();
  private Instant lookedAt = Instant.EPOCH;
  private Instant readUntil = Instant.EPOCH;

  Rollbacks(DeskParts parts, Claims claims) {
    this.parts = parts;
    this.claims = claims;
  }

  /** Looks, where it is time to. */
  void look(Apart apart) {
    Instant now = parts.now();
    if (Duration.between(lookedAt, now).compareTo(LOOK_EVERY) < 0) {
      return;
    }
    boolean first = lookedAt.equals(Instant.EPOCH);
    lookedAt = now;
    if (first) {
      lately().forEach(p -> due.add(p.key()));
      readUntil = now.minus(SETTLES_IN);
    }
    for (String network : parts.offers().networks()) {
      try {
        lookAt(network);
      } catch (UnreachableException e) {
        // Its mark stays, and is compared when it is back; the other chains are looked at.
      }
    }
    readThoseThatHaveSettledIn(now.minus(SETTLES_IN));
    try {
      lookForThem(apart);
    } catch (UnreachableException e) {
      // They stay due.
    }
  }

  private List<PaymentRecord> lately() {
    return parts
        .database()
        .read(c -> PaymentStore.lastSettled(c, parts.presence().id(), LATELY_MAX));
  }

  private void lookAt(String network) throws UnreachableException {
    ChainMark before = marks.get(network);
    if (before != null && parts.scheme().hasTakenBack(network, before)) {
      System.err.println(
          "gridtie: "
              + network
              + " has taken back block "
              + before.height()
              + ": what was settled on it lately is looked for again");
      parts.scheme().rolledBack(network);
      lately().stream()
          .filter(p -> p.requirements().network().equals(network))
          .forEach(p -> due.add(p.key()));
      claims.lookAgain(network);
    }
    // A lower head is one of somebody who is behind, or of a chain that will grow past the mark
    // again.
    parts
        .scheme()
        .mark(network)
        .filter(mark -> before == null || mark.height() >= before.height())
        .ifPresent(mark -> marks.put(network, mark));
  }

  private void readThoseThatHaveSettledIn(Instant until) {
    while (due.size() < DUE_MAX && readUntil.isBefore(until)) {
      List<PaymentStore.SettledAt> some =
          parts
              .database()
              .read(
                  c ->
                      PaymentStore.settled(c, parts.presence().id(), readUntil, until, LATELY_MAX));
      some.forEach(s -> due.add(s.key()));
      Instant last = some.isEmpty() ? until : some.getLast().at();
      // Others may have settled in the last one's millisecond: it is read again, unless it is all.
      readUntil =
          some.size() < LATELY_MAX ? until : last.isAfter(readUntil) ? last : last.plusMillis(1);
    }
  }

  /** One that cannot be asked about goes behind the others; several, and the chain is away. */
  private void lookForThem(Apart apart) throws UnreachableException {
    int failures = 0;
    for (String key : List.copyOf(due)) {
      boolean[] away = {false};
      boolean looked =
          apart.work(
              key,
              p -> {
                try {
                  lookFor(p);
                } catch (UnreachableException e) {
                  away[0] = true;
                }
              });
      if (looked) {
        due.remove(key);
      }
      if (away[0]) {
        due.add(key);
        failures++;
        if (failures >= FAILURES_MAX) {
          throw new UnreachableException("its chain could not be asked");
        }
      }
    }
  }

  /** Whether it was charged on a deposit whose transaction was not this payment's. */
  private boolean isDeposited(PaymentRecord p) {
    return p.sent().isEmpty() && parts.offer(p).charge().timing() == Timing.IN_BATCH;
  }

  private void lookFor(PaymentRecord p) throws UnreachableException {
    // What another has brought to the chain has a transaction, and none of ours.
    String transaction =
        p.transaction().isEmpty()
            ? p.sent().map(SignedTransaction::hash).orElse("")
            : p.transaction();
    if (p.state() != PaymentState.SETTLED || transaction.isEmpty() || isDeposited(p)) {
      return;
    }
    if (!parts.scheme().isOnChain(p.requirements(), transaction)) {
      p.sent().ifPresent(s -> parts.scheme().adopt(p.requirements(), s));
      PaymentRecord unused = parts.save(p.with(PaymentState.UNKNOWN));
    }
  }
}
