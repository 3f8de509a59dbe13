package dev.gridtie.ledger.log;

import dev.gridtie.base.Hashes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Merkle trees as RFC 6962 §2.1 hashes them. Hashes have 32 bytes. */
public final class Merkle {
  public static final int HASH_BYTES = 32;

  /** The root of a tree without leaves. */
  static final byte[] EMPTY = Hashes.sha256();

  private static final byte[] LEAF = {0};
  private static final byte[] NODE = {1};

  private Merkle() {}

  public static byte[] leaf(byte[] data) {
    return Hashes.sha256(LEAF, data);
  }

  static byte[] node(byte[] left, byte[] right) {
    return Hashes.sha256(NODE, left, right);
  }

  /** Complete subtrees of a tree. */
  public interface Subtrees {
    /**
     * The root over the leaves from {@code index << level} on, {@code 1 << level} of them, all of
     * which are there.
     */
    byte[] at(int level, long index);
  }

  /** Grows leaf by leaf, and keeps no more than a hash for each bit of its size. */
  public static final class Frontier {
    private final List<byte[]> complete = new ArrayList<>();
    private long size;

    public Frontier() {}

    /**
     * Goes on from what {@link #subtrees} gave.
     *
     * @throws IllegalArgumentException where a tree of that size has another number of subtrees
     */
    public Frontier(long size, List<byte[]> subtrees) {
      if (subtrees.size() != Long.bitCount(size)) {
        throw new IllegalArgumentException(
            "a tree of " + size + " leaves has " + Long.bitCount(size) + " complete subtrees");
      }
      this.size = size;
      complete.addAll(subtrees);
    }

    /** The roots of the complete subtrees, from left to right. */
    public List<byte[]> subtrees() {
      return List.copyOf(complete);
    }

    public void add(byte[] leafHash) {
      byte[] hash = leafHash;
      for (long rest = size; (rest & 1) == 1; rest >>= 1) {
        hash = node(complete.removeLast(), hash);
      }
      complete.add(hash);
      size++;
    }

    public long size() {
      return size;
    }

    public byte[] root() {
      return folded(complete);
    }
  }

  /** The root of subtrees that shrink from left to right. */
  private static byte[] folded(List<byte[]> subtrees) {
    if (subtrees.isEmpty()) {
      return EMPTY.clone();
    }
    byte[] root = subtrees.getLast();
    for (int i = subtrees.size() - 2; i >= 0; i--) {
      root = node(subtrees.get(i), root);
    }
    return root;
  }

  /** The root of the first {@code size} leaves. */
  public static byte[] root(long size, Subtrees tree) {
    return size == 0 ? EMPTY.clone() : range(0, size, tree);
  }

  /** The root of the leaves from one place until before another, as the whole tree divides them. */
  private static byte[] range(long from, long until, Subtrees tree) {
    long length = until - from;
    if (Long.bitCount(length) == 1) {
      int level = Long.numberOfTrailingZeros(length);
      return tree.at(level, from >> level);
    }
    long half = Long.highestOneBit(length);
    return node(range(from, from + half, tree), range(from + half, until, tree));
  }

  /**
   * That a leaf is in a tree: what its hash is joined with on the way to the root (RFC 6962
   * §2.1.1).
   *
   * @param index of the leaf, from 0
   */
  public static List<byte[]> inclusion(long index, long size, Subtrees tree) {
    if (index < 0 || index >= size) {
      throw new IllegalArgumentException("a tree of " + size + " leaves has no leaf " + index);
    }
    List<byte[]> proof = new ArrayList<>();
    long from = 0;
    long until = size;
    while (until - from > 1) {
      long half = from + half(until - from);
      if (index < half) {
        proof.add(range(half, until, tree));
        until = half;
      } else {
        proof.add(range(from, half, tree));
        from = half;
      }
    }
    return proof.reversed();
  }

  /** The largest power of two below a number. */
  private static long half(long length) {
    return Long.highestOneBit(length - 1);
  }

  /** That a tree begins with another one (RFC 6962 §2.1.2). */
  public static List<byte[]> consistency(long before, long size, Subtrees tree) {
    if (before < 1 || before > size) {
      throw new IllegalArgumentException(
          "a tree of " + size + " leaves has none of " + before + " at its beginning");
    }
    List<byte[]> proof = new ArrayList<>();
    long from = 0;
    long until = size;
    boolean known = true; // whether the part is the older tree itself, whose root is known
    while (before != until) {
      long half = from + half(until - from);
      if (before <= half) {
        proof.add(range(half, until, tree));
        until = half;
      } else {
        proof.add(range(from, half, tree));
        from = half;
        known = false;
      }
    }
    if (!known) {
      proof.add(range(from, until, tree));
    }
    return proof.reversed();
  }

  /** Whether a proof leads from a leaf to a root (RFC 9162 §2.1.3.2). */
  public static boolean isIncluded(
      byte[] leafHash, long index, long size, List<byte[]> proof, byte[] root) {
    if (index < 0 || index >= size) {
      return false;
    }
    long place = index;
    long last = size - 1;
    byte[] hash = leafHash;
    for (byte[] other : proof) {
      if (last == 0) {
        return false;
      }
      if ((place & 1) == 1 || place == last) {
        hash = node(other, hash);
        while ((place & 1) == 0 && place != 0) {
          place >>= 1;
          last >>= 1;
        }
      } else {
        hash = node(hash, other);
      }
      place >>= 1;
      last >>= 1;
    }
    return last == 0 && Arrays.equals(hash, root);
  }

  /** Whether a proof leads from a tree's root to that of a larger one (RFC 9162 §2.1.4.2). */
  public static boolean isConsistent(
      long before, byte[] rootBefore, long size, byte[] root, List<byte[]> proof) {
    if (before < 0 || before > size) {
      return false;
    }
    if (before == size) {
      return proof.isEmpty() && Arrays.equals(rootBefore, root);
    }
    if (before == 0) {
      return proof.isEmpty() && Arrays.equals(rootBefore, EMPTY);
    }
    List<byte[]> path = new ArrayList<>(proof);
    if (Long.bitCount(before) == 1) {
      path.addFirst(rootBefore);
    }
    if (path.isEmpty()) {
      return false;
    }
    long place = before - 1;
    long last = size - 1;
    while ((place & 1) == 1) {
      place >>= 1;
      last >>= 1;
    }
    byte[] old = path.getFirst();
    byte[] now = path.getFirst();
    for (byte[] other : path.subList(1, path.size())) {
      if (last == 0) {
        return false;
      }
      if ((place & 1) == 1 || place == last) {
        old = node(other, old);
        now = node(other, now);
        while ((place & 1) == 0 && place != 0) {
          place >>= 1;
          last >>= 1;
        }
      } else {
        now = node(now, other);
      }
      place >>= 1;
      last >>= 1;
    }
    return last == 0 && Arrays.equals(old, rootBefore) && Arrays.equals(now, root);
  }
}
