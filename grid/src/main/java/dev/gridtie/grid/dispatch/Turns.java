package dev.gridtie.grid.dispatch;

/**
 * How often a slot is taken: a sum in which what was long ago counts less. State: guarded by
 * whoever owns it.
 */
final class Turns {
  /** What is so long ago counts a third. */
  private static final double MEMORY_NANOS = 10e9;

  private double sum;
  private long at;

  Turns(long nowNanos) {
    this.at = nowNanos;
  }

  private double sum(long now) {
    return sum * Math.exp((at - now) / MEMORY_NANOS);
  }

  void add(long now) {
    sum = sum(now) + 1;
    at = now;
  }

  /** How long so many turns will take. */
  long nanosFor(int turns, long now) {
    return (long) (turns * MEMORY_NANOS / sum(now)); // for ever, where there were none
  }
}
