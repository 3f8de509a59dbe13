package dev.gridtie.bench;

import java.util.Arrays;

/**
 * Measured durations in nanoseconds, at most a given number; more are counted out. Safe for use by
 * many threads.
 */
final class Samples {
  private final long[] nanos;
  private int count;

  Samples(int most) {
    this.nanos = new long[most];
  }

  synchronized void add(long duration) {
    if (count < nanos.length) {
      nanos[count++] = duration;
    }
  }

  /** The duration below which this fraction lies, in microseconds; 0 where nothing was measured. */
  synchronized long micros(double fraction) {
    if (count == 0) {
      return 0;
    }
    long[] sorted = Arrays.copyOf(nanos, count);
    Arrays.sort(sorted);
    return sorted[(int) Math.min(count - 1, Math.floor(fraction * count))] / 1000;
  }
}
