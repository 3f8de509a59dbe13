package dev.gridtie.gateway.till;

import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Expiry;
import dev.gridtie.ledger.StoreException;
import java.time.Duration;
import java.time.InstantSource;

/** Ends holds whose time has come, now and then. */
public final class HoldSweeper implements AutoCloseable {
  private static final Duration EVERY = Duration.ofSeconds(5);

  private final Thread thread;

  public HoldSweeper(Database database, InstantSource clock) {
    this.thread =
        Thread.ofVirtual()
            .name("holds")
            .start(
                () -> {
                  while (true) {
                    try {
                      Thread.sleep(EVERY);
                      int unused = Expiry.sweep(database, clock.instant());
                    } catch (InterruptedException e) {
                      return;
                    } catch (StoreException e) {
                      // They stay, and are ended when the ledger can be written again.
                    }
                  }
                });
  }

  @Override
  public void close() {
    thread.interrupt();
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
