package dev.gridtie.gateway.till;

import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.StoreException;
import java.sql.Connection;
import java.sql.DriverManager;
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
          case Location.OnFile ledger -> file(ledger);
        };
    connection = fresh;
    return fresh;
  }

  private Connection file(Location.OnFile ledger) throws SQLException {
    Connection opened =
        DriverManager.getConnection("jdbc:sqlite:" + ledger.file().resolveSibling("accounts.db"));
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
