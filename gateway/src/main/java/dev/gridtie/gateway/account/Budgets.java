package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.till.Presence;
import dev.gridtie.ledger.Database;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.LocalDate;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What limited keys may still spend, shared among gateways: each leases a part of what is left, and
 * spends it without asking. What is spent and all that is leased never exceed the limit, so no
 * number of gateways does. Safe for use by many threads.
 */
final class Budgets {
  /** A lease is larger than what is needed by this part of the limit, and of what is left. */
  private static final BigInteger SLICE_OF_LIMIT = BigInteger.valueOf(32);

  private static final BigInteger SLICE_OF_LEFT = BigInteger.valueOf(8);

  static final String TOTAL = "total";

  private final Database database;
  private final Presence presence;

  Budgets(Database database, Presence presence) {
    this.database = database;
    this.presence = presence;
  }

  static String day(LocalDate day) {
    return "day:" + day;
  }

  static String month(LocalDate day) {
    return "month:" + YearMonth.from(day);
  }

  static String model(String id) {
    return "model:" + id;
  }

  static String place(String name) {
    return "place:" + name;
  }

  /** All that a request counts to. */
  private static List<String> scopes(UsageRow row) {
    LocalDate day = LocalDate.ofInstant(row.time(), ZoneOffset.UTC);
    List<String> scopes = new ArrayList<>(List.of(TOTAL, day(day), month(day), model(row.model())));
    row.places().forEach(p -> scopes.add(place(p)));
    return scopes;
  }

  /**
   * What a gateway needs of a budget: all that it has not posted yet, and what comes on top.
   *
   * @param limit of the budget
   */
  record Ask(PicoUsd limit, PicoUsd needed) {}

  /** What came of asking. */
  sealed interface Granted {
    /** By scope, all that this gateway may have unposted from now on; at least what it needs. */
    record Leases(Map<String, PicoUsd> amounts) implements Granted {}

    /**
     * @param left what could be had
     */
    record Refused(String scope, PicoUsd left) implements Granted {}
  }

  /** Leases what is needed of all these budgets, and some more; or nothing of any. */
  Granted lease(String keyId, Map<String, Ask> asks) {
    return database.write((c, log) -> lease(c, keyId, new TreeMap<>(asks)));
  }

  private Granted lease(Connection c, String keyId, Map<String, Ask> asks) throws SQLException {
    Map<String, PicoUsd> amounts = new HashMap<>();
    for (var ask : asks.entrySet()) {
      BigInteger limit = ask.getValue().limit().pico();
      BigInteger needed = ask.getValue().needed().pico();
      BigInteger taken = spent(c, keyId, ask.getKey()).add(others(c, keyId, ask.getKey()));
      BigInteger left = limit.subtract(taken).max(BigInteger.ZERO);
      if (needed.compareTo(left) > 0) {
        return new Granted.Refused(ask.getKey(), new PicoUsd(left));
      }
      BigInteger more =
          limit.divide(SLICE_OF_LIMIT).min(left.subtract(needed).divide(SLICE_OF_LEFT));
      amounts.put(ask.getKey(), new PicoUsd(needed.add(more)));
    }
    for (var amount : amounts.entrySet()) {
      set(c, keyId, amount.getKey(), amount.getValue());
    }
    return new Granted.Leases(amounts);
  }

  /** Gives back what of its leases this gateway does not need. */
  void giveBack(String keyId, Map<String, PicoUsd> needed) {
    boolean unused =
        database.write(
            (c, log) -> {
              for (var amount : needed.entrySet()) {
                set(c, keyId, amount.getKey(), amount.getValue());
              }
              return true;
            });
  }

  private void set(Connection c, String keyId, String scope, PicoUsd amount) throws SQLException {
    if (amount.isZero()) {
      try (PreparedStatement delete =
          c.prepareStatement(
              "DELETE FROM budget_lease WHERE key_id = ? AND scope = ? AND gateway = ?")) {
        delete.setString(1, keyId);
        delete.setString(2, scope);
        delete.setString(3, presence.id());
        int unused = delete.executeUpdate();
      }
      return;
    }
    try (PreparedStatement upsert =
        c.prepareStatement(
            "INSERT INTO budget_lease (key_id, scope, gateway, amount) VALUES (?, ?, ?, ?)"
                + " ON CONFLICT (key_id, scope, gateway) DO UPDATE SET amount = excluded.amount")) {
      upsert.setString(1, keyId);
      upsert.setString(2, scope);
      upsert.setString(3, presence.id());
      upsert.setString(4, amount.pico().toString());
      int unused = upsert.executeUpdate();
    }
  }

