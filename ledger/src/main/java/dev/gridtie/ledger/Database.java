package dev.gridtie.ledger;

import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx.Applied;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The database that holds the ledger and whatever must change in the same instant. One thread
 * writes, and commits what has queued up together; what a caller was told is done is on the disk.
 */
public final class Database implements AutoCloseable {
  /** How many transactions may wait for the writer. */
  public static final int QUEUE_MAX = 4096;

  /** How many transactions are committed together. */
  private static final int GROUP_MAX = 1024;

  /** What takes longer waits for the next commit: others may want to write, too. */
  private static final Duration BATCH_MAX = Duration.ofMillis(250);

  private final Location where;
  private final Engine engine;
  private final FileChannel head;
  private final BlockingQueue<Job<?>> queue = new ArrayBlockingQueue<>(QUEUE_MAX);
  private final Thread thread;
  private volatile boolean closing;

  /** Work inside one transaction. */
  public interface Work<T extends @Nullable Object> {
    T run(Connection connection, LedgerTx log) throws SQLException, RefusedException;
  }

  /** Reading inside one snapshot. */
  public interface Query<T extends @Nullable Object> {
    T run(Connection connection) throws SQLException;
  }

  /**
   * A transaction that waits.
   *
   * @param entries where it does nothing but say these
   */
  private record Job<T extends @Nullable Object>(
      Work<T> work, List<Entry> entries, CompletableFuture<T> done) {
    boolean isOnlyEntries() {
      return !entries.isEmpty();
    }
  }

  private Database(Location where, Engine engine, FileChannel head) {
    this.where = where;
    this.engine = engine;
    this.head = head;
    this.thread = Thread.ofPlatform().name("ledger-writer").daemon(true).start(this::run);
  }

  /**
   * Opens the database, creating it where it is missing: a file for this process alone, PostgreSQL
   * beside others.
   *
   * @param others tables of others, kept in the same database
   * @throws StoreException where another process has it, it cannot be opened, or it has lost
   *     entries
   */
  public static Database open(Location where, List<Migrations> others) {
    List<Migrations> migrations = new ArrayList<>(List.of(Migrations.OF_THE_LEDGER));
    migrations.addAll(others);
    Engine engine =
        switch (where) {
          case Location.OnFile file -> SqliteEngine.open(file, migrations);
          case Location.OnPostgres postgres ->
              PostgresEngine.open(
                  postgres, migrations, UUID.randomUUID().toString(), InstantSource.system());
        };
    try {
      FileChannel head = Head.open(where.head());
      engine.read(c -> new LedgerReader(c).head()).writeTo(head);
      return new Database(where, engine, head);
    } catch (SQLException | IOException e) {
      engine.close();
      throw new StoreException("opening " + where, e);
    }
  }

  /** Where it is. */
  public Location where() {
    return where;
  }

  /**
   * Runs work in a transaction and returns once it is durable.
   *
   * @throws RefusedException what the work threw; nothing of it was kept
   * @throws StoreException where the database failed; nothing of it was kept, unless it says that
   *     nobody can tell
   */
  public <T extends @Nullable Object> T write(Work<T> work) throws StoreException {
    try {
      return writeOrRefuse(work);
    } catch (RefusedException e) {
      throw new IllegalStateException("a refusal that the caller ruled out", e);
    }
  }

  /** As {@link #write}, for work that a rule may refuse. */
  public <T extends @Nullable Object> T writeOrRefuse(Work<T> work)
      throws RefusedException, StoreException {
    return enqueue(work, List.of());
  }

  /**
   * Says linked entries: all of them stand in the log, one behind the other, or none does.
   *
   * @return for each, whether it is new
   */
  public List<Applied> apply(List<? extends Entry> entries)
      throws RefusedException, StoreException {
    List<Entry> linked = List.copyOf(entries);
    return enqueue(
        (c, log) -> {
          List<Applied> applied = new ArrayList<>(linked.size());
          for (Entry entry : linked) {
            applied.add(log.apply(entry));
          }
          return applied;
        },
        linked);
  }

