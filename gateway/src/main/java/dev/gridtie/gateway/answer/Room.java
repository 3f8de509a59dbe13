package dev.gridtie.gateway.answer;

import java.util.concurrent.atomic.AtomicLong;

/**
 * The memory that answers under way may take together: what is collected of them, kept for those
 * who read it, and written to clients that have not taken it yet. One that would exceed it fails by
 * itself, and new requests are refused while little is left, so that the process never dies of it.
 * State: bytes taken, safe for use by many threads.
 */
public final class Room {
  /** How much of the Java heap answers may take: an answer that is read takes several times it. */
  private static final int HEAP_SHARE = 4;

  /** The room of this process: there is one heap. */
  public static final Room OF_PROCESS = new Room(Runtime.getRuntime().maxMemory() / HEAP_SHARE);

  private final long most;
  private final AtomicLong taken = new AtomicLong();

  public Room(long bytesMax) {
    this.most = bytesMax;
  }

  /** Whether new work should come again later: more than three quarters are taken. */
  public boolean isScarce() {
    return taken.get() > most / 4 * 3;
  }

  /** Counts what is there whether there is room or not: bytes that were written out. */
  public void take(long bytes) {
    taken.addAndGet(bytes);
  }

  public void give(long bytes) {
    taken.addAndGet(-bytes);
  }

  public long taken() {
    return taken.get();
  }

  /** A part of the room for one answer. */
  public Lease lease() {
    return new Lease();
  }

  /** What one answer has taken; given back once, at its end. */
  public final class Lease implements AutoCloseable {
    private long mine;
    private boolean closed;

    private Lease() {}

    /** Takes so much more; whether there was room. */
    public synchronized boolean grow(long bytes) {
      if (closed) {
        return true; // whoever still holds it is about to leave
      }
      if (taken.addAndGet(bytes) > most) {
        taken.addAndGet(-bytes);
        return false;
      }
      mine += bytes;
      return true;
    }

    @Override
    public synchronized void close() {
      if (!closed) {
        closed = true;
        taken.addAndGet(-mine);
      }
    }
  }
}
