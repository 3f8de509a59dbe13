package dev.gridtie.ledger;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.IOException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import org.jspecify.annotations.Nullable;
import org.postgresql.PGProperty;

/**
 * A PostgreSQL database that several gateways write, one batch at a time: whoever holds the lock
 * appends, so there is one log. A connection that is lost is made again; whether the commit that
 * was under way was kept is asked of the database, in which every writer counts its own.
 */
final class PostgresEngine implements Engine {
  /** The advisory lock of whoever writes: "gridtie" in ASCII. */
  private static final long LOCK = 0x67726964746965L;

  private static final String LOCK_NOT_AVAILABLE = "55P03";

  private static final int READERS_MAX = 8;

  /** How long a writer waits for the others. */
  private static final Duration LOCK_PATIENCE = Duration.ofSeconds(10);

  /** After this a writer that stands still in a transaction loses it to the others. */
  private static final Duration IDLE_MAX = Duration.ofSeconds(8);

  private static final Duration CONNECT_PATIENCE = Duration.ofSeconds(5);

  private static final Duration ANSWER_PATIENCE = Duration.ofSeconds(60);

  /** How long a lost commit is asked about. */
  private static final Duration OUTCOME_PATIENCE = Duration.ofSeconds(30);

  private static final Duration ASK_AGAIN_AFTER = Duration.ofMillis(250);

  /** Writers that were not seen for so long are forgotten. */
  private static final Duration WRITERS_KEPT = Duration.ofDays(1);

  private final Location.OnPostgres where;
  private final String writerId;
  private final InstantSource clock;
  private final HikariDataSource readers;

  /** What was last known to be durable; a database that has less has lost entries. */
  private Chain durable;

  private @Nullable Writing writing;

  /** Whether the connection is new, and what it shows is to be compared with what was durable. */
  private boolean fresh;

  private long commits;

  private PostgresEngine(
      Location.OnPostgres where,
      String writerId,
      InstantSource clock,
      HikariDataSource readers,
      Chain durable) {
    this.where = where;
    this.writerId = writerId;
    this.clock = clock;
    this.readers = readers;
    this.durable = durable;
  }

  /**
   * Opens the database, making its tables where they are missing.
   *
   * @param writerId this process's, never used before
   * @throws StoreException where it cannot be reached, does not keep what it acknowledges, or has
   *     lost entries that this home knows of
   */
  static PostgresEngine open(
      Location.OnPostgres where,
      List<Migrations> migrations,
      String writerId,
      InstantSource clock) {
    try {
      migrations.forEach(m -> m.runOn(where));
      HikariDataSource readers = readers(where);
      Chain known = Chain.START;
      Optional<Head> before = Head.read(where.head());
      if (before.isPresent()) {
        known = before.get().chain();
      }
      PostgresEngine engine = new PostgresEngine(where, writerId, clock, readers, known);
      try {
        engine.check();
      } catch (SQLException | RuntimeException e) {
        engine.close();
        throw e;
      }
      return engine;
    } catch (SQLException | IOException e) {
      throw new StoreException("opening " + where, e);
    }
  }

  private static HikariDataSource readers(Location.OnPostgres where) {
    HikariConfig config = new HikariConfig();
    config.setPoolName("ledger-readers");
    config.setJdbcUrl(where.url());
    config.setDataSourceProperties(properties(where));
    config.setMaximumPoolSize(READERS_MAX);
    config.setMinimumIdle(1);
    config.setAutoCommit(false);
    config.setReadOnly(true);
    config.setTransactionIsolation("TRANSACTION_REPEATABLE_READ");
    config.setConnectionTimeout(CONNECT_PATIENCE.toMillis());
    config.setInitializationFailTimeout(CONNECT_PATIENCE.toMillis());
    return new HikariDataSource(config);
  }

  static Properties properties(Location.OnPostgres where) {
    Properties properties = new Properties();
    PGProperty.USER.set(properties, where.user());
    PGProperty.PASSWORD.set(properties, where.password().reveal());
    PGProperty.CONNECT_TIMEOUT.set(properties, (int) CONNECT_PATIENCE.toSeconds());
    PGProperty.SOCKET_TIMEOUT.set(properties, (int) ANSWER_PATIENCE.toSeconds());
    PGProperty.TCP_KEEP_ALIVE.set(properties, true);
    PGProperty.REWRITE_BATCHED_INSERTS.set(properties, true);
    PGProperty.PREPARE_THRESHOLD.set(properties, 3);
    PGProperty.APPLICATION_NAME.set(properties, "gridtie");
    return properties;
  }

  /** A snapshot of the database, for those who only look. */
  static Connection snapshot(Location.OnPostgres where) throws SQLException {
    Connection connection = DriverManager.getConnection(where.url(), properties(where));
    connection.setAutoCommit(false);
    connection.setReadOnly(true);
    connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
    return connection;
  }

  /** What it acknowledges must be on its disk, and what this home knows of must be there. */
  private void check() throws SQLException {
    Writing first = begin();
    for (String setting : List.of("fsync", "synchronous_commit", "full_page_writes")) {
      if (value(first.connection(), "SHOW " + setting).equals("off")) {
        throw new StoreException(
            where + " has " + setting + " = off and may lose what it acknowledged; switch it on");
      }
    }
    try (PreparedStatement forget =
        first.connection().prepareStatement("DELETE FROM writer WHERE seen < ?")) {
      forget.setLong(1, clock.instant().minus(WRITERS_KEPT).toEpochMilli());
      int unused = forget.executeUpdate();
    }
    first.connection().commit();
  }

