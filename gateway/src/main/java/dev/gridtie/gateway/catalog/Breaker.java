package dev.gridtie.gateway.catalog;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;

/**
 * A circuit breaker: after several failures in a row it opens, and nothing is sent for a while;
 * then one probe goes, and decides. State: guarded by its own monitor.
 */
public final class Breaker {
  /** So many failures in a row open it. */
  static final int FAILURES_MAX = 5;

  static final Duration OPEN = Duration.ofSeconds(30);

  /** How long a key that was refused is left alone. */
  static final Duration KEY_REFUSED = Duration.ofMinutes(5);

  private final InstantSource clock;
  private int failures;
  private Instant closedUntil = Instant.MIN;
  private boolean probing;
  private boolean rateLimited;

  /** How a breaker stands. */
  public enum State {
    CLOSED,
    OPEN,
    HALF_OPEN
  }

  public Breaker(InstantSource clock) {
    this.clock = clock;
  }

  /** Whether a request may go now; where only a probe may, this is it. */
  public synchronized boolean tryPass() {
    switch (state()) {
      case CLOSED -> {
        return true;
      }
      case OPEN -> {
        return false;
      }
      case HALF_OPEN -> {
        boolean first = !probing;
        probing = true;
        return first;
      }
    }
    return false;
  }

  public synchronized State state() {
    if (closedUntil.equals(Instant.MIN)) {
      return State.CLOSED;
    }
    return clock.instant().isBefore(closedUntil) ? State.OPEN : State.HALF_OPEN;
  }

  public synchronized void succeeded() {
    failures = 0;
    probing = false;
    closedUntil = Instant.MIN;
  }

  /** A request that says nothing of this channel's health: a client's fault, or one given up. */
  public synchronized void undecided() {
    probing = false;
  }

  public synchronized void failed() {
    failures++;
    if (probing || failures >= FAILURES_MAX) {
      rateLimited = false;
      open(OPEN);
    }
  }

  /** Whether it is open because too much was asked, and not because something is wrong. */
  public synchronized boolean isRateLimited() {
    return rateLimited && state() != State.CLOSED;
  }

  /** The source asks to be left alone for a while. */
  public synchronized void holdOff(Duration howLong) {
    rateLimited = true;
    open(howLong.compareTo(KEY_REFUSED) < 0 ? howLong : KEY_REFUSED);
  }

  /** The key was refused: nothing but time, or an operator, will help. */
  public synchronized void keyRefused() {
    rateLimited = false;
    open(KEY_REFUSED);
  }

  private void open(Duration howLong) {
    probing = false;
    closedUntil = clock.instant().plus(howLong);
  }
}
