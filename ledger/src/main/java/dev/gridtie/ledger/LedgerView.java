package dev.gridtie.ledger;

import java.sql.SQLException;
import java.util.Optional;

/** The ledger to be looked at. */
public interface LedgerView {
  Optional<Account> account(AccountId id) throws SQLException;

  /** An entry by its id. */
  Optional<Entry> entry(String id) throws SQLException;

  /** The number of an entry in the log, counted from 1. */
  Optional<Long> position(String id) throws SQLException;
}
