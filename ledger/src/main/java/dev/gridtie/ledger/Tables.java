package dev.gridtie.ledger;

import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The ledger's tables over one connection: rows in, rows out, and no rules. Used by one thread. */
final class Tables {
  private static final String ACCOUNT =
      "SELECT id, credit_only, debit_only, overdraft, debits_pending, debits_posted, credits_pending,"
          + " credits_posted FROM account";

  /** How many ids are looked up in one statement. */
  private static final int LOOKUP_MAX = 256;

  private final Connection connection;
  private final Map<String, PreparedStatement> prepared = new HashMap<>();

  private final boolean keeping;

  /**
   * @param keeping whether statements are prepared once and kept as long as the connection, rather
   *     than until they are read
   */
  Tables(Connection connection, boolean keeping) {
    this.connection = connection;
    this.keeping = keeping;
  }

  /** An entry as it stands in the log. */
  record Row(long seq, Entry entry, String body, byte[] hash) {}

  private PreparedStatement prepare(String sql) throws SQLException {
    if (!keeping) {
      PreparedStatement once = connection.prepareStatement(sql);
      once.closeOnCompletion();
      return once;
    }
    PreparedStatement known = prepared.get(sql);
    if (known == null) {
      known = connection.prepareStatement(sql);
      prepared.put(sql, known);
    }
    return known;
  }

  Optional<Account> account(AccountId id) throws SQLException {
    PreparedStatement select = prepare(ACCOUNT + " WHERE id = ?");
    select.setString(1, id.toString());
    try (ResultSet row = select.executeQuery()) {
      return row.next() ? Optional.of(readAccount(row)) : Optional.empty();
    }
  }

  /** All accounts, by name. */
  List<Account> accounts() throws SQLException {
    List<Account> all = new ArrayList<>();
    try (ResultSet row = prepare(ACCOUNT + " ORDER BY id").executeQuery()) {
      while (row.next()) {
        all.add(readAccount(row));
      }
    }
    return all;
  }

