package dev.gridtie.ledger;

import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.sqlite.SQLiteConfig;

/**
 * The one SQLite file that holds the ledger and whatever must change in the same instant. One
 * writer thread owns the writing connection and commits what has queued up together; what a caller
 * was told is done is on the disk.
 */
public final class Database implements AutoCloseable {
  /** How many transactions may wait for the writer. */
  public static final int QUEUE_MAX = 4096;

  /** How many transactions are committed together. */
  private static final int GROUP_MAX = 256;

  /**
   * The write-ahead log is carried over into the file from this size on, or a quarter of the file
   * if that is more.
   */
  private static final long WAL_BYTES = 4L * 1024 * 1024;

  private final Path file;
  private final FileChannel lockChannel;
  private final Connection writer;
  private final Connection reader;
  private final FileChannel head;
  private final BlockingQueue<Job<?>> queue = new ArrayBlockingQueue<>(QUEUE_MAX);
  private final ReentrantLock reading = new ReentrantLock();
  private final Thread thread;
  private volatile boolean closing;
  private long commits;

  /** Work inside one transaction. */
  public interface Work<T> {
    T run(Connection connection) throws SQLException, RefusedException;
  }

  /** Reading inside one snapshot. */
  public interface Query<T> {
    T run(Connection connection) throws SQLException;
  }

  private record Job<T extends @Nullable Object>(Work<T> work, CompletableFuture<T> done) {}

  /** Creates tables that are not there yet. */
  public interface Schema {
    List<String> statements();
  }

  private static final List<String> OWN_SCHEMA =
      List.of(
          "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
          "CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL,"
              + " hash BLOB NOT NULL) STRICT",
          "CREATE TABLE IF NOT EXISTS account (id TEXT PRIMARY KEY, credit_only INTEGER NOT NULL,"
              + " debits_pending TEXT NOT NULL, debits_posted TEXT NOT NULL, credits_pending TEXT NOT NULL,"
              + " credits_posted TEXT NOT NULL) STRICT, WITHOUT ROWID",
          "CREATE TABLE IF NOT EXISTS hold (id TEXT PRIMARY KEY, ended INTEGER NOT NULL) STRICT, WITHOUT ROWID",
          "INSERT OR IGNORE INTO meta (key, value) VALUES ('schema', 1), ('commits', 0)");

  private Database(
      Path file,
      FileChannel lockChannel,
      Connection writer,
      Connection reader,
      FileChannel head,
      long commits) {
    this.file = file;
    this.lockChannel = lockChannel;
    this.writer = writer;
    this.reader = reader;
    this.head = head;
    this.commits = commits;
    this.thread = Thread.ofPlatform().name("ledger-writer").daemon(true).start(this::run);
  }

  /** The ledger's file in a home. */
  public static Path file(Path home) {
    return home.resolve("ledger.db");
  }

  /**
   * Opens the database, creating it where it is missing, for this process alone.
   *
   * @param schema tables of others, kept in the same file
   * @throws StoreException where another process has it, it cannot be opened, or it has lost
   *     entries
   */
  public static Database open(Path file, Schema schema) {
    try {
      FileChannel lockChannel =
          FileChannel.open(
              file.resolveSibling("ledger.lock"),
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE);
      requireLock(lockChannel, file);
      Optional<Head> before = Head.read(file);
      boolean fresh = !Files.exists(file);
      if (!fresh && !Files.exists(Seal.path(file))) {
        // Ended in the middle of carrying the log over. What the seal would have shown, the replay
        // shows.
        Optional<String> problem = Verifier.checkLogic(file);
        if (problem.isPresent()) {
          throw new StoreException("the ledger is damaged: " + problem.get());
        }
      }
      Connection writer = connect(file);
      for (String statement : OWN_SCHEMA) {
        execute(writer, statement);
      }
      for (String statement : schema.statements()) {
        extend(writer, statement);
      }
      long commits = commits(writer);
      LedgerTx log = new LedgerTx(writer);
      if (before.isPresent()
          && (before.get().commit() > commits || before.get().seq() > log.size())) {
        throw new StoreException(
            "the ledger has lost entries: it holds "
                + log.size()
                + " and had "
                + before.get().seq()
                + ". Restore ledger.db with its -wal file");
      }
      FileChannel head = Head.open(file);
      new Head(commits, log.size(), HexFormat.of().formatHex(log.headHash())).writeTo(head);
      carryOver(file, writer);
      return new Database(file, lockChannel, writer, connect(file), head, commits);
    } catch (SQLException | IOException e) {
      throw new StoreException("opening " + file, e);
    }
  }

  private static void requireLock(FileChannel channel, Path file) throws IOException {
    FileLock lock;
    try {
      lock = channel.tryLock();
    } catch (OverlappingFileLockException e) {
      lock = null;
    }
    if (lock == null) {
      channel.close();
      throw new StoreException(
          file + " is in use by another gridtie; stop that one, or choose another --home");
    }
  }

