package dev.gridtie.grid.node;

import java.time.Duration;
import java.util.function.LongSupplier;

/** A limit on the bytes of files that come and go, all together. Safe for use by many threads. */
final class Bandwidth {
  private final long bytesPerSecondMax;
  private final LongSupplier nanos;
  private final Sleep sleep;
  private long freeAt;

  /** Lets time pass. */
  interface Sleep {
    void nanos(long nanos) throws InterruptedException;
  }

  /**
   * @param bytesPerSecondMax 0 for no limit
   */
  Bandwidth(long bytesPerSecondMax, LongSupplier nanos, Sleep sleep) {
    this.bytesPerSecondMax = bytesPerSecondMax;
    this.nanos = nanos;
    this.sleep = sleep;
    this.freeAt = nanos.getAsLong();
  }

  static Bandwidth of(long bytesPerSecondMax) {
    return new Bandwidth(
        bytesPerSecondMax, System::nanoTime, n -> Thread.sleep(Duration.ofNanos(n)));
  }

  /** Waits until so many bytes may go through. */
  void pass(int bytes) throws InterruptedException {
    if (bytesPerSecondMax <= 0) {
      return;
    }
    long wait;
    synchronized (this) {
      long now = nanos.getAsLong();
      long from = Math.max(freeAt, now);
      wait = from - now;
      freeAt = from + bytes * 1_000_000_000L / bytesPerSecondMax;
    }
    if (wait > 0) {
      sleep.nanos(wait);
    }
  }
}
