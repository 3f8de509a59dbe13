package dev.gridtie.ledger;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The ledger inside one transaction of the database. Used by one thread, not kept beyond the
 * transaction.
 */
public final class LedgerTx {
  /** The hash before the first entry. */
  static final byte[] GENESIS = new byte[32];

  /** The longest entry, in characters: a third of what two bytes can count in bytes. */
  private static final int ENTRY_LENGTH_MAX = 0xffff / 3;

  private final Connection connection;

  public LedgerTx(Connection connection) {
    this.connection = connection;
  }

  /** What came of saying an entry. */
  public enum Applied {
    /** It stands in the log now. */
    NEW,
    /** It stood there before, and was not repeated. */
    REPEATED
  }

  /**
   * Says an entry. The same id with the same content again changes nothing.
   *
   * @throws RefusedException where a rule forbids it; then the whole transaction must be given up
   */
  public Applied apply(Entry entry) throws RefusedException, SQLException {
    if (!entry.id().matches("[0-9a-f]{32}")) {
      throw new RefusedException(LedgerRefusal.MALFORMED_ID, entry);
    }
    if (entry.canonical().length() > ENTRY_LENGTH_MAX) {
      throw new RefusedException(LedgerRefusal.ENTRY_TOO_LONG, entry);
    }
    Optional<Entry> before = entry(entry.id());
    if (before.isPresent()) {
      if (!sameContent(before.get(), entry)) {
        throw new RefusedException(LedgerRefusal.ID_USED_DIFFERENTLY, entry);
      }
      return Applied.REPEATED;
    }
    Book.apply(entry, new Tables());
    append(entry);
    return Applied.NEW;
  }

  /** Opens an account unless it is open. */
  public void ensureOpen(AccountId account, boolean creditOnly, Instant now)
      throws RefusedException, SQLException {
    if (account(account).isEmpty()) {
      apply(
          new Entry.Open(
              dev.gridtie.base.Ids.derived("open " + account), now, account, creditOnly));
    }
  }