  private static Connection connect(Path file) throws SQLException {
    SQLiteConfig config = new SQLiteConfig();
    config.setPageSize(Seal.PAGE_BYTES);
    config.setJournalMode(SQLiteConfig.JournalMode.WAL);
    config.setSynchronous(SQLiteConfig.SynchronousMode.FULL);
    config.setBusyTimeout(10_000);
    Connection connection = config.createConnection("jdbc:sqlite:" + file);
    execute(connection, "PRAGMA wal_autocheckpoint = 0");
    return connection;
  }

  private static void execute(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  /** As {@link #execute}; a column that is there already is left, as a table is. */
  private static void extend(Connection connection, String sql) throws SQLException {
    try {
      execute(connection, sql);
    } catch (SQLException e) {
      String why = String.valueOf(e.getMessage());
      if (!sql.startsWith("ALTER TABLE") || !why.contains("duplicate column name")) {
        throw e;
      }
    }
  }

  /** How many transactions were committed. */
  static long commits(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT value FROM meta WHERE key = 'commits'")) {
      return row.next() ? row.getLong(1) : 0;
    }
  }

  /**
   * Runs work in a transaction and returns once it is durable.
   *
   * @throws RefusedException what the work threw; nothing of it was kept
   * @throws StoreException where the database failed; nothing of it was kept
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
    CompletableFuture<T> done = new CompletableFuture<>();
    if (closing || !queue.offer(new Job<>(work, done))) {
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
    reading.lock();
    try {
      return query.run(reader);
    } catch (SQLException e) {
      throw new StoreException("reading the ledger", e);
    } finally {
      reading.unlock();
    }
  }

  private void run() {
    List<Job<?>> group = new ArrayList<>();
    while (true) {
      try {
        Job<?> first = queue.poll(100, TimeUnit.MILLISECONDS);
        if (first == null) {
          if (closing) {
            return;
          }
          continue;
        }
        group.add(first);
        queue.drainTo(group, GROUP_MAX - 1);
        commit(group);
      } catch (InterruptedException e) {
        return;
      } finally {
        group.clear();
      }
    }
  }

  /** Runs a group, each job in a savepoint of its own, and commits it as one. */
  private void commit(List<Job<?>> group) {
    List<Runnable> tell = new ArrayList<>();
    try {
      execute(writer, "BEGIN IMMEDIATE");
      for (Job<?> job : group) {
        tell.add(runJob(job));
      }
      try (PreparedStatement count =
          writer.prepareStatement("UPDATE meta SET value = ? WHERE key = 'commits'")) {
        count.setLong(1, commits + 1);
        count.executeUpdate();
      }
      LedgerTx log = new LedgerTx(writer);
      Head next = new Head(commits + 1, log.size(), HexFormat.of().formatHex(log.headHash()));
      execute(writer, "COMMIT");
      commits++;
      writeHead(next);
    } catch (SQLException | RuntimeException e) {
      rollback();
      StoreException failure = new StoreException("committing to the ledger", e);
      group.forEach(job -> job.done.completeExceptionally(failure));
      return;
    }
    tell.forEach(Runnable::run);
    carryOverIfLarge();
  }

  /** A head that lags behind is no damage: it says only what must at least be there. */
  private void writeHead(Head next) {
    try {
      next.writeTo(head);
    } catch (IOException e) {
      System.err.println("gridtie: cannot write ledger.head: " + e.getMessage());
    }
  }

  private <T extends @Nullable Object> Runnable runJob(Job<T> job) throws SQLException {
    execute(writer, "SAVEPOINT job");
    try {
      T result = job.work.run(writer);
      execute(writer, "RELEASE job");
      return () -> job.done.complete(result);
    } catch (SQLException | RefusedException | RuntimeException e) {
      execute(writer, "ROLLBACK TO job");
      execute(writer, "RELEASE job");
      return () -> job.done.completeExceptionally(e);
    }
  }

  private void rollback() {
    try {
      execute(writer, "ROLLBACK");
    } catch (SQLException e) {
      // A failed commit has rolled back already; the next BEGIN tells if not.
    }
  }

  private void carryOverIfLarge() {
    try {
      Path wal = file.resolveSibling(file.getFileName() + "-wal");
      if (Files.exists(wal) && Files.size(wal) > Math.max(WAL_BYTES, Files.size(file) / 4)) {
        carryOverNow();
      }
    } catch (IOException | SQLException e) {
      // The log stays long; the next commit tries again, and close() at the latest.
    }
  }

  private void carryOverNow() throws IOException, SQLException {
    reading.lock();
    try {
      carryOver(file, writer);
    } finally {
      reading.unlock();
    }
  }

  /**
   * Carries the write-ahead log over into the file and seals the file. Between transactions only.
   */
  private static void carryOver(Path file, Connection writer) throws IOException, SQLException {
    Seal.lift(file);
    execute(writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    Seal.write(file);
  }

  /**
   * Finishes what waits, carries the log over, seals the file, and lets other processes have it.
   */
  @Override
  public void close() {
    closing = true;
    try {
      thread.join();
      carryOverNow();
      reader.close();
      Seal.lift(file);
      writer.close();
      Seal.write(file);
      head.close();
      lockChannel.close();
    } catch (SQLException | IOException e) {
      throw new StoreException("closing " + file, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
