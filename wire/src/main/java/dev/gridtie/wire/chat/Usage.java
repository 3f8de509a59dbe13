package dev.gridtie.wire.chat;

/**
 * Tokens of a request, each counted once.
 *
 * @param input all that was sent, whether cached or not
 * @param cacheRead of these, read from a cache
 * @param cacheWrite of these, written to a cache
 * @param output all that was generated, thoughts included
 * @param reasoning of these, thoughts
 * @param estimated whether any of these counts is ours, where the server gave none or one that
 *     cannot be
 */
public record Usage(
    long input, long cacheRead, long cacheWrite, long output, long reasoning, boolean estimated) {
  public static final Usage NONE = new Usage(0, 0, 0, 0, 0);

  public Usage {
    if (input < 0 || cacheRead < 0 || cacheWrite < 0 || output < 0 || reasoning < 0) {
      throw new IllegalArgumentException("a count of tokens is negative");
    }
  }

  /** Input that was neither read from a cache nor written to one. */
  public long inputUncached() {
    return Math.max(0, input - cacheRead - cacheWrite);
  }

  /** Counts as a server reports them. */
  public Usage(long input, long cacheRead, long cacheWrite, long output, long reasoning) {
    this(input, cacheRead, cacheWrite, output, reasoning, false);
  }

  /** The same, marked as our own count. */
  public Usage asEstimated() {
    return new Usage(input, cacheRead, cacheWrite, output, reasoning, true);
  }

  /** Whether nothing was counted at all. */
  public boolean isNothing() {
    return input == 0 && output == 0;
  }

  /**
   * Of two reports on the same request, the larger count of each kind: later ones are cumulative.
   */
  public Usage merge(Usage other) {
    return new Usage(
        Math.max(input, other.input),
        Math.max(cacheRead, other.cacheRead),
        Math.max(cacheWrite, other.cacheWrite),
        Math.max(output, other.output),
        Math.max(reasoning, other.reasoning),
        estimated || other.estimated);
  }
}
