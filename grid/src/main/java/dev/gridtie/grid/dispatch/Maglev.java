package dev.gridtie.grid.dispatch;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Arrays;
import java.util.List;

/**
 * A table that sends the same key to the same node, and moves few keys when nodes come and go, each
 * node having keys by its weight (Eisenbud et al., "Maglev", NSDI 2016, §3.4, with weights as turns
 * at the table). Immutable.
 */
final class Maglev {
  /** Entries for each node: shares are then exact to about a per cent. */
  private static final int ENTRIES_PER_NODE = 100;

  /** Larger tables take too long to build; shares are coarser then. */
  private static final int ENTRIES_MAX = 2_000_003;

  private static final int NONE = -1;

  private final List<Slot> nodes;
  private final int[] table;

  private Maglev(List<Slot> nodes, int[] table) {
    this.nodes = nodes;
    this.table = table;
  }

  /**
   * Builds a table.
   *
   * @param slots none twice
   */
  static Maglev of(List<Slot> slots) {
    List<Slot> nodes = List.copyOf(slots);
    if (nodes.isEmpty()) {
      return new Maglev(nodes, new int[0]);
    }
    // A size that stays the same while nodes come and go, or every key would move.
    long rounded = Long.highestOneBit(Math.max(1, nodes.size() - 1)) << 1;
    int size = prime((int) Math.min(ENTRIES_MAX, Math.max(1_009, rounded * ENTRIES_PER_NODE)));
    int[] table = new int[size];
    Arrays.fill(table, NONE);
    int n = nodes.size();
    long[] next = new long[n];
    int[] skip = new int[n];
    double[] turns = new double[n];
    double most = 0;
    for (int i = 0; i < n; i++) {
      long hash = hash(nodes.get(i).node());
      next[i] = Long.remainderUnsigned(hash, size);
      skip[i] = (int) Long.remainderUnsigned(mix(hash), size - 1L) + 1;
      most = Math.max(most, capacity(nodes.get(i)));
    }
    int filled = 0;
    while (filled < size) {
      for (int i = 0; i < n && filled < size; i++) {
        turns[i] += capacity(nodes.get(i)) / most;
        if (turns[i] < 1) {
          continue;
        }
        turns[i] -= 1;
        while (table[(int) next[i]] != NONE) {
          next[i] = (next[i] + skip[i]) % size;
        }
        table[(int) next[i]] = i;
        filled++;
      }
    }
    return new Maglev(nodes, table);
  }

  private static double capacity(Slot slot) {
    return (double) slot.tokensPerSecond() * slot.slots();
  }

  /** The node that a key belongs to; only where there is any. */
  Slot of(long key) {
    return nodes.get(table[(int) Long.remainderUnsigned(mix(key), table.length)]);
  }

  boolean isEmpty() {
    return nodes.isEmpty();
  }

  /** FNV-1a, 64 bits, mixed. */
  static long hash(String text) {
    long hash = 0xcbf29ce484222325L;
    for (byte b : text.getBytes(UTF_8)) {
      hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
    }
    return mix(hash);
  }

  /** The finalizer of SplitMix64. */
  static long mix(long value) {
    long z = (value ^ (value >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  private static int prime(int least) {
    for (int candidate = least | 1; ; candidate += 2) {
      if (isPrime(candidate)) {
        return candidate;
      }
    }
  }

  private static boolean isPrime(int n) {
    for (int d = 3; (long) d * d <= n; d += 2) {
      if (n % d == 0) {
        return false;
      }
    }
    return true;
  }
}
