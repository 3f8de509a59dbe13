package dev.gridtie.grid.dispatch;

import java.util.Comparator;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Requests that wait for a slot: each has a head start by its priority, and the one that has waited
 * longest with it is next. The head start is bounded, and so is what anybody can be overtaken by:
 * nobody starves. State: guarded by whoever owns it.
 */
final class Waiting {
  /** What one step of priority is worth. */
  static final long HEAD_START_NANOS = 500_000_000L;

  private final TreeSet<Entry> entries =
      new TreeSet<>(Comparator.comparingLong(Entry::rank).thenComparingLong(Entry::order));
  private final TreeSet<Entry> byDeadline =
      new TreeSet<>(
          Comparator.comparingLong((Entry e) -> e.request().deadlineNanos())
              .thenComparingLong(Entry::order));
  private long orders;

  private record Entry(long rank, long order, Request request) {}

  int size() {
    return entries.size();
  }

  void add(Request request, long now) {
    Entry entry = new Entry(now - request.priority() * HEAD_START_NANOS, orders++, request);
    entries.add(entry);
    byDeadline.add(entry);
  }

  /** Takes the next one; null where none waits. */
  @Nullable Request poll() {
    Entry first = entries.pollFirst();
    if (first == null) {
      return null;
    }
    byDeadline.remove(first);
    return first.request();
  }

  /** Takes one whose deadline has passed; null where there is none. */
  @Nullable Request late(long now) {
    if (byDeadline.isEmpty() || byDeadline.first().request().deadlineNanos() > now) {
      return null;
    }
    Entry entry = byDeadline.pollFirst();
    entries.remove(entry);
    return entry.request();
  }

  /** Takes this one out; whether it was in. */
  boolean remove(Request request) {
    Entry found = null;
    for (Entry entry : entries) {
      if (entry.request() == request) {
        found = entry;
        break;
      }
    }
    return found != null && entries.remove(found) && byDeadline.remove(found);
  }
}
