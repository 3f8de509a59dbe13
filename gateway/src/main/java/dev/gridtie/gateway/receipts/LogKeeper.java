package dev.gridtie.gateway.receipts;

import dev.gridtie.ledger.StoreException;
import dev.gridtie.ledger.log.LedgerLog;
import java.time.Duration;
import java.time.InstantSource;

/** Signs, every few seconds, how far the log has come. */
public final class LogKeeper implements AutoCloseable {
  /** An entry stands under a signed checkpoint after so long. */
  public static final Duration EVERY = Duration.ofSeconds(5);

  private final LedgerLog log;
  private final InstantSource clock;
  private final Witnesses witnesses;
  private final Thread thread;

  public LogKeeper(LedgerLog log, InstantSource clock, Witnesses witnesses) {
    this.witnesses = witnesses;
    this.log = log;
    this.clock = clock;
    this.thread = Thread.ofVirtual().name("log").unstarted(this::run);
  }

  public LedgerLog log() {
    return log;
  }

  /** Begins to sign, in the background: a long log that was never signed takes its time. */
  public void start() {
    thread.start();
  }

  private void run() {
    while (!Thread.currentThread().isInterrupted()) {
      try {
        witnesses.show(log, log.advance(clock.instant()));
        Thread.sleep(EVERY);
      } catch (InterruptedException e) {
        return;
      } catch (RuntimeException e) {
        System.err.println("gridtie: the log is not signed: " + e);
        rest();
      }
    }
  }

  /** What has failed is tried again, but not at once. */
  private static void rest() {
    try {
      Thread.sleep(EVERY);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Signs what has come since, and ends. */
  @Override
  public void close() {
    thread.interrupt();
    try {
      thread.join();
      var unused = log.advance(clock.instant());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (StoreException e) {
      System.err.println("gridtie: the log is not signed: " + e.getMessage());
    }
  }
}
