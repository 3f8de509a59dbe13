package dev.gridtie.gateway.account;

import dev.gridtie.base.Json;
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

/**
 * The keys in a home, in a file of their own, so that the command line can make and revoke them
 * while a gateway runs. Used by one thread at a time.
 */
public final class KeyStore implements AutoCloseable {
  /** How many keys one home may hold. */
  public static final int KEYS_MAX = 100_000;

  private final Connection connection;

  private KeyStore(Connection connection) {
    this.connection = connection;
  }

  public static Path file(Path home) {
    return home.resolve("accounts.db");
  }

  /**
   * Opens the file, creating it where it is missing.
   *
   * @throws StoreException where it cannot be opened
   */
  public static KeyStore open(Path file) {
    try {
      Connection connection = DriverManager.getConnection("jdbc:sqlite:" + file);
      try (Statement statement = connection.createStatement()) {
        statement.execute("PRAGMA busy_timeout = 5000");
        statement.execute("PRAGMA journal_mode = WAL");
        statement.execute("PRAGMA synchronous = FULL");
        statement.execute(
            "CREATE TABLE IF NOT EXISTS key (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE,"
                + " label TEXT NOT NULL, limits TEXT NOT NULL, created INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT");
      }
      return new KeyStore(connection);
    } catch (SQLException e) {
      throw new StoreException("the keys in " + file + " cannot be opened", e);
    }
  }

  /**
   * Adds a key.
   *
   * @return whether its name was free
   */
  public boolean add(ApiKey key) {
    try (PreparedStatement insert =
        connection.prepareStatement(
            "INSERT OR IGNORE INTO key (id, name, hash, label, limits, created, revoked) VALUES (?, ?, ?, ?, ?, ?, 0)")) {
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
      return insert.executeUpdate() == 1;
    } catch (SQLException e) {
      throw failed(e);
    }
  }

  /** Revokes a key by its name or id; whether there was one to revoke. */
  public boolean revoke(String nameOrId) {
    try (PreparedStatement update =
        connection.prepareStatement(
            "UPDATE key SET revoked = 1 WHERE (name = ? OR id = ?) AND revoked = 0")) {
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
    try (Statement select = connection.createStatement();
        ResultSet row = select.executeQuery("SELECT * FROM key ORDER BY created, id")) {
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

  /** A number that changes whenever another process has changed the file. */
  long version() {
    try (Statement select = connection.createStatement();
        ResultSet row = select.executeQuery("PRAGMA data_version")) {
      return row.next() ? row.getLong(1) : 0;
    } catch (SQLException e) {
      throw failed(e);
    }
  }

  private static StoreException failed(SQLException e) {
    return new StoreException("the keys cannot be read or written: " + e.getMessage(), e);
  }

  @Override
  public void close() {
    try {
      connection.close();
    } catch (SQLException e) {
      throw failed(e);
    }
  }
}
