package dev.gridtie.ledger;

import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What several transactions that are committed together have changed of the ledger, written in one
 * go at their end: an account that all of them touch is written once. Accounts are remembered from
 * one batch to the next, as long as nobody else has written between them. Used by one thread.
 */
final class Batch {
  /** How many accounts are remembered. */
  private static final int REMEMBERED_MAX = 100_000;

  private final Tables tables;
  private final Map<AccountId, Account> remembered = new HashMap<>();
  private final Map<AccountId, Account> accounts = new HashMap<>();
  private final Map<String, Book.HoldState> holds = new HashMap<>();
  private final Map<String, Tables.Row> rows = new LinkedHashMap<>();

  /** Entries that stood in the log before, as far as they were looked up; and ids that did not. */
  private final Map<String, Entry> before = new HashMap<>();

  private final Set<String> free = new HashSet<>();
  private Chain left = Chain.START;
  private Chain chain = Chain.START;

  Batch(Connection connection) {
    this.tables = new Tables(connection, true);
  }

  Tables tables() {
    return tables;
  }

  /** Begins where the log stands now. */
  void begin(Chain now) {
    if (!now.equals(left)) {
      remembered.clear(); // somebody else has written
    }
    chain = now;
    forget();
  }

  private void forget() {
    accounts.clear();
    holds.clear();
    rows.clear();
    before.clear();
    free.clear();
  }

  /** Looks up at once what these entries will ask for. */
  void expect(Collection<Entry> entries) throws SQLException {
    Set<String> ids = new HashSet<>();
    Set<AccountId> named = new HashSet<>();
    for (Entry entry : entries) {
      ids.add(entry.id());
      switch (entry) {
        case Entry.Transfer e -> {
          named.add(e.debit());
          named.add(e.credit());
        }
        case Entry.Hold e -> {
          named.add(e.debit());
          named.add(e.credit());
        }
        default -> {}
      }
    }
    named.removeAll(remembered.keySet());
    before.putAll(tables.entries(ids));
    free.addAll(ids);
    free.removeAll(before.keySet());
    tables.accounts(named).forEach(a -> remembered.put(a.id(), a));
  }

  /** Writes what was kept. */
  void flush() throws SQLException {
    tables.append(rows.values());
    tables.putAccounts(accounts.values());
    tables.putHolds(holds.values());
  }

  /** What was written is durable. */
  void committed() {
    if (remembered.size() + accounts.size() > REMEMBERED_MAX) {
      remembered.clear();
    }
    remembered.putAll(accounts);
    left = chain;
    forget();
  }

  /** What was written is not kept, or nobody can say. */
  void lost() {
    remembered.clear();
    left = Chain.START;
    forget();
  }

  Chain chain() {
    return chain;
  }

  LedgerTx transaction() {
    return new Transaction();
  }

  /** Takes over what a transaction has changed. */
  void keep(LedgerTx done) {
    Transaction transaction = (Transaction) done;
    accounts.putAll(transaction.newAccounts);
    holds.putAll(transaction.newHolds);
    rows.putAll(transaction.newRows);
    chain = transaction.end;
  }

  private Optional<Account> account(AccountId id) throws SQLException {
    Account known = accounts.get(id);
    if (known == null) {
      known = remembered.get(id);
    }
    if (known != null) {
      return Optional.of(known);
    }
    Optional<Account> stored = tables.account(id);
    stored.ifPresent(a -> remembered.put(id, a));
    return stored;
  }

  private Optional<Entry> entry(String id) throws SQLException {
    Tables.Row row = rows.get(id);
    if (row != null) {
      return Optional.of(row.entry());
    }
    if (free.contains(id)) {
      return Optional.empty();
    }
    Entry known = before.get(id);
    return known == null ? tables.entry(id) : Optional.of(known);
  }

  private Optional<Book.HoldState> hold(String id) throws SQLException {
    Book.HoldState known = holds.get(id);
    return known == null ? tables.hold(id) : Optional.of(known);
  }

  /** One of the transactions: what it has changed so far, over what the others have. */
  private final class Transaction implements LedgerTx {
    private final Map<AccountId, Account> newAccounts = new HashMap<>();
    private final Map<String, Book.HoldState> newHolds = new HashMap<>();
    private final Map<String, Tables.Row> newRows = new LinkedHashMap<>();
    private Chain end = chain;

    @Override
    public Optional<Account> account(AccountId id) throws SQLException {
      Account changed = newAccounts.get(id);
      return changed == null ? Batch.this.account(id) : Optional.of(changed);
    }

    @Override
    public Optional<Entry> entry(String id) throws SQLException {
      Tables.Row row = newRows.get(id);
      return row == null ? Batch.this.entry(id) : Optional.of(row.entry());
    }

    @Override
    public Optional<Long> position(String id) throws SQLException {
      Tables.Row mine = newRows.get(id);
      Tables.Row row = mine == null ? rows.get(id) : mine;
      return row == null ? tables.position(id) : Optional.of(row.seq());
    }

    @Override
    public boolean hasEnded(String holdId) throws SQLException {
      Book.HoldState changed = newHolds.get(holdId);
      Optional<Book.HoldState> state =
          changed == null ? Batch.this.hold(holdId) : Optional.of(changed);
      return state.isEmpty() || state.get().ended();
    }

    @Override
    public Applied apply(Entry entry) throws RefusedException, SQLException {
      String body = entry.canonical();
      if (!entry.id().matches("[0-9a-f]{32}")) {
        throw new RefusedException(LedgerRefusal.MALFORMED_ID, entry);
      }
      if (body.length() > ENTRY_LENGTH_MAX) {
        throw new RefusedException(LedgerRefusal.ENTRY_TOO_LONG, entry);
      }
      Optional<Entry> known = entry(entry.id());
      if (known.isPresent()) {
        if (!known.get().saysTheSameAs(entry)) {
          throw new RefusedException(LedgerRefusal.ID_USED_DIFFERENTLY, entry);
        }
        return Applied.REPEATED;
      }
      Book.apply(entry, new State());
      end = end.then(body);
      newRows.put(entry.id(), new Tables.Row(end.seq(), entry, body, end.hash()));
      return Applied.NEW;
    }

    /** The book's state. Failures of SQL travel unchecked and are unwrapped by the database. */
    private final class State implements Book.State {
      @Override
      public Optional<Account> account(AccountId id) {
        try {
          return Transaction.this.account(id);
        } catch (SQLException e) {
          throw new StoreException("reading account " + id, e);
        }
      }

      @Override
      public void put(Account account) {
        newAccounts.put(account.id(), account);
      }

      @Override
      public Optional<Book.HoldState> hold(String id) {
        try {
          Book.HoldState changed = newHolds.get(id);
          return changed == null ? Batch.this.hold(id) : Optional.of(changed);
        } catch (SQLException e) {
          throw new StoreException("reading hold " + id, e);
        }
      }

      @Override
      public void put(Book.HoldState hold) {
        newHolds.put(hold.hold().id(), hold);
      }
    }
  }
}