  /** Those of some accounts that there are. */
  List<Account> accounts(Collection<AccountId> ids) throws SQLException {
    List<Account> found = new ArrayList<>();
    for (List<String> some : parts(ids.stream().map(AccountId::toString).toList())) {
      PreparedStatement select = prepare(ACCOUNT + " WHERE id IN (" + marks(some.size()) + ")");
      bind(select, some);
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          found.add(readAccount(row));
        }
      }
    }
    return found;
  }

  Optional<Entry> entry(String id) throws SQLException {
    PreparedStatement select = prepare("SELECT body FROM entry WHERE id = ?");
    select.setString(1, id);
    try (ResultSet row = select.executeQuery()) {
      return row.next() ? Optional.of(Entry.parse(row.getString(1))) : Optional.empty();
    }
  }

  /** Those of some entries that there are, by id. */
  Map<String, Entry> entries(Collection<String> ids) throws SQLException {
    Map<String, Entry> found = new HashMap<>();
    for (List<String> some : parts(List.copyOf(ids))) {
      PreparedStatement select =
          prepare("SELECT id, body FROM entry WHERE id IN (" + marks(some.size()) + ")");
      bind(select, some);
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          found.put(row.getString(1), Entry.parse(row.getString(2)));
        }
      }
    }
    return found;
  }

  /** In sizes that are powers of two, so that few statements are prepared; the last id repeats. */
  private static List<List<String>> parts(List<String> ids) {
    List<List<String>> parts = new ArrayList<>();
    for (int at = 0; at < ids.size(); at += LOOKUP_MAX) {
      List<String> part = new ArrayList<>(ids.subList(at, Math.min(ids.size(), at + LOOKUP_MAX)));
      int size = Integer.highestOneBit(Math.max(1, part.size() - 1)) * 2;
      while (part.size() < size) {
        part.add(part.getLast());
      }
      parts.add(part);
    }
    return parts;
  }

  private static String marks(int count) {
    return "?" + ", ?".repeat(count - 1);
  }

  private static void bind(PreparedStatement statement, List<String> values) throws SQLException {
    for (int i = 0; i < values.size(); i++) {
      statement.setString(i + 1, values.get(i));
    }
  }

  /** The number of an entry in the log, counted from 1. */
  Optional<Long> position(String id) throws SQLException {
    PreparedStatement select = prepare("SELECT seq FROM entry WHERE id = ?");
    select.setString(1, id);
    try (ResultSet row = select.executeQuery()) {
      return row.next() ? Optional.of(row.getLong(1)) : Optional.empty();
    }
  }

  /** The last entry's number and hash; 0 and {@link Chain#GENESIS} where there is none. */
  Chain chain() throws SQLException {
    try (ResultSet row =
        prepare("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1").executeQuery()) {
      return row.next() ? new Chain(row.getLong(1), row.getBytes(2)) : Chain.START;
    }
  }

  /** The chain as it was after an entry; empty where there is no such entry. */
  Optional<Chain> chainAt(long seq) throws SQLException {
    if (seq == 0) {
      return Optional.of(Chain.START);
    }
    PreparedStatement select = prepare("SELECT hash FROM entry WHERE seq = ?");
    select.setLong(1, seq);
    try (ResultSet row = select.executeQuery()) {
      return row.next() ? Optional.of(new Chain(seq, row.getBytes(1))) : Optional.empty();
    }
  }

  Optional<Book.HoldState> hold(String id) throws SQLException {
    PreparedStatement select =
        prepare("SELECT e.body, h.ended FROM hold h JOIN entry e ON e.id = h.id WHERE h.id = ?");
    select.setString(1, id);
    try (ResultSet row = select.executeQuery()) {
      return row.next()
          ? Optional.of(
              new Book.HoldState((Entry.Hold) Entry.parse(row.getString(1)), row.getInt(2) == 1))
          : Optional.empty();
    }
  }

  /** Holds that have not ended and expire until then, the oldest first. */
  List<String> expired(Instant until, int most) throws SQLException {
    PreparedStatement select =
        prepare("SELECT id FROM hold WHERE ended = 0 AND expires <= ? ORDER BY expires LIMIT ?");
    select.setLong(1, until.toEpochMilli());
    select.setInt(2, most);
    List<String> found = new ArrayList<>();
    try (ResultSet row = select.executeQuery()) {
      while (row.next()) {
        found.add(row.getString(1));
      }
    }
    return found;
  }

  /** How many transactions were committed. */
  long commits() throws SQLException {
    try (ResultSet row = prepare("SELECT value FROM meta WHERE key = 'commits'").executeQuery()) {
      return row.next() ? row.getLong(1) : 0;
    }
  }

  void setCommits(long commits) throws SQLException {
    PreparedStatement update = prepare("UPDATE meta SET value = ? WHERE key = 'commits'");
    update.setLong(1, commits);
    int unused = update.executeUpdate();
  }

  void append(Collection<Row> rows) throws SQLException {
    PreparedStatement insert =
        prepare("INSERT INTO entry (seq, id, body, hash) VALUES (?, ?, ?, ?)");
    for (Row row : rows) {
      insert.setLong(1, row.seq());
      insert.setString(2, row.entry().id());
      insert.setString(3, row.body());
      insert.setBytes(4, row.hash());
      insert.addBatch();
    }
    runBatch(insert, rows.size());
  }

  void putAccounts(Collection<Account> accounts) throws SQLException {
    PreparedStatement upsert =
        prepare(
            "INSERT INTO account (id, credit_only, debit_only, overdraft, debits_pending, debits_posted,"
                + " credits_pending, credits_posted) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                + " ON CONFLICT (id) DO UPDATE SET overdraft = excluded.overdraft,"
                + " debits_pending = excluded.debits_pending, debits_posted = excluded.debits_posted,"
                + " credits_pending = excluded.credits_pending, credits_posted = excluded.credits_posted");
    for (Account account : accounts) {
      upsert.setString(1, account.id().toString());
      upsert.setInt(2, account.creditOnly() ? 1 : 0);
      upsert.setInt(3, account.debitOnly() ? 1 : 0);
      upsert.setString(4, account.overdraft().toString());
      upsert.setString(5, account.debitsPending().toString());
      upsert.setString(6, account.debitsPosted().toString());
      upsert.setString(7, account.creditsPending().toString());
      upsert.setString(8, account.creditsPosted().toString());
      upsert.addBatch();
    }
    runBatch(upsert, accounts.size());
  }

  void putHolds(Collection<Book.HoldState> holds) throws SQLException {
    PreparedStatement upsert =
        prepare(
            "INSERT INTO hold (id, ended, expires) VALUES (?, ?, ?)"
                + " ON CONFLICT (id) DO UPDATE SET ended = excluded.ended");
    for (Book.HoldState hold : holds) {
      @Nullable Instant expires = hold.hold().expires().orElse(null);
      upsert.setString(1, hold.hold().id());
      upsert.setInt(2, hold.ended() ? 1 : 0);
      if (expires == null) {
        upsert.setNull(3, Types.BIGINT);
      } else {
        upsert.setLong(3, expires.toEpochMilli());
      }
      upsert.addBatch();
    }
    runBatch(upsert, holds.size());
  }

  private static void runBatch(PreparedStatement statement, int rows) throws SQLException {
    if (rows > 0) {
      int[] unused = statement.executeBatch();
    }
  }

  static Account readAccount(ResultSet row) throws SQLException {
    return new Account(
        AccountId.of(row.getString(1)),
        row.getInt(2) == 1,
        row.getInt(3) == 1,
        new BigInteger(row.getString(4)),
        new BigInteger(row.getString(5)),
        new BigInteger(row.getString(6)),
        new BigInteger(row.getString(7)),
        new BigInteger(row.getString(8)));
  }
}
