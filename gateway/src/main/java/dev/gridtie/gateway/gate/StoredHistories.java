package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.StoreException;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;

/** {@link Histories} in the ledger's database, which gateways that share it share too. */
public record StoredHistories(Database database) implements Histories {
  /** A payer that has not come for so long begins anew, unless it has failed to pay. */
  private static final Duration HISTORY_KEPT = Duration.ofDays(365);

  /** For how long an answer that was not paid is remembered by itself. */
  private static final Duration DEFAULTS_KEPT = Duration.ofDays(7);

  @Override
  public History of(String payer) {
    return database.read(c -> of(c, payer));
  }

  private static History of(Connection c, String payer) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT paid, defaults FROM payer_history WHERE payer = ?")) {
      select.setString(1, payer);
      try (ResultSet row = select.executeQuery()) {
        return row.next()
            ? new History(new PicoUsd(new BigInteger(row.getString(1))), row.getLong(2) > 0)
            : History.NONE;
      }
    }
  }

  @Override
  public void paid(String payer, PicoUsd amount, Instant now) {
    note(
        (c, log) -> {
          History before = of(c, payer);
          save(c, payer, new History(before.paid().plus(amount), before.defaulted()), now);
          forget(
              c,
              "DELETE FROM payer_history WHERE updated < ? AND defaults = 0",
              now.minus(HISTORY_KEPT));
          return true;
        });
  }

  @Override
  public void defaulted(String payment, String payer, PicoUsd amount, Instant now) {
    note(
        (c, log) -> {
          save(c, payer, new History(of(c, payer).paid(), true), now);
          try (PreparedStatement insert =
              c.prepareStatement(
                  "INSERT INTO payer_default (payment_key, amount, at) VALUES (?, ?, ?)"
                      + " ON CONFLICT (payment_key) DO NOTHING")) {
            insert.setString(1, payment);
            insert.setString(2, amount.pico().toString());
            insert.setLong(3, now.toEpochMilli());
            int unused = insert.executeUpdate();
          }
          forget(c, "DELETE FROM payer_default WHERE at < ?", now.minus(DEFAULTS_KEPT));
          return true;
        });
  }

  private static void save(Connection c, String payer, History history, Instant now)
      throws SQLException {
    try (PreparedStatement upsert =
        c.prepareStatement(
            "INSERT INTO payer_history (payer, paid, defaults, updated) VALUES (?, ?, ?, ?)"
                + " ON CONFLICT (payer) DO UPDATE SET paid = excluded.paid,"
                + " defaults = excluded.defaults, updated = excluded.updated")) {
      upsert.setString(1, payer);
      upsert.setString(2, history.paid().pico().toString());
      upsert.setLong(3, history.defaulted() ? 1 : 0);
      upsert.setLong(4, now.toEpochMilli());
      int unused = upsert.executeUpdate();
    }
  }

  private static void forget(Connection c, String sql, Instant before) throws SQLException {
    try (PreparedStatement delete = c.prepareStatement(sql)) {
      delete.setLong(1, before.toEpochMilli());
      int unused = delete.executeUpdate();
    }
  }

  /** What cannot be written is said; the payment that it is about has ended all the same. */
  private void note(Database.Work<Boolean> work) {
    try {
      boolean unused = database.write(work);
    } catch (StoreException e) {
      System.err.println("gridtie: a payer's history could not be written: " + e.getMessage());
    }
  }

  @Override
  public PicoUsd defaultsSince(Instant since) {
    return database.read(
        c -> {
          PicoUsd sum = PicoUsd.ZERO;
          try (PreparedStatement select =
              c.prepareStatement("SELECT amount FROM payer_default WHERE at >= ?")) {
            select.setLong(1, since.toEpochMilli());
            try (ResultSet row = select.executeQuery()) {
              while (row.next()) {
                sum = sum.plus(new PicoUsd(new BigInteger(row.getString(1))));
              }
            }
          }
          return sum;
        });
  }
}
