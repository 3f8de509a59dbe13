package dev.gridtie.gateway.till;

import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.x402.facilitator.GasMemory;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A {@link GasMemory} in the ledger's database, which gateways that share it share too. */
public record GasTallies(Database database) implements GasMemory {
  @Override
  public boolean tryAdd(List<Addition> additions, Instant now) {
    try {
      return database.write((c, log) -> tryAdd(c, additions, now));
    } catch (StoreException e) {
      System.err.println("gridtie: gas that strangers cost cannot be noted: " + e.getMessage());
      return false;
    }
  }

  private static boolean tryAdd(Connection c, List<Addition> additions, Instant now)
      throws SQLException {
    try (PreparedStatement delete = c.prepareStatement("DELETE FROM gas_tally WHERE until <= ?")) {
      delete.setLong(1, now.getEpochSecond());
      int unused = delete.executeUpdate();
    }
    Map<String, Tally> known = new HashMap<>();
    for (Addition one : additions) {
      find(c, one.name(), now).ifPresent(t -> known.put(one.name(), t));
    }
    Optional<Map<String, Tally>> after = GasMemory.sums(known, additions, now);
    if (after.isEmpty() || count(c) + after.get().size() - known.size() > TALLIES_MAX) {
      return false;
    }
    for (var tally : after.get().entrySet()) {
      save(c, tally.getKey(), tally.getValue());
    }
    return true;
  }

  private static int count(Connection c) throws SQLException {
    try (PreparedStatement select = c.prepareStatement("SELECT COUNT(*) FROM gas_tally");
        ResultSet row = select.executeQuery()) {
      return row.next() ? row.getInt(1) : 0;
    }
  }

  private static void save(Connection c, String name, Tally tally) throws SQLException {
    try (PreparedStatement upsert =
        c.prepareStatement(
            "INSERT INTO gas_tally (name, amount, until) VALUES (?, ?, ?) ON CONFLICT (name) DO"
                + " UPDATE SET amount = excluded.amount, until = excluded.until")) {
      upsert.setString(1, name);
      upsert.setString(2, tally.amount().toString());
      upsert.setLong(3, tally.until().getEpochSecond());
      int unused = upsert.executeUpdate();
    }
  }

  @Override
  public Optional<Tally> find(String name, Instant now) {
    return database.read(c -> find(c, name, now));
  }

  private static Optional<Tally> find(Connection c, String name, Instant now) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT amount, until FROM gas_tally WHERE name = ? AND until > ?")) {
      select.setString(1, name);
      select.setLong(2, now.getEpochSecond());
      try (ResultSet row = select.executeQuery()) {
        return row.next()
            ? Optional.of(
                new Tally(new BigInteger(row.getString(1)), Instant.ofEpochSecond(row.getLong(2))))
            : Optional.empty();
      }
    }
  }
}
