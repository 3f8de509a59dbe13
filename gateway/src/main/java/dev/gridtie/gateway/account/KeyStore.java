package dev.gridtie.gateway.account;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.StoreException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The keys of a home, apart from the ledger, so that the command line can make and revoke them
 * while a gateway runs. Used by one thread at a time.
 */
public final class KeyStore implements AutoCloseable {
  /** How many keys one home may hold. */
  public static final int KEYS_MAX = 100_000;

  private final Location where;
  private @Nullable Connection connection;

  private KeyStore(Location where) {
    this.where = where;
  }

  private static Path file(Location.OnFile ledger) {
    return ledger.file().resolveSibling("accounts.db");
  }

  /**
   * Opens the keys that belong to a ledger, making their table where it is missing: a file beside a
   * ledger in a file, a table beside one on PostgreSQL.
   *
   * @throws StoreException where they cannot be opened
   */
  public static KeyStore open(Location ledger) {
    KeyStore store = new KeyStore(ledger);
    try {
      if (ledger instanceof Location.OnPostgres) {
        GatewayTables.MIGRATIONS.runOn(ledger);
      }
      Connection unused = store.connection();
      return store;
    } catch (SQLException e) {
      throw new StoreException("the keys beside " + ledger + " cannot be opened", e);
    }
  }

  private Connection connection() throws SQLException {
    Connection known = connection;
    if (known != null && !known.isClosed()) {
      return known;
    }
    Connection fresh =
        switch (where) {
          case Location.OnPostgres postgres -> postgres.connect();
          case Location.OnFile ledger -> {
            Connection opened = DriverManager.getConnection("jdbc:sqlite:" + file(ledger));
            try (Statement statement = opened.createStatement()) {
              statement.execute("PRAGMA busy_timeout = 5000");
              statement.execute("PRAGMA journal_mode = WAL");
              statement.execute("PRAGMA synchronous = FULL");
              statement.execute(
                  "CREATE TABLE IF NOT EXISTS key (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE,"
                      + " label TEXT NOT NULL, limits TEXT NOT NULL, created INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT");
            }
            yield opened;
          }
        };
    connection = fresh;
    return fresh;
  }

  private String table() {
    return where instanceof Location.OnPostgres ? "api_key" : "key";
  }

  /**
   * Adds a key.
   *
   * @return whether its name was free
   */
  public boolean add(ApiKey key) {
    try (PreparedStatement insert =
        connection()
            .prepareStatement(
                "INSERT INTO "
                    + table()
                    + " (id, name, hash, label, limits, created, revoked)"
                    + " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")) {
      if (all().size() >= KEYS_MAX) {
        throw new StoreException(
            "there are " + KEYS_MAX + " keys already", new SQLException("full"));
      }
      insert.setString(1, key.id());
      insert.setString(2, key.name());
      insert.setString(3, key.hash());
      insert.setString(4, key.label());
      insert.setString(5, Json.write(key.limits().toJson()));
      insert.setLong(6, key.created().toEpochMilli());
      insert.setInt(7, key.revoked() ? 1 : 0);
      return insert.executeUpdate() == 1;
    } catch (SQLException e) {
      throw failed(e);
    }
  }

  /** Revokes a key by its name or id; whether there was one to revoke. */
  public boolean revoke(String nameOrId) {
    try (PreparedStatement update =
        connection()
            .prepareStatement(
                "UPDATE "
                    + table()
                    + " SET revoked = 1 WHERE (name = ? OR id = ?) AND revoked = 0")) {
      update.setString(1, nameOrId);
      update.setString(2, nameOrId);
      return update.executeUpdate() == 1;
    } catch (SQLException e) {
      throw failed(e);
    }
  }

  public Optional<ApiKey> find(String nameOrId) {
    return all().stream()
        .filter(k -> k.name().equals(nameOrId) || k.id().equals(nameOrId))
        .findFirst();
  }

  public List<ApiKey> all() {
    List<ApiKey> keys = new ArrayList<>();
    try (Statement select = connection().createStatement();
        ResultSet row = select.executeQuery("SELECT * FROM " + table() + " ORDER BY created, id")) {
      while (row.next()) {
        keys.add(
            new ApiKey(
                row.getString("id"),
                row.getString("name"),
                row.getString("hash"),
                row.getString("label"),
                KeyLimits.fromJson(Json.trusted(row.getString("limits"))),
                Instant.ofEpochMilli(row.getLong("created")),
                row.getInt("revoked") == 1));
      }
      return keys;
    } catch (SQLException e) {
      throw failed(e);
    }
  }

  /** A number that changes whenever another process has changed the keys. */
  long version() {
    String changes = // each key is added once and revoked once
        where instanceof Location.OnPostgres
            ? "SELECT count(*) + coalesce(sum(revoked), 0) FROM api_key"
            : "PRAGMA data_version";
    try (Statement select = connection().createStatement();
        ResultSet row = select.executeQuery(changes)) {
      return row.next() ? row.getLong(1) : 0;
    } catch (SQLException e) {
      throw failed(e);
    }
  }

  /** A connection that has failed is made again by whoever comes next. */
  private StoreException failed(SQLException e) {
    if (where instanceof Location.OnPostgres) {
      close();
      connection = null;
    }
    return new StoreException("the keys cannot be read or written: " + e.getMessage(), e);
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