  private <T extends @Nullable Object> T enqueue(Work<T> work, List<Entry> entries)
      throws RefusedException, StoreException {
    CompletableFuture<T> done = new CompletableFuture<>();
    if (closing || !queue.offer(new Job<>(work, entries, done))) {
      throw new StoreException(
          closing ? "the database is closed" : "too many transactions wait for the disk");
    }
    try {
      return done.get();
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case RefusedException refused -> throw refused;
        case StoreException store -> throw store;
        case SQLException sql -> throw new StoreException("writing to the ledger", sql);
        case RuntimeException bug -> throw bug;
        case null, default -> throw new IllegalStateException(e);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new StoreException("interrupted while waiting for the disk");
    }
  }

  /** Reads in one snapshot. */
  public <T extends @Nullable Object> T read(Query<T> query) {
    try {
      return engine.read(query);
    } catch (SQLException e) {
      throw new StoreException("reading the ledger", e);
    }
  }

  private void run() {
    List<Job<?>> group = new ArrayList<>();
    while (true) {
      try {
        if (group.isEmpty()) {
          Job<?> first = queue.poll(100, TimeUnit.MILLISECONDS);
          if (first == null) {
            if (closing) {
              return;
            }
            continue;
          }
          group.add(first);
        }
        queue.drainTo(group, GROUP_MAX - group.size());
        int over = commit(group);
        group.subList(0, over).clear();
        engine.rest();
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  /**
   * Runs a group of transactions, the first ones if they take long, and commits them as one.
   *
   * @return how many are over, one way or the other
   */
  private int commit(List<Job<?>> group) {
    List<Runnable> tell = new ArrayList<>();
    Engine.Writing writing = null;
    try {
      writing = engine.begin();
      long end = System.nanoTime() + BATCH_MAX.toNanos();
      writing.batch().expect(group.stream().flatMap(j -> j.entries.stream()).toList());
      while (tell.size() < group.size() && (tell.isEmpty() || System.nanoTime() < end)) {
        tell.add(runJob(group.get(tell.size()), writing));
      }
      writing.batch().flush();
      Chain chain = writing.batch().chain();
      long commits = engine.commit(writing);
      writing.batch().committed();
      writeHead(new Head(commits, chain.seq(), chain.hex()));
    } catch (SQLException | Engine.UnknownOutcomeException | RuntimeException e) {
      engine.rollback();
      if (writing != null) {
        writing.batch().lost();
      }
      StoreException failure =
          e instanceof StoreException known ? known : new StoreException("committing", e);
      group.forEach(job -> job.done.completeExceptionally(failure));
      return group.size();
    }
    tell.forEach(Runnable::run);
    return tell.size();
  }

  /** A head that lags behind is no damage: it says only what must at least be there. */
  private void writeHead(Head next) {
    try {
      next.writeTo(head);
    } catch (IOException e) {
      System.err.println("gridtie: cannot write ledger.head: " + e.getMessage());
    }
  }

  /**
   * Runs one of a group. What it throws is its own affair, and the others' too only where the
   * database has failed under it.
   */
  private static <T extends @Nullable Object> Runnable runJob(Job<T> job, Engine.Writing writing)
      throws SQLException {
    LedgerTx log = writing.batch().transaction();
    if (job.isOnlyEntries()) {
      try {
        T result = job.work.run(writing.connection(), log);
        writing.batch().keep(log);
        return () -> job.done.complete(result);
      } catch (RefusedException e) {
        return () -> job.done.completeExceptionally(e);
      }
    }
    execute(writing.connection(), "SAVEPOINT job");
    try {
      T result = job.work.run(writing.connection(), log);
      execute(writing.connection(), "RELEASE SAVEPOINT job");
      writing.batch().keep(log);
      return () -> job.done.complete(result);
    } catch (SQLException | RefusedException | RuntimeException e) {
      execute(writing.connection(), "ROLLBACK TO SAVEPOINT job");
      execute(writing.connection(), "RELEASE SAVEPOINT job");
      return () -> job.done.completeExceptionally(e);
    }
  }

  private static void execute(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  /** Finishes what waits, and lets the database go. */
  @Override
  public void close() {
    closing = true;
    try {
      thread.join();
      engine.close();
      head.close();
    } catch (IOException e) {
      throw new StoreException("closing " + where, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
