package dev.gridtie.gateway.nodes;

import dev.gridtie.gateway.till.Beside;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.StoreException;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Pools and invitations, beside the ledger. Methods are synchronized and block. */
public final class PoolStore implements AutoCloseable {
  /** How many pools, and invitations into each, there may be. */
  public static final int POOLS_MAX = 10_000;

  public static final int INVITATIONS_MAX = 10_000;

  private static final List<String> TABLES =
      List.of(
          "CREATE TABLE IF NOT EXISTS pool (name TEXT PRIMARY KEY, shared INTEGER NOT NULL,"
              + " vouched INTEGER NOT NULL, created INTEGER NOT NULL, closed INTEGER NOT NULL) STRICT",
          "CREATE TABLE IF NOT EXISTS pool_invitation (id TEXT PRIMARY KEY, pool TEXT NOT NULL,"
              + " label TEXT NOT NULL, node TEXT NOT NULL, created INTEGER NOT NULL,"
              + " expires INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT");

  private final Beside beside;

  /**
   * An invitation as it is kept.
   *
   * @param label whom it is for, for people to read
   * @param node the address that has used it; empty where nobody has
   */
  public record Kept(
      String id, String pool, String label, String node, Instant expires, boolean revoked) {}

  private PoolStore(Beside beside) {
    this.beside = beside;
  }

  public static PoolStore open(Location ledger) {
    return new PoolStore(Beside.open(ledger, TABLES));
  }

  private interface Use<T> {
    T of(PreparedStatement statement) throws SQLException;
  }

  private <T> T with(String sql, Use<T> use) {
    try (PreparedStatement statement = beside.connection().prepareStatement(sql)) {
      return use.of(statement);
    } catch (SQLException e) {
      throw failed(e);
    }
  }

  private StoreException failed(SQLException e) {
    return beside.failed("the pools", e);
  }

  /** Adds a pool; whether its name was free. */
  public synchronized boolean add(Pool pool) {
    if (pools().size() >= POOLS_MAX) {
      throw new StoreException(
          "there are " + POOLS_MAX + " pools already", new SQLException("full"));
    }
    return with(
        "INSERT INTO pool (name, shared, vouched, created, closed) VALUES (?, ?, ?, ?, ?)"
            + " ON CONFLICT DO NOTHING",
        s -> {
          s.setString(1, pool.name());
          s.setInt(2, pool.shared() ? 1 : 0);
          s.setInt(3, pool.vouched() ? 1 : 0);
          s.setLong(4, pool.created().toEpochMilli());
          s.setInt(5, pool.closed() ? 1 : 0);
          return s.executeUpdate() == 1;
        });
  }

  public synchronized List<Pool> pools() {
    return with(
        "SELECT * FROM pool ORDER BY name",
        s -> {
          List<Pool> pools = new ArrayList<>();
          try (ResultSet row = s.executeQuery()) {
            while (row.next()) {
              pools.add(
                  new Pool(
                      row.getString("name"),
                      row.getInt("shared") == 1,
                      row.getInt("vouched") == 1,
                      Instant.ofEpochMilli(row.getLong("created")),
                      row.getInt("closed") == 1));
            }
          }
          return pools;
        });
  }

  public synchronized Optional<Pool> find(String name) {
    return pools().stream().filter(p -> p.name().equals(name)).findFirst();
  }

  /** Closes a pool: its nodes are let go. Whether there was one that was open. */
  public synchronized boolean close(String name) {
    return with(
        "UPDATE pool SET closed = 1 WHERE name = ? AND closed = 0",
        s -> {
          s.setString(1, name);
          return s.executeUpdate() == 1;
        });
  }

  public synchronized void add(Kept invitation, Instant now) {
    if (invitations(invitation.pool()).size() >= INVITATIONS_MAX) {
      throw new StoreException(
          "there are " + INVITATIONS_MAX + " invitations already", new SQLException("full"));
    }
    int unused =
        with(
            "INSERT INTO pool_invitation (id, pool, label, node, created, expires, revoked)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?)",
            s -> {
              s.setString(1, invitation.id());
              s.setString(2, invitation.pool());
              s.setString(3, invitation.label());
              s.setString(4, invitation.node());
              s.setLong(5, now.toEpochMilli());
              s.setLong(6, invitation.expires().toEpochMilli());
              s.setInt(7, invitation.revoked() ? 1 : 0);
              return s.executeUpdate();
            });
  }

  public synchronized List<Kept> invitations(String pool) {
    return with(
        "SELECT * FROM pool_invitation WHERE pool = ? ORDER BY created, id",
        s -> {
          s.setString(1, pool);
          List<Kept> all = new ArrayList<>();
          try (ResultSet row = s.executeQuery()) {
            while (row.next()) {
              all.add(
                  new Kept(
                      row.getString("id"),
                      row.getString("pool"),
                      row.getString("label"),
                      row.getString("node"),
                      Instant.ofEpochMilli(row.getLong("expires")),
                      row.getInt("revoked") == 1));
            }
          }
          return all;
        });
  }

  /** Binds an invitation to the node that shows it; whether it is that node's now. */
  synchronized boolean bind(String id, String node) {
    int unused =
        with(
            "UPDATE pool_invitation SET node = ? WHERE id = ? AND node = '' AND revoked = 0",
            s -> {
              s.setString(1, node);
              s.setString(2, id);
              return s.executeUpdate();
            });
    return with(
        "SELECT 1 FROM pool_invitation WHERE id = ? AND node = ? AND revoked = 0",
        s -> {
          s.setString(1, id);
          s.setString(2, node);
          try (ResultSet row = s.executeQuery()) {
            return row.next();
          }
        });
  }

  /** Whether a node has an invitation into a pool that was not revoked. */
  synchronized boolean isMember(String pool, String node) {
    return with(
        "SELECT 1 FROM pool_invitation i JOIN pool p ON p.name = i.pool"
            + " WHERE i.pool = ? AND i.node = ? AND i.revoked = 0 AND p.closed = 0",
        s -> {
          s.setString(1, pool);
          s.setString(2, node);
          try (ResultSet row = s.executeQuery()) {
            return row.next();
          }
        });
  }

  /** Revokes an invitation by its id, its label or its node; how many those were. */
  public synchronized int revoke(String pool, String which) {
    return with(
        "UPDATE pool_invitation SET revoked = 1 WHERE pool = ? AND revoked = 0"
            + " AND (id = ? OR label = ? OR node = ?)",
        s -> {
          s.setString(1, pool);
          s.setString(2, which);
          s.setString(3, which);
          s.setString(4, which);
          return s.executeUpdate();
        });
  }

  /** Writes all of it into another, where it is not yet. */
  public synchronized void copyTo(PoolStore other) {
    // What it held from an earlier time may have been closed or revoked since.
    for (String table : List.of("pool_invitation", "pool")) {
      int unused = other.with("DELETE FROM " + table, PreparedStatement::executeUpdate);
    }
    for (Pool pool : pools()) {
      if (other.add(pool)) {
        invitations(pool.name()).forEach(i -> other.add(i, pool.created()));
      }
    }
  }

  @Override
  public synchronized void close() {
    beside.close();
  }
}
