package dev.gridtie.gateway.till;

import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.StoreException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What is kept beside the ledger, so that the command line can change it while a gateway runs: a
 * file beside a ledger in a file, tables beside one on PostgreSQL. Used by one thread at a time.
 */
public final class Beside implements AutoCloseable {
  private final Location where;
  private final List<String> tables;
  private @Nullable Connection connection;

  private Beside(Location where, List<String> tables) {
    this.where = where;
    this.tables = List.copyOf(tables);
  }

  /**
   * Opens it, making what is missing.
   *
   * @param tables the statements that make them in a file; on PostgreSQL migrations do
   * @throws StoreException where it cannot be opened
   */
  public static Beside open(Location ledger, List<String> tables) {
    Beside beside = new Beside(ledger, tables);
    try {
      if (beside.isOnPostgres()) {
        GatewayTables.MIGRATIONS.runOn(ledger);
      }
      Connection unused = beside.connection();
      return beside;
    } catch (SQLException e) {
      throw new StoreException("what is kept beside " + ledger + " cannot be opened", e);
    }
  }

  /** The file beside a ledger in a file. */
  private static Path file(Location.OnFile ledger) {
    return ledger.file().resolveSibling("accounts.db");
  }

  /**
   * Copies the file beside a ledger in a file as it is at one instant, while others write it; where
   * there is none, there is none to copy.
   *
   * @throws StoreException where it cannot be read or written
   */
  public static void copy(Location.OnFile from, Location.OnFile to) {
    if (!Files.exists(file(from))) {
      return;
    }
    try (Connection connection = DriverManager.getConnection("jdbc:sqlite:" + file(from));
        PreparedStatement into = connection.prepareStatement("VACUUM INTO ?")) {
      try (Statement settings = connection.createStatement()) {
        boolean unused = settings.execute("PRAGMA busy_timeout = 5000");
      }
      into.setString(1, file(to).toString());
      boolean unused = into.execute();
    } catch (SQLException e) {
      throw new StoreException("copying " + file(from), e);
    }
  }

  /**
   * Brings the rows of a ledger's copy that came from PostgreSQL, where keys and pools stand in the
   * ledger's own database, to where a ledger in a file has them.
   *
   * @param ledger a copy that nobody uses yet; the tables beside it are there, and empty
   */
  public static void fill(Location.OnFile ledger) {
    try (Connection connection = DriverManager.getConnection("jdbc:sqlite:" + file(ledger));
        PreparedStatement attach = connection.prepareStatement("ATTACH ? AS copied");
        Statement move = connection.createStatement()) {
      attach.setString(1, ledger.file().toString());
      boolean attached = attach.execute();
      for (String sql :
          List.of(
              "INSERT INTO key (id, name, hash, label, limits, created, revoked)"
                  + " SELECT id, name, hash, label, limits, created, revoked FROM copied.api_key",
              "INSERT INTO pool (name, shared, vouched, created, closed)"
                  + " SELECT name, shared, vouched, created, closed FROM copied.pool",
              "INSERT INTO pool_invitation (id, pool, label, node, created, expires, revoked)"
                  + " SELECT id, pool, label, node, created, expires, revoked"
                  + " FROM copied.pool_invitation")) {
        int unused = move.executeUpdate(sql);
      }
    } catch (SQLException e) {
      throw new StoreException("copying what is kept beside " + ledger, e);
    }
  }

  public boolean isOnPostgres() {
    return where instanceof Location.OnPostgres;
  }

  public Connection connection() throws SQLException {
    Connection known = connection;
    if (known != null && !known.isClosed()) {
      return known;
    }
    Connection fresh =
        switch (where) {
          case Location.OnPostgres postgres -> postgres.connect();
          case Location.OnFile ledger -> opened(ledger);
        };
    connection = fresh;
    return fresh;
  }

  private Connection opened(Location.OnFile ledger) throws SQLException {
    Connection opened = DriverManager.getConnection("jdbc:sqlite:" + file(ledger));
    try (Statement statement = opened.createStatement()) {
      statement.execute("PRAGMA busy_timeout = 5000");
      statement.execute("PRAGMA journal_mode = WAL");
      statement.execute("PRAGMA synchronous = FULL");
      for (String table : tables) {
        statement.execute(table);
      }
    }
    return opened;
  }

  /** A connection that has failed is made again by whoever comes next. */
  public StoreException failed(String what, SQLException e) {
    if (isOnPostgres()) {
      close();
      connection = null;
    }
    return new StoreException(what + " cannot be read or written: " + e.getMessage(), e);
  }

  @Override
  public void close() {
    Connection known = connection;
    if (known != null) {
      try {
        known.close();
      } catch (SQLException e) {
        // What was acknowledged is written.
      }
    }
  }
}