  public Optional<Account> account(AccountId id) throws SQLException {
    try (PreparedStatement select =
        connection.prepareStatement(
            "SELECT id, credit_only, debits_pending, debits_posted, credits_pending, credits_posted"
                + " FROM account WHERE id = ?")) {
      select.setString(1, id.toString());
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(readAccount(row)) : Optional.empty();
      }
    }
  }

  /** All accounts, by name. */
  public List<Account> accounts() throws SQLException {
    List<Account> all = new ArrayList<>();
    try (PreparedStatement select =
            connection.prepareStatement(
                "SELECT id, credit_only, debits_pending, debits_posted, credits_pending, credits_posted"
                    + " FROM account ORDER BY id");
        ResultSet row = select.executeQuery()) {
      while (row.next()) {
        all.add(readAccount(row));
      }
    }
    return all;
  }

  public Optional<Entry> entry(String id) throws SQLException {
    try (PreparedStatement select =
        connection.prepareStatement("SELECT body FROM entry WHERE id = ?")) {
      select.setString(1, id);
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(Entry.parse(row.getString(1))) : Optional.empty();
      }
    }
  }

  /** The number of the last entry, 0 where there is none. */
  public long size() throws SQLException {
    try (PreparedStatement select =
            connection.prepareStatement("SELECT coalesce(max(seq), 0) FROM entry");
        ResultSet row = select.executeQuery()) {
      return row.getLong(1);
    }
  }

  /** The number of an entry in the log, counted from 1. */
  public Optional<Long> position(String id) throws SQLException {
    try (PreparedStatement select =
        connection.prepareStatement("SELECT seq FROM entry WHERE id = ?")) {
      select.setString(1, id);
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(row.getLong(1)) : Optional.empty();
      }
    }
  }

  /** The hash of the last entry, which covers all before it. */
  byte[] headHash() throws SQLException {
    try (PreparedStatement select =
            connection.prepareStatement("SELECT hash FROM entry ORDER BY seq DESC LIMIT 1");
        ResultSet row = select.executeQuery()) {
      return row.next() ? row.getBytes(1) : GENESIS;
    }
  }

  /**
   * SHA-256(previous || leaf), the leaf being SHA-256(0x00 || canonical text), as RFC 6962 §2.1
   * hashes leaves.
   */
  static byte[] chain(byte[] previous, String canonical) {
    return Hashes.sha256(previous, Hashes.sha256(new byte[] {0}, canonical.getBytes(UTF_8)));
  }

  private void append(Entry entry) throws SQLException {
    String body = entry.canonical();
    byte[] hash = chain(headHash(), body);
    try (PreparedStatement insert =
        connection.prepareStatement(
            "INSERT INTO entry (seq, id, body, hash) VALUES (?, ?, ?, ?)")) {
      insert.setLong(1, size() + 1);
      insert.setString(2, entry.id());
      insert.setString(3, body);
      insert.setBytes(4, hash);
      insert.executeUpdate();
    }
  }

  private static boolean sameContent(Entry a, Entry b) {
    return withoutTime(a).equals(withoutTime(b));
  }

  private static Entry withoutTime(Entry entry) {
    return switch (entry) {
      case Entry.Open e -> new Entry.Open(e.id(), Instant.EPOCH, e.account(), e.creditOnly());
      case Entry.Transfer e ->
          new Entry.Transfer(e.id(), Instant.EPOCH, e.debit(), e.credit(), e.amount(), e.memo());
      case Entry.Hold e ->
          new Entry.Hold(e.id(), Instant.EPOCH, e.debit(), e.credit(), e.amount(), e.memo());
      case Entry.Post e -> new Entry.Post(e.id(), Instant.EPOCH, e.hold(), e.amount(), e.memo());
      case Entry.Release e -> new Entry.Release(e.id(), Instant.EPOCH, e.hold(), e.memo());
      case Entry.Witness e -> new Entry.Witness(e.id(), Instant.EPOCH, e.kind(), e.sha256());
    };
  }

  static Account readAccount(ResultSet row) throws SQLException {
    return new Account(
        AccountId.of(row.getString(1)),
        row.getInt(2) == 1,
        new BigInteger(row.getString(3)),
        new BigInteger(row.getString(4)),
        new BigInteger(row.getString(5)),
        new BigInteger(row.getString(6)));
  }

  /**
   * The tables as the state of the book. Failures of SQL travel unchecked and are unwrapped by the
   * database.
   */
  private final class Tables implements Book.State {
    @Override
    public Optional<Account> account(AccountId id) {
      try {
        return LedgerTx.this.account(id);
      } catch (SQLException e) {
        throw new StoreException("reading account " + id, e);
      }
    }

    @Override
    public void put(Account account) {
      try (PreparedStatement upsert =
          connection.prepareStatement(
              "INSERT OR REPLACE INTO account"
                  + " (id, credit_only, debits_pending, debits_posted, credits_pending, credits_posted)"
                  + " VALUES (?, ?, ?, ?, ?, ?)")) {
        upsert.setString(1, account.id().toString());
        upsert.setInt(2, account.creditOnly() ? 1 : 0);
        upsert.setString(3, account.debitsPending().toString());
        upsert.setString(4, account.debitsPosted().toString());
        upsert.setString(5, account.creditsPending().toString());
        upsert.setString(6, account.creditsPosted().toString());
        upsert.executeUpdate();
      } catch (SQLException e) {
        throw new StoreException("writing account " + account.id(), e);
      }
    }

    @Override
    public Optional<Book.HoldState> hold(String id) {
      try (PreparedStatement select =
          connection.prepareStatement(
              "SELECT e.body, h.ended FROM hold h JOIN entry e ON e.id = h.id WHERE h.id = ?")) {
        select.setString(1, id);
        try (ResultSet row = select.executeQuery()) {
          if (!row.next()) {
            return Optional.empty();
          }
          return Optional.of(
              new Book.HoldState((Entry.Hold) Entry.parse(row.getString(1)), row.getInt(2) == 1));
        }
      } catch (SQLException e) {
        throw new StoreException("reading hold " + id, e);
      }
    }

    @Override
    public void put(Book.HoldState hold) {
      try (PreparedStatement upsert =
          connection.prepareStatement("INSERT OR REPLACE INTO hold (id, ended) VALUES (?, ?)")) {
        upsert.setString(1, hold.hold().id());
        upsert.setInt(2, hold.ended() ? 1 : 0);
        upsert.executeUpdate();
      } catch (SQLException e) {
        throw new StoreException("writing hold " + hold.hold().id(), e);
      }
    }
  }
}
