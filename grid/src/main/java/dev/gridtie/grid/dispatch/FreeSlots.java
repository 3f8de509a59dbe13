package dev.gridtie.grid.dispatch;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The nodes that have a free slot, by how fast they are: a class is half an octave of tokens a
 * second. A pick draws a class by what its free slots can do together, and takes the better of two
 * nodes of it. So shares of work follow shares of capacity by construction, the choice of two evens
 * out load within a class, and a pick takes as long with ten nodes as with a hundred thousand.
 * State: guarded by whoever owns it.
 */
final class FreeSlots {
  /** Half octaves from 1 to 2^20 tokens a second. */
  private static final int CLASSES = 42;

  /** A pick that keeps finding nodes that may not be taken gives up after so many. */
  private static final int DRAWS_MAX = 8;

  private final List<List<Slot>> classes = new ArrayList<>();
  private final long[] weights = new long[CLASSES];
  private long total;
  private int size;

  FreeSlots() {
    for (int i = 0; i < CLASSES; i++) {
      classes.add(new ArrayList<>());
    }
  }

  private static int classOf(Slot slot) {
    double halves = 2 * Math.log(slot.tokensPerSecond()) / Math.log(2);
    return Math.clamp((int) halves, 0, CLASSES - 1);
  }

  int size() {
    return size;
  }

  /** Puts a node where it belongs now: in with its weight, or out. */
  void settle(Slot slot, boolean free) {
    if (slot.place >= 0) {
      remove(slot);
    }
    if (free) {
      add(slot);
    }
  }

  private void add(Slot slot) {
    slot.heldClass = classOf(slot);
    slot.heldWeight = slot.weight() * slot.free();
    List<Slot> peers = classes.get(slot.heldClass);
    slot.place = peers.size();
    peers.add(slot);
    weights[slot.heldClass] += slot.heldWeight;
    total += slot.heldWeight;
    size++;
  }

  private void remove(Slot slot) {
    List<Slot> peers = classes.get(slot.heldClass);
    Slot last = peers.removeLast();
    if (last != slot) {
      peers.set(slot.place, last);
      last.place = slot.place;
    }
    slot.place = -1;
    weights[slot.heldClass] -= slot.heldWeight;
    total -= slot.heldWeight;
    size--;
  }

  /** The better of two of a class that was drawn by weight; null where none was found. */
  @Nullable Slot pick(Set<String> not, RandomGenerator random) {
    Slot found = null;
    for (int draw = 0; size > 0 && draw < DRAWS_MAX && found == null; draw++) {
      List<Slot> peers = classes.get(drawClass(random));
      Slot a = peers.get(random.nextInt(peers.size()));
      Slot b = peers.get(random.nextInt(peers.size()));
      boolean aMay = !not.contains(a.node());
      boolean bMay = !not.contains(b.node());
      found = aMay && bMay ? (b.score() < a.score() ? b : a) : aMay ? a : bMay ? b : null;
    }
    return found != null || not.isEmpty() ? found : any(not);
  }

  private @Nullable Slot any(Set<String> not) {
    for (List<Slot> peers : classes) {
      for (Slot slot : peers) {
        if (!not.contains(slot.node())) {
          return slot;
        }
      }
    }
    return null;
  }

  private int drawClass(RandomGenerator random) {
    long at = random.nextLong(Math.max(1, total));
    for (int i = 0; i < CLASSES; i++) {
      at -= weights[i];
      if (at < 0) {
        return i;
      }
    }
    throw new IllegalStateException("weights that do not add up to their total");
  }
}
