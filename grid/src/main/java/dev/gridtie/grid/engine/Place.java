package dev.gridtie.grid.engine;

import java.time.Duration;

/**
 * A request's place among those that wait for a machine.
 *
 * @param priority of whoever asks: 0 to 10
 * @param waitMax how long it may wait for its turn
 * @param elsewhere whether somebody else would answer it: then it does not join a queue that is
 *     longer than that
 */
public record Place(int priority, Duration waitMax, boolean elsewhere) {
  /** Where nobody else would answer. */
  private static final Duration WAIT_MAX = Duration.ofSeconds(60);

  /** A place of no priority, at the only ones that would answer. */
  public static final Place LAST = new Place(0, WAIT_MAX, false);

  public Place withPriority(int newPriority) {
    return new Place(newPriority, waitMax, elsewhere);
  }

  /** The same where others would answer too, after a while. */
  public Place before(Duration others) {
    return new Place(priority, others, true);
  }
}
