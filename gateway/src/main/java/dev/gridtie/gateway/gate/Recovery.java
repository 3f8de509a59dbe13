package dev.gridtie.gateway.gate;

import dev.gridtie.base.Ids;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.server.ChargeScheme.Timing;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Puts in order what a crash, a lost answer of the chain or a reorganisation left open, and asks
 * until it is known.
 */
final class Recovery {
  /** How many payments are looked after in one round. */
  private static final int AT_ONCE_MAX = 100;

  private static final Duration EVERY = Duration.ofSeconds(1);
  private static final Duration REFUSED_KEPT = Duration.ofHours(1);

  /** Payments that a gateway settled before it went are looked for again, these last ones. */
  private static final Duration LOOKED_BACK = Duration.ofMinutes(10);

  private static final Duration FORGET_EVERY = Duration.ofMinutes(10);

  private final DeskParts parts;
  private final Charging charging;
  private final Rollbacks rollbacks;
  private Instant lastForgotten = Instant.EPOCH;

  Recovery(DeskParts parts, Charging charging, Claims claims) {
    this.parts = parts;
    this.charging = charging;
    this.rollbacks = new Rollbacks(parts, claims);
  }

  /**
   * Ends what an earlier run had begun and not sent, and frees what it held. Does not wait for the
   * chain.
   */
  void begin() {
    takeOver((c, p) -> !parts.presence().isAliveElsewhere(c, p.owner()));
    takeSettled();
  }

  /** Takes over what other gateways had begun that have gone. */
  private void takeOverFromTheGone() {
    Set<String> gone = parts.presence().gone();
    if (gone.isEmpty()) {
      return;
    }
    takeOver((c, p) -> gone.contains(p.owner()));
    boolean unused =
        parts.write(
            (c, log) -> {
              for (String one : gone) {
                parts.presence().forget(c, one);
              }
              return true;
            });
    takeSettled();
  }

  /** A reorganisation may take back what was settled lately by a gateway that is not there now. */
  private void takeSettled() {
    Instant since = parts.now().minus(LOOKED_BACK);
    int unused = parts.write((c, log) -> PaymentStore.takeSettled(c, parts.presence().id(), since));
  }

  private interface Ours {
    boolean test(Connection c, PaymentRecord payment) throws SQLException;
  }

  private void takeOver(Ours ours) {
    List<PaymentRecord> open =
        parts.write(
            (c, log) -> {
              for (PaymentRecord p :
                  PaymentStore.inStates(c, PaymentState.CLAIMED, PaymentState.VERIFIED)) {
                if (ours.test(c, p)) {
                  PaymentRecord taken = PaymentStore.take(c, p, parts.presence().id());
                  PaymentStore.save(
                      c, taken.failed("interrupted"), parts.now()); // nothing was sent for it
                }
              }
              for (PaymentRecord p : PaymentStore.holding(c)) {
                if (ours.test(c, p)) {
                  charging.release(c, log, PaymentStore.take(c, p, parts.presence().id()));
                }
              }
              List<PaymentRecord> taken = new ArrayList<>();
              for (PaymentRecord p :
                  PaymentStore.inStates(c, PaymentState.SETTLING, PaymentState.UNKNOWN)) {
                if (ours.test(c, p)) {
                  taken.add(PaymentStore.take(c, p, parts.presence().id()));
                }
              }
              return taken;
            });
    open.forEach(p -> p.sent().ifPresent(s -> parts.scheme().adopt(p.requirements(), s)));
    for (PaymentRecord p : open) {
      givenFirst(p).ifPresent(due -> parts.exposure().owe(p.key(), p.payer(), due));
    }
  }

  /** What is due for an answer that was given before its payment was settled. */
  private Optional<PicoUsd> givenFirst(PaymentRecord p) {
    return parts
        .offers()
        .of(p.payment())
        .filter(o -> o.charge().timing() == Timing.AFTER)
        .map(o -> o.worth(p.requirements().amount()));
  }

  /**
   * Goes on until interrupted.
   *
   * @param apart looks after one payment while nobody else does
   */
  void run(Rollbacks.Apart apart) {
    while (!Thread.currentThread().isInterrupted()) {
      try {
        takeOverFromTheGone();
        rollbacks.look(apart);
        for (PaymentRecord p : open()) {
          boolean unused = apart.work(p.key(), this::reconcileOpen);
        }
        forgetWhatIsOld();
        Thread.sleep(EVERY);
      } catch (InterruptedException e) {
        return;
      } catch (RuntimeException e) {
        System.err.println("gridtie: recovery: " + e);
      }
    }
  }

  private List<PaymentRecord> open() {
    return parts
        .database()
        .read(c -> PaymentStore.inStates(c, PaymentState.SETTLING, PaymentState.UNKNOWN))
        .stream()
        .filter(p -> p.owner().equals(parts.presence().id()))
        // What we have sent first: of what others did, some may never be known.
        .sorted(Comparator.comparing(p -> p.sent().isEmpty()))
        .limit(AT_ONCE_MAX)
        .toList();
  }

