package dev.gridtie.ledger;

import dev.gridtie.base.Secret;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;

/** Where a ledger is kept. */
public sealed interface Location {
  /** How far the ledger had come, as this home knows it. */
  Path head();

  /** One SQLite file, which one process writes. */
  record OnFile(Path file) implements Location {
    @Override
    public Path head() {
      return file.resolveSibling("ledger.head");
    }

    @Override
    public String toString() {
      return file.toString();
    }
  }

  /**
   * A PostgreSQL database, which several processes write.
   *
   * @param url as JDBC takes it, such as {@code jdbc:postgresql://host/gridtie}; several hosts with
   *     {@code targetServerType=primary} for fail-over
   * @param head in a home of this process alone
   */
  record OnPostgres(String url, String user, Secret password, Path head) implements Location {
    /** A connection of one's own, in autocommit. */
    public Connection connect() throws SQLException {
      return DriverManager.getConnection(url, PostgresEngine.properties(this));
    }

    @Override
    public String toString() {
      int query = url.indexOf('?'); // a careless one has the password in it
      return query < 0 ? url : url.substring(0, query);
    }
  }

  /** The ledger's file in a home. */
  static Location in(Path home) {
    return new OnFile(home.resolve("ledger.db"));
  }
}
