package dev.gridtie.base.ready;

import java.time.Duration;

/**
 * One thing that a paid request needs, and how it is tested.
 *
 * @param name unique and stable, lower case: operators' alarms name it
 * @param tests what is tested, in a few words
 * @param deadline after which it counts as failed, at most {@link #DEADLINE_MAX}
 * @param probe tests it; runs on a thread of its own and is interrupted at the deadline
 */
public record Check(String name, String tests, Duration deadline, Probe probe) {
  /** A readiness probe is answered in under a second. */
  public static final Duration DEADLINE_MAX = Duration.ofMillis(950);

  /** How a check is done. What it throws is a failure. */
  @FunctionalInterface
  public interface Probe {
    Finding look() throws Exception;
  }

  public Check(String name, String tests, Probe probe) {
    this(name, tests, DEADLINE_MAX, probe);
  }

  public Check {
    if (deadline.compareTo(DEADLINE_MAX) > 0 || !deadline.isPositive()) {
      throw new IllegalArgumentException(name + ": a deadline of " + deadline);
    }
  }
}
