package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.chat.Usage;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.Optional;

/** Requests in the ledger's database. Every method is called inside one of its transactions. */
public final class UsageStore {
  private UsageStore() {}

  /** What a reader of rows does with each. */
  public interface Reader {
    void row(UsageRow row);
  }

  static void insert(Connection c, UsageRow u) throws SQLException {
    try (PreparedStatement insert =
        c.prepareStatement(
            "INSERT INTO usage (id, key_id, time, model, provider, dialect, streamed, input,"
                + " cache_read, cache_write, output, reasoning, cost, finish, first_byte_ms,"
                + " total_ms, outcome, endpoint, estimated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                + " ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")) {
      insert.setString(1, u.id());
      insert.setString(2, u.keyId());
      insert.setLong(3, u.time().toEpochMilli());
      insert.setString(4, u.model());
      insert.setString(5, u.provider());
      insert.setString(6, u.dialect());
      insert.setInt(7, u.streamed() ? 1 : 0);
      insert.setLong(8, u.usage().input());
      insert.setLong(9, u.usage().cacheRead());
      insert.setLong(10, u.usage().cacheWrite());
      insert.setLong(11, u.usage().output());
      insert.setLong(12, u.usage().reasoning());
      insert.setString(13, u.cost().pico().toString());
      insert.setString(14, u.finish());
      insert.setLong(15, u.firstByteMs());
      insert.setLong(16, u.totalMs());
      insert.setString(17, u.outcome());
      insert.setString(18, u.endpoint());
      insert.setInt(19, u.usage().estimated() ? 1 : 0);
      insert.executeUpdate();
    }
  }

  /** Reads all rows, oldest first as far as the key's index has them. */
  public static void forEach(Connection c, Reader reader) throws SQLException {
    try (PreparedStatement select = c.prepareStatement("SELECT * FROM usage");
        ResultSet row = select.executeQuery()) {
      while (row.next()) {
        reader.row(read(row));
      }
    }
  }

  /** Reads a key's rows. */
  static void forEach(Connection c, String keyId, Reader reader) throws SQLException {
    try (PreparedStatement select = c.prepareStatement("SELECT * FROM usage WHERE key_id = ?")) {
      select.setString(1, keyId);
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          reader.row(read(row));
        }
      }
    }
  }

  public static Optional<UsageRow> find(Connection c, String id) throws SQLException {
    try (PreparedStatement select = c.prepareStatement("SELECT * FROM usage WHERE id = ?")) {
      select.setString(1, id);
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(read(row)) : Optional.empty();
      }
    }
  }

  private static UsageRow read(ResultSet row) throws SQLException {
    return new UsageRow(
        row.getString("id"),
        row.getString("key_id"),
        Instant.ofEpochMilli(row.getLong("time")),
        row.getString("model"),
        row.getString("provider"),
        row.getString("endpoint"),
        row.getString("dialect"),
        row.getInt("streamed") == 1,
        new Usage(
            row.getLong("input"),
            row.getLong("cache_read"),
            row.getLong("cache_write"),
            row.getLong("output"),
            row.getLong("reasoning"),
            row.getInt("estimated") == 1),
        new PicoUsd(new BigInteger(row.getString("cost"))),
        row.getString("finish"),
        row.getLong("first_byte_ms"),
        row.getLong("total_ms"),
        row.getString("outcome"));
  }
}
