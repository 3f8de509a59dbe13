package dev.gridtie.grid.dispatch;

/**
 * A percentile of times that were seen lately: counts in buckets an eighth of an octave wide, all
 * halved now and then, so that what is old fades. State: guarded by whoever owns it.
 */
final class Gaps {
  private static final int BUCKETS_PER_OCTAVE = 8;
  private static final int BUCKETS = 40 * BUCKETS_PER_OCTAVE;
  private static final int HALVE_AT = 2_048;

  private final int[] counts = new int[BUCKETS];
  private int total;

  /** So many must have been seen before a percentile means anything. */
  static final int SEEN_MIN = 20;

  void add(long nanos) {
    counts[bucket(Math.max(1, nanos / 1_000))]++;
    if (++total >= HALVE_AT) {
      total = 0;
      for (int i = 0; i < BUCKETS; i++) {
        counts[i] /= 2;
        total += counts[i];
      }
    }
  }

  private static int bucket(long micros) {
    int octave = 63 - Long.numberOfLeadingZeros(micros);
    int part =
        octave < 3 ? (int) ((micros << (3 - octave)) & 7) : (int) ((micros >> (octave - 3)) & 7);
    return Math.min(BUCKETS - 1, octave * BUCKETS_PER_OCTAVE + part);
  }

  /** The upper edge of a bucket, in microseconds. */
  private static long edge(int bucket) {
    int octave = bucket / BUCKETS_PER_OCTAVE;
    long part = bucket % BUCKETS_PER_OCTAVE + 9L;
    return octave < 3 ? Math.max(1, part >> (3 - octave)) : part << (octave - 3);
  }

  /**
   * A percentile.
   *
   * @param otherwise where too little was seen
   * @return nanoseconds
   */
  long percentile(int percent, long otherwise) {
    if (total < SEEN_MIN) {
      return otherwise;
    }
    long rank = Math.ceilDiv((long) total * percent, 100);
    long below = 0;
    for (int i = 0; i < BUCKETS; i++) {
      below += counts[i];
      if (below >= rank) {
        return edge(i) * 1_000;
      }
    }
    return otherwise;
  }
}