  /** What others have leased; the leases of those that have gone are void. */
  private BigInteger others(Connection c, String keyId, String scope) throws SQLException {
    BigInteger sum = BigInteger.ZERO;
    try (PreparedStatement select =
        c.prepareStatement(
            "SELECT amount FROM budget_lease WHERE key_id = ? AND scope = ? AND gateway <> ?"
                + " AND gateway IN (SELECT id FROM gateway)")) {
      select.setString(1, keyId);
      select.setString(2, scope);
      select.setString(3, presence.id());
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          sum = sum.add(new BigInteger(row.getString(1)));
        }
      }
    }
    return sum;
  }

  /** What was spent of a budget; counted once from all requests, and kept from then on. */
  private static BigInteger spent(Connection c, String keyId, String scope) throws SQLException {
    Optional<BigInteger> known = kept(c, keyId, scope);
    if (known.isPresent()) {
      return known.get();
    }
    BigInteger[] sum = {BigInteger.ZERO};
    UsageStore.forEach(
        c,
        keyId,
        row -> {
          if (scopes(row).contains(scope)) {
            sum[0] = sum[0].add(row.cost().pico());
          }
        });
    try (PreparedStatement insert =
        c.prepareStatement("INSERT INTO budget (key_id, scope, spent) VALUES (?, ?, ?)")) {
      insert.setString(1, keyId);
      insert.setString(2, scope);
      insert.setString(3, sum[0].toString());
      int unused = insert.executeUpdate();
    }
    return sum[0];
  }

  private static Optional<BigInteger> kept(Connection c, String keyId, String scope)
      throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT spent FROM budget WHERE key_id = ? AND scope = ?")) {
      select.setString(1, keyId);
      select.setString(2, scope);
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(new BigInteger(row.getString(1))) : Optional.empty();
      }
    }
  }

  /** Turns what was leased into what is spent, with the requests that it was spent on. */
  void post(Connection c, List<UsageRow> rows) throws SQLException {
    Map<String, Map<String, BigInteger>> sums = new TreeMap<>();
    for (UsageRow row : rows) {
      if (!row.keyId().isEmpty() && !row.cost().isZero()) {
        for (String scope : scopes(row)) {
          sums.computeIfAbsent(row.keyId(), k -> new TreeMap<>())
              .merge(scope, row.cost().pico(), BigInteger::add);
        }
      }
    }
    for (var key : sums.entrySet()) {
      for (var sum : key.getValue().entrySet()) {
        Optional<BigInteger> before = kept(c, key.getKey(), sum.getKey());
        if (before.isPresent()) { // else it is not limited, or counted when it is first asked for
          post(c, key.getKey(), sum.getKey(), before.get(), sum.getValue());
        }
      }
    }
  }

  private void post(Connection c, String keyId, String scope, BigInteger before, BigInteger cost)
      throws SQLException {
    try (PreparedStatement update =
        c.prepareStatement("UPDATE budget SET spent = ? WHERE key_id = ? AND scope = ?")) {
      update.setString(1, before.add(cost).toString());
      update.setString(2, keyId);
      update.setString(3, scope);
      int unused = update.executeUpdate();
    }
    try (PreparedStatement select =
        c.prepareStatement(
            "SELECT amount FROM budget_lease WHERE key_id = ? AND scope = ? AND gateway = ?")) {
      select.setString(1, keyId);
      select.setString(2, scope);
      select.setString(3, presence.id());
      try (ResultSet row = select.executeQuery()) {
        if (row.next()) {
          BigInteger rest = new BigInteger(row.getString(1)).subtract(cost).max(BigInteger.ZERO);
          set(c, keyId, scope, new PicoUsd(rest));
        }
      }
    }
  }

  /** What a request was posted to, for whoever keeps count of what is unposted. */
  static List<String> postedTo(UsageRow row) {
    return scopes(row);
  }
}