  private void reconcileOpen(PaymentRecord p) {
    if (p.state() == PaymentState.SETTLING || p.state() == PaymentState.UNKNOWN) {
      PaymentRecord unused = reconcile(p);
    }
  }

  /** Asks the chain what became of a payment, and writes it down. */
  PaymentRecord reconcile(PaymentRecord p) {
    if (p.sent().isEmpty()) {
      return sendAtLast(p);
    }
    Settlement settlement =
        parts.scheme().reconcile(p.payment(), p.requirements(), p.sent().orElseThrow());
    return settlement instanceof Settlement.Unknown unknown && unknown.superseded()
        ? settleAgain(p)
        : ended(p, settlement);
  }

  /**
   * What an answer came to that was given first, and could not be sent yet: gas was above the cap,
   * or the chain away. Where that lasts until the payment has expired, its payer is not to blame.
   */
  private PaymentRecord sendAtLast(PaymentRecord p) {
    AtomicReference<PaymentRecord> sent = new AtomicReference<>();
    Settlement settlement =
        parts
            .scheme()
            .settle(
                p.payment(), p.requirements(), signed -> sent.set(parts.save(p.settling(signed))));
    PaymentRecord current = sent.get();
    if (current == null && settlement instanceof Settlement.Failed failed) {
      if (Refusals.isOurs(failed.why())) {
        return p;
      }
      try {
        if (hasExpired(p)) {
          parts.exposure().over(p.key());
          return failed(p, failed.why().code());
        }
      } catch (UnreachableException e) {
        return p; // whose fault it is cannot be told now
      }
    }
    return ended(current == null ? p : current, settlement);
  }

  /** Asked of the ceiling, for that is what was signed: what was used of it is less. */
  private boolean hasExpired(PaymentRecord p) throws UnreachableException {
    PaymentRequirements signed =
        p.payment()
            .accepted()
            .map(a -> p.requirements().withAmount(a.amount()))
            .orElse(p.requirements());
    return parts.scheme().verify(p.payment(), signed) instanceof Verdict.Invalid invalid
        && invalid.why().code().equals("permit2_deadline_expired");
  }

  /** What was sent can never be mined: sends it anew. What sends nothing says nothing. */
  private PaymentRecord settleAgain(PaymentRecord p) {
    AtomicReference<PaymentRecord> sent = new AtomicReference<>();
    Settlement again =
        parts
            .scheme()
            .settle(
                p.payment(), p.requirements(), signed -> sent.set(parts.save(p.settling(signed))));
    PaymentRecord current = sent.get();
    return current == null ? p : ended(current, again);
  }

  /** Writes down how a payment has ended, where it has. */
  private PaymentRecord ended(PaymentRecord p, Settlement settlement) {
    return switch (settlement) {
      case Settlement.Settled settled when isDeposit(p) -> arrived(p);
      case Settlement.Failed failed when isDeposit(p) && isCharged(p) -> {
        // The channel has lost what was charged on it: its claims will fail, and say so.
        System.err.println("gridtie: the deposit of payment " + p.key() + " was lost to its chain");
        yield parts.save(p.with(PaymentState.SETTLED));
      }
      case Settlement.Settled settled -> {
        PaymentRecord paid = parts.write((c, log) -> charging.deposit(c, log, p, settled));
        givenFirst(p).ifPresent(due -> parts.exposure().paid(p.key(), p.payer(), due));
        yield paid;
      }
      case Settlement.Failed failed -> {
        givenFirst(p).ifPresent(due -> parts.exposure().defaulted(p.key(), p.payer(), due));
        yield failed(p, failed.why().code());
      }
      case Settlement.Unknown unknown ->
          p.state() == PaymentState.UNKNOWN ? p : parts.save(p.with(PaymentState.UNKNOWN));
    };
  }

  private PaymentRecord failed(PaymentRecord p, String reason) {
    return parts.write(
        (c, log) -> {
          if (givenFirst(p).isPresent()) {
            PaymentStore.forgetAnswer(c, p.key());
          }
          return charging.fail(c, log, p, reason);
        });
  }

  private boolean isDeposit(PaymentRecord p) {
    return parts.offer(p).charge().timing() == Timing.IN_BATCH;
  }

  private boolean isCharged(PaymentRecord p) {
    return parts
        .database()
        .read(c -> new LedgerReader(c).entry(Ids.derived("paid " + p.key())).isPresent());
  }

  /** A deposit is in its channel. Where nothing was charged yet, its payment may come again. */
  private PaymentRecord arrived(PaymentRecord p) {
    return parts.save(isCharged(p) ? p.with(PaymentState.SETTLED) : p.failed(Channels.DEPOSITED));
  }

  private void forgetWhatIsOld() {
    Instant now = parts.now();
    if (Duration.between(lastForgotten, now).compareTo(FORGET_EVERY) > 0) {
      int unused =
          parts.write(
              (c, log) ->
                  PaymentStore.forgetAnswersBefore(c, now.minus(parts.answersKept()))
                      + PaymentStore.forgetNamesBefore(c, now.minus(parts.answersKept()))
                      + PaymentStore.forgetRefusedBefore(c, now.minus(REFUSED_KEPT)));
      lastForgotten = now;
    }
  }
}
