package dev.gridtie.gateway.account;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.till.Beside;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.StoreException;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The keys of a home, apart from the ledger, so that the command line can make and revoke them
 * while a gateway runs. Used by one thread at a time.
 */
public final class KeyStore implements AutoCloseable {
  /** How many keys one home may hold. */
  public static final int KEYS_MAX = 100_000;

  private static final String TABLE =
      "CREATE TABLE IF NOT EXISTS key (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE,"
          + " label TEXT NOT NULL, limits TEXT NOT NULL, created INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT";

  private final Beside beside;

  private KeyStore(Beside beside) {
    this.beside = beside;
  }

  /**
   * Opens the keys that belong to a ledger, making their table where it is missing.
   *
   * @throws StoreException where they cannot be opened
   */
  public static KeyStore open(Location ledger) {
    return new KeyStore(Beside.open(ledger, List.of(TABLE)));
  }

  private Connection connection() throws SQLException {
    return beside.connection();
  }

  private String table() {
    return beside.isOnPostgres() ? "api_key" : "key";
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

  /**
   * Has another store hold these keys and no others: what it held from an earlier time may have
   * been revoked since.
   */
  public void copyTo(KeyStore other) {
    try (Statement forget = other.connection().createStatement()) {
      int unused = forget.executeUpdate("DELETE FROM " + other.table());
    } catch (SQLException e) {
      throw other.failed(e);
    }
    for (ApiKey key : all()) {
      boolean unused = other.add(key);
    }
  }

  /** A number that changes whenever another process has changed the keys. */
  long version() {
    String changes = // each key is added once and revoked once
        beside.isOnPostgres()
            ? "SELECT count(*) + coalesce(sum(revoked), 0) FROM api_key"
            : "PRAGMA data_version";
    try (Statement select = connection().createStatement();
        ResultSet row = select.executeQuery(changes)) {
      return row.next() ? row.getLong(1) : 0;
    } catch (SQLException e) {
      throw failed(e);
    }
  }

  private StoreException failed(SQLException e) {
    return beside.failed("the keys", e);
  }

  @Override
  public void close() {
    beside.close();
  }
}