  private static String value(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      return row.next() ? row.getString(1) : "";
    }
  }

  private Writing connected() throws SQLException {
    Writing known = writing;
    if (known == null) {
      Connection connection = DriverManager.getConnection(where.url(), properties(where));
      try (Statement statement = connection.createStatement()) {
        statement.execute("SET lock_timeout = " + LOCK_PATIENCE.toMillis());
        statement.execute("SET idle_in_transaction_session_timeout = " + IDLE_MAX.toMillis());
        connection.setAutoCommit(false);
      } catch (SQLException e) {
        connection.close();
        throw e;
      }
      known = new Writing(connection, new Batch(connection));
      writing = known;
      fresh = true;
    }
    return known;
  }

  /** A connection that was lost since the last transaction is made again, once. */
  @Override
  public Writing begin() throws SQLException {
    boolean isOld = writing != null;
    try {
      return beginOnce();
    } catch (SQLException e) {
      if (!isOld || LOCK_NOT_AVAILABLE.equals(e.getSQLState())) {
        throw e;
      }
      return beginOnce();
    }
  }

  private Writing beginOnce() throws SQLException {
    try {
      Writing ours = connected();
      Chain now = lockedChain(ours.connection());
      if (fresh) {
        requireNothingLost(ours, now);
        fresh = false;
      }
      ours.batch().begin(now);
      return ours;
    } catch (SQLException e) {
      drop();
      throw e;
    }
  }

  /** Takes the lock and looks where the log stands then, in one round trip. */
  private static Chain lockedChain(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      boolean isLock =
          statement.execute(
              "SELECT pg_advisory_xact_lock("
                  + LOCK
                  + "); SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1");
      if (!isLock || !statement.getMoreResults()) {
        throw new SQLException("the ledger's lock and its last entry were not answered");
      }
      try (ResultSet row = statement.getResultSet()) {
        return row.next() ? new Chain(row.getLong(1), row.getBytes(2)) : Chain.START;
      }
    }
  }

  private static void lock(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute("SELECT pg_advisory_xact_lock(" + LOCK + ")");
    }
  }

  private void requireNothingLost(Writing ours, Chain now) throws SQLException {
    Optional<Chain> there = ours.batch().tables().chainAt(durable.seq());
    if (there.isEmpty()) {
      throw new StoreException(
          "the ledger has lost entries: it holds "
              + now.seq()
              + " and had "
              + durable.seq()
              + ". Was it failed over to a standby that lagged, or restored from a backup?");
    }
    if (!there.get().equals(durable)) {
      throw new StoreException(
          "entry " + durable.seq() + " is not the one that was there: the ledger was rewritten");
    }
  }

  @Override
  public long commit(Writing ours) throws SQLException, UnknownOutcomeException {
    long next = commits + 1;
    long all = count(ours.connection(), next);
    Chain end = ours.batch().chain();
    try {
      ours.connection().commit();
    } catch (SQLException e) {
      drop();
      if (!wasKept(next, e)) {
        throw e;
      }
    }
    commits = next;
    durable = end;
    return all;
  }

  /** Counts this transaction, as one of all and as one of this writer's. */
  private long count(Connection connection, long ofThisWriter) throws SQLException {
    try (PreparedStatement count =
        connection.prepareStatement(
            "WITH mine AS (INSERT INTO writer (id, commits, seen) VALUES (?, ?, ?)"
                + " ON CONFLICT (id) DO UPDATE SET commits = excluded.commits, seen = excluded.seen)"
                + " UPDATE meta SET value = value + 1 WHERE key = 'commits' RETURNING value")) {
      count.setString(1, writerId);
      count.setLong(2, ofThisWriter);
      count.setLong(3, clock.millis());
      try (ResultSet row = count.executeQuery()) {
        if (!row.next()) {
          throw new SQLException("the ledger does not count its transactions");
        }
        return row.getLong(1);
      }
    }
  }

  /**
   * Asks the database whether it has kept a commit in which the connection was lost. The lock comes
   * only after the lost transaction has ended, one way or the other.
   */
  private boolean wasKept(long number, SQLException lost) throws UnknownOutcomeException {
    long deadline = System.nanoTime() + OUTCOME_PATIENCE.toNanos();
    while (true) {
      try {
        Writing again = connected();
        lock(again.connection());
        try (PreparedStatement select =
            again.connection().prepareStatement("SELECT commits FROM writer WHERE id = ?")) {
          select.setString(1, writerId);
          try (ResultSet row = select.executeQuery()) {
            boolean kept = row.next() && row.getLong(1) == number;
            again.connection().rollback();
            return kept;
          }
        }
      } catch (SQLException e) {
        drop();
        lost.addSuppressed(e);
      }
      if (System.nanoTime() > deadline || lost.getSuppressed().length > 1000) {
        throw new UnknownOutcomeException(lost);
      }
      try {
        Thread.sleep(ASK_AGAIN_AFTER);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new UnknownOutcomeException(lost);
      }
    }
  }

  private void drop() {
    Writing known = writing;
    writing = null;
    if (known != null) {
      try {
        known.connection().close();
      } catch (SQLException e) {
        // It is gone either way.
      }
    }
  }

  @Override
  public void rollback() {
    Writing known = writing;
    if (known != null) {
      try {
        known.connection().rollback();
      } catch (SQLException e) {
        drop();
      }
    }
  }

  @Override
  public <T extends @Nullable Object> T read(Database.Query<T> query) throws SQLException {
    try (Connection connection = readers.getConnection()) {
      try {
        return query.run(connection);
      } finally {
        connection.rollback();
      }
    }
  }

  @Override
  public void rest() {}

  @Override
  public void close() {
    drop();
    readers.close();
  }
}
