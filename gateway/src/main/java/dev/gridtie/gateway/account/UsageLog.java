package dev.gridtie.gateway.account;

import dev.gridtie.base.Ids;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.gateway.till.Expenses;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.ledger.StoreException;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Writes requests and their charges down, many in one transaction, behind the backs of those who
 * are served. What a key spends stands in the ledger as a debt of the key's towards the operator.
 * Where the ledger cannot be written, what is to be written waits; where too much waits, nothing
 * more is taken.
 */
public final class UsageLog implements AutoCloseable {
  /** How many requests may wait to be written down. */
  static final int WAITING_MAX = 65_536;

  /** From here on no more requests are taken. */
  private static final int FULL = WAITING_MAX / 2;

  private static final int BATCH_MAX = 512;

  /** How long charges may wait for others to be written with. */
  private static final Duration LINGER = Duration.ofMillis(200);

  private static final Duration RETRY = Duration.ofMillis(500);

  private final Database database;
  private final KeyBook keys;
  private final InstantSource clock;

  /**
   * A request that is over.
   *
   * @param row what is written down of it; empty where nothing was given
   * @param held what was held of credits for it
   * @param providerCost what its provider takes for it
   */
  private record Over(Optional<UsageRow> row, Optional<Purse.Held> held, PicoUsd providerCost) {}

  private final BlockingQueue<Over> waiting = new ArrayBlockingQueue<>(WAITING_MAX);
  private final Thread thread;
  private volatile boolean closed;
  private volatile boolean failing;

  /**
   * @param keys whose charges they are
   */
  public UsageLog(Database database, KeyBook keys, InstantSource clock) {
    this.clock = clock;
    this.database = database;
    this.keys = keys;
    this.thread = Thread.ofPlatform().name("usage-writer").daemon(true).start(this::run);
  }

  /** Whether what is served now can be written down later. */
  public boolean hasRoom() {
    return waiting.size() < FULL && !failing;
  }

  /** Notes a request that a key is billed for, or nobody; never blocks. */
  public void add(UsageRow row) {
    add(row, Optional.empty(), PicoUsd.ZERO);
  }

  /** Notes a request, and spends of what was held of credits for it; never blocks. */
  public void add(UsageRow row, Optional<Purse.Held> held, PicoUsd providerCost) {
    if (!waiting.offer(new Over(Optional.of(row), held, providerCost))) {
      System.err.println("gridtie: a charge of " + row.cost() + " could not be written down");
    }
  }

  /** Frees what was held of credits for a request that came to nothing; never blocks. */
  public void release(Purse.Held held) {
    boolean unused = waiting.offer(new Over(Optional.empty(), Optional.of(held), PicoUsd.ZERO));
    // Where there is no room for it, it expires.
  }

  private void run() {
    List<Over> batch = new ArrayList<>();
    while (!closed || !waiting.isEmpty() || !batch.isEmpty()) {
      try {
        if (batch.isEmpty()) {
          Over first = waiting.poll(200, TimeUnit.MILLISECONDS);
          if (first == null) {
            continue;
          }
          batch.add(first);
          if (!closed) {
            Thread.sleep(LINGER); // many rows for one commit
          }
          waiting.drainTo(batch, BATCH_MAX - 1);
        }
        writeAll(batch);
        batch.clear();
        failing = false;
      } catch (StoreException e) {
        if (!failing) {
          System.err.println("gridtie: charges wait to be written down: " + e.getMessage());
        }
        failing = true;
        if (closed) {
          return;
        }
        sleep();
      } catch (InterruptedException e) {
        closed = true; // what waits is written first
      }
    }
  }

  private static void sleep() {
    try {
      Thread.sleep(RETRY);
    } catch (InterruptedException e) {
      // Closing.
    }
  }

  /** One that cannot be written, by a bug, must not keep the others from it. */
  private void writeAll(List<Over> batch) {
    try {
      write(batch);
    } catch (IllegalStateException bug) {
      for (Over one : batch) {
        try {
          write(List.of(one));
        } catch (IllegalStateException e) {
          System.err.println(
              "gridtie: a charge could not be written down: "
                  + one.row().map(UsageRow::id).orElse("of an answer that came to nothing")
                  + ": "
                  + e.getCause());
        }
      }
    }
  }

  private void write(List<Over> batch) {
    List<UsageRow> rows = batch.stream().flatMap(o -> o.row().stream()).toList();
    int unused =
        database.write(
            (c, log) -> {
              for (Over over : batch) {
                write(c, log, over);
              }
              Optional<Budgets> budgets = keys.budgets();
              if (budgets.isPresent()) {
                budgets.get().post(c, rows);
              }
              return batch.size();
            });
    keys.posted(rows);
  }

  private void write(Connection c, LedgerTx log, Over over) throws SQLException, RefusedException {
    PicoUsd cost = over.row().map(UsageRow::cost).orElse(PicoUsd.ZERO);
    if (over.row().isPresent()) {
      UsageRow row = over.row().get();
      UsageStore.insert(c, row);
      Expenses.cost(log, row.id(), row.provider(), over.providerCost(), row.time());
    }
    if (over.held().isPresent()) {
      Purse.Held held = over.held().get();
      Credits.spend(c, log, held.answerId(), held.price(cost), clock.instant());
    } else if (over.row().isPresent()) {
      bill(log, over.row().get());
    }
  }

  private static void bill(LedgerTx log, UsageRow row) throws SQLException, RefusedException {
    if (row.keyId().isEmpty() || row.cost().isZero()) {
      return;
    }
    AccountId key = new AccountId(Expenses.OWED, row.keyId().replace("key-", "key:"));
    AccountId revenue = new AccountId(Expenses.OWED, "revenue");
    log.ensureOpen(key, false, row.time());
    log.ensureOpen(revenue, false, row.time());
    log.apply(
        new Entry.Transfer(
            Ids.derived("usage " + row.id()),
            row.time(),
            key,
            revenue,
            row.cost().pico(),
            "answer " + row.id()));
  }

  /** Writes what waits, and ends. */
  @Override
  public void close() {
    closed = true;
    try {
      thread.join(Duration.ofSeconds(3));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
