package dev.gridtie.ledger;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.sqlite.SQLiteConfig;

/** One SQLite file, sealed whenever its write-ahead log is carried over into it. */
final class SqliteEngine implements Engine {
  /**
   * The write-ahead log is carried over into the file from this size on, or a quarter of the file
   * if that is more.
   */
  private static final long WAL_BYTES = 4L * 1024 * 1024;

  private final Path file;
  private final FileChannel lockChannel;
  private final Connection reader;
  private final Writing writing;
  private final ReentrantLock reading = new ReentrantLock();
  private long commits;

  private SqliteEngine(Path file, FileChannel lockChannel, Connection writer, Connection reader)
      throws SQLException {
    this.file = file;
    this.lockChannel = lockChannel;
    this.reader = reader;
    this.writing = new Writing(writer, new Batch(writer));
    this.commits = writing.batch().tables().commits();
  }

  /**
   * Opens the file, creating it where it is missing, for this process alone.
   *
   * @throws StoreException where another process has it, it cannot be opened, or it has lost
   *     entries
   */
  static SqliteEngine open(Location.OnFile where, List<Migrations> migrations) {
    Path file = where.file();
    try {
      FileChannel lockChannel =
          FileChannel.open(
              file.resolveSibling("ledger.lock"),
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE);
      requireLock(lockChannel, file);
      Optional<Head> before = Head.read(where.head());
      if (Files.exists(file) && !Files.exists(Seal.path(file))) {
        // Ended in the middle of carrying the log over. What the seal would have shown, the replay
        // shows.
        Optional<String> problem = Verifier.checkLogic(where);
        if (problem.isPresent()) {
          throw new StoreException("the ledger is damaged: " + problem.get());
        }
      }
      Connection writer = connect(file);
      Seal.lift(file);
      migrations.forEach(m -> m.runOn(where));
      Head now = new LedgerReader(writer).head();
      if (before.isPresent()
          && (before.get().commit() > now.commit() || before.get().seq() > now.seq())) {
        throw new StoreException(
            "the ledger has lost entries: it holds "
                + now.seq()
                + " and had "
                + before.get().seq()
                + ". Restore ledger.db with its -wal file");
      }
      carryOver(file, writer);
      return new SqliteEngine(file, lockChannel, writer, connect(file));
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

  @Override
  public Writing begin() throws SQLException {
    execute(writing.connection(), "BEGIN IMMEDIATE");
    writing.batch().begin(writing.batch().tables().chain());
    return writing;
  }

  @Override
  public long commit(Writing ours) throws SQLException {
    ours.batch().tables().setCommits(commits + 1);
    execute(ours.connection(), "COMMIT");
    commits++;
    return commits;
  }

  @Override
  public void rollback() {
    try {
      execute(writing.connection(), "ROLLBACK");
    } catch (SQLException e) {
      // A failed commit has rolled back already; the next BEGIN tells if not.
    }
  }

  @Override
  public <T extends @Nullable Object> T read(Database.Query<T> query) throws SQLException {
    reading.lock();
    try {
      execute(reader, "BEGIN");
      try {
        return query.run(reader);
      } finally {
        execute(reader, "ROLLBACK");
      }
    } finally {
      reading.unlock();
    }
  }

  /** Carries the log over if it is large. */
  @Override
  public void rest() {
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
      carryOver(file, writing.connection());
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

  /** Carries the log over, seals the file, and lets other processes have it. */
  @Override
  public void close() {
    try {
      carryOverNow();
      reader.close();
      Seal.lift(file);
      writing.connection().close();
      Seal.write(file);
      lockChannel.close();
    } catch (SQLException | IOException e) {
      throw new StoreException("closing " + file, e);
    }
  }
}
