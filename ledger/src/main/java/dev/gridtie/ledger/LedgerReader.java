package dev.gridtie.ledger;

import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import java.util.Optional;

/** The ledger in one snapshot. Used by one thread, not kept beyond the snapshot. */
public final class LedgerReader implements LedgerView {
  private final Tables tables;

  public LedgerReader(Connection connection) {
    this.tables = new Tables(connection, false);
  }

  @Override
  public Optional<Account> account(AccountId id) throws SQLException {
    return tables.account(id);
  }

  /** All accounts, by name. */
  public List<Account> accounts() throws SQLException {
    return tables.accounts();
  }

  @Override
  public Optional<Entry> entry(String id) throws SQLException {
    return tables.entry(id);
  }

  /** The number of the last entry, 0 where there is none. */
  public long size() throws SQLException {
    return tables.chain().seq();
  }

  @Override
  public Optional<Long> position(String id) throws SQLException {
    return tables.position(id);
  }

  Head head() throws SQLException {
    Chain chain = tables.chain();
    return new Head(tables.commits(), chain.seq(), chain.hex());
  }
}
