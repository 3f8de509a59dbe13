package dev.gridtie.app;

import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.StoreException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;

/** What is tested of a database that is open: that it takes a write, and agrees on the time. */
final class StoreChecks {
  /** How far this machine's clock may be from the database's, or behind what was signed. */
  private static final Duration SKEW_MAX = Duration.ofSeconds(30);

  private StoreChecks() {}

  static List<Check> all(Database database, InstantSource clock) {
    return List.of(
        new Check(
            "database",
            "that the ledger can be written, durably",
            () -> {
              try {
                boolean written = database.write((c, log) -> true); // committed, and so on the disk
                return Finding.ok(written ? database.where().toString() : "");
              } catch (StoreException e) {
                return new Finding.Failed(
                    "the ledger's database cannot be written",
                    String.valueOf(e.getMessage()),
                    "see that the disk of "
                        + database.where()
                        + " has room and is writable, or that PostgreSQL runs and takes writes");
              }
            }),
        new Check(
            "clock",
            "that this machine's clock agrees with the database's",
            () -> {
              try {
                return database.read(c -> clock(c, clock.instant()));
              } catch (StoreException e) {
                return new Finding.Failed(
                    "the ledger's database cannot be read",
                    String.valueOf(e.getMessage()),
                    "see the check named database");
              }
            }));
  }

  static Finding clock(Connection c, Instant now) throws SQLException {
    boolean postgres = c.getMetaData().getDatabaseProductName().equals("PostgreSQL");
    if (postgres) {
      Duration skew =
          Duration.between(
              now, time(c, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"));
      if (skew.abs().compareTo(SKEW_MAX) > 0) {
        return new Finding.Failed(
            "this machine's clock and the database's differ by more than "
                + SKEW_MAX.toSeconds()
                + " s",
            "by " + skew.toSeconds() + " s",
            "set both clocks by NTP");
      }
    }
    Instant signed = time(c, "SELECT time FROM log_checkpoint ORDER BY size DESC LIMIT 1");
    return signed.minus(SKEW_MAX).isAfter(now)
        ? new Finding.Failed(
            "this machine's clock is behind the ledger's last checkpoint",
            "it was signed at " + signed + ", and here it is " + now,
            "set the clock by NTP")
        : Finding.ok();
  }

  /** Milliseconds since 1970, as an instant; 1970 where there is no row. */
  private static Instant time(Connection c, String sql) throws SQLException {
    try (Statement statement = c.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      return row.next() ? Instant.ofEpochMilli(row.getLong(1)) : Instant.EPOCH;
    }
  }
}
