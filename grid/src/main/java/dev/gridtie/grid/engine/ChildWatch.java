package dev.gridtie.grid.engine;

import java.time.Duration;

/**
 * Judges by its answers to pings whether a child still works. Time is what passes between looks, at
 * most {@value #LOOKS_COUNTED} intervals for each: a machine that was suspended, child and watcher
 * alike, has not been silent.
 */
final class ChildWatch {
  /** How often it is asked and looked at. */
  static final Duration EVERY = Duration.ofSeconds(1);

  /** A child that has been silent so long is not sent anything new. */
  static final Duration MUTE_AFTER = Duration.ofSeconds(10);

  /** How long a step may take by default; the slowest take some seconds. */
  static final Duration PATIENCE = Duration.ofSeconds(120);

  /** A virtual machine and a model take so long to come up on the slowest machine. */
  private static final Duration STARTING = Duration.ofSeconds(60);

  private static final int LOOKS_COUNTED = 2;

  private final Duration patience;
  private final Duration muteAfter;
  private long lookedAt;
  private Duration silent = Duration.ZERO;
  private Duration still = Duration.ZERO;
  private long steps = -1;
  private boolean working;

  /** Whether it has once had nothing to do: it has started. */
  private boolean idleSeen;

  /** What a look finds. */
  sealed interface State {
    record Fine() implements State {}

    /** It may be all right again. */
    record Mute(String why) implements State {}

    /** It is to be ended. */
    record Hung(String why) implements State {}
  }

  /**
   * @param patience how long it may be silent, or make no step while it has work
   * @param now nanoseconds, as {@link #look} has them
   */
  ChildWatch(Duration patience, long now) {
    this.patience = patience;
    this.muteAfter = min(MUTE_AFTER, patience.dividedBy(2));
    this.lookedAt = now;
  }

  /** The child has answered. */
  synchronized void answered(long newSteps, boolean nowWorking) {
    silent = Duration.ZERO;
    if (!nowWorking || !working || newSteps != steps) {
      still = Duration.ZERO;
    }
    steps = newSteps;
    working = nowWorking;
    idleSeen |= !nowWorking;
  }

  /**
   * Looks at it.
   *
   * @param listening whether its answers were being read meanwhile
   */
  synchronized State look(long now, boolean listening) {
    Duration passed = min(Duration.ofNanos(now - lookedAt), EVERY.multipliedBy(LOOKS_COUNTED));
    lookedAt = now;
    if (listening) {
      silent = silent.plus(passed);
      boolean answers = silent.compareTo(EVERY.multipliedBy(LOOKS_COUNTED)) <= 0;
      still = !working ? Duration.ZERO : answers ? still.plus(passed) : still;
    }
    String mute = "the engine has not answered for " + silent.toSeconds() + " s";
    String stuck = "the engine has made no step for " + still.toSeconds() + " s";
    Duration most = idleSeen || patience.compareTo(STARTING) > 0 ? patience : STARTING;
    if (silent.compareTo(most) >= 0) {
      return new State.Hung(mute);
    }
    if (still.compareTo(most) >= 0) {
      return new State.Hung(stuck);
    }
    if (silent.compareTo(muteAfter) >= 0) {
      return new State.Mute(mute);
    }
    return still.compareTo(most.dividedBy(2)) >= 0 ? new State.Mute(stuck) : new State.Fine();
  }

  private static Duration min(Duration a, Duration b) {
    return a.compareTo(b) <= 0 ? a : b;
  }
}
