package dev.gridtie.grid.dispatch;

import java.util.Set;

/**
 * Something that needs a node.
 *
 * @param key of its conversation, so that it finds its prompt cached; 0 for none
 * @param priority from 0 to {@value #PRIORITY_MAX}: how much its owner contributes
 * @param deadlineNanos when waiting is of no use any more
 * @param not nodes that it was lost on
 * @param taker hears what becomes of it; called outside of the dispatcher's monitor
 */
public record Request(long key, int priority, long deadlineNanos, Set<String> not, Taker taker) {
  /** The highest priority. */
  public static final int PRIORITY_MAX = 10;

  public Request {
    not = Set.copyOf(not);
    if (priority < 0 || priority > PRIORITY_MAX) {
      throw new IllegalArgumentException("priority is from 0 to " + PRIORITY_MAX);
    }
  }

  /** Hears once which of these came. */
  public interface Taker {
    /** A node has room for it, and this has taken it. */
    void take(Slot slot);

    /** It has waited until its deadline. */
    void late();
  }
}
