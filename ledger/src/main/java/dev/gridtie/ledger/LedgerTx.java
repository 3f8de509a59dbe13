package dev.gridtie.ledger;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import java.sql.SQLException;
import java.time.Instant;

/**
 * The ledger inside one transaction of the database: it sees what the transaction has said so far.
 * Used by one thread, not kept beyond the transaction.
 */
public interface LedgerTx extends LedgerView {
  /** The longest entry, in characters: a third of what two bytes can count in bytes. */
  int ENTRY_LENGTH_MAX = 0xffff / 3;

  /** What came of saying an entry. */
  enum Applied {
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
  Applied apply(Entry entry) throws RefusedException, SQLException;

  /** Whether a hold has ended, or there is none. */
  boolean hasEnded(String holdId) throws SQLException;

  /** Opens an account unless it is open. */
  default void ensureOpen(AccountId account, boolean creditOnly, Instant now)
      throws RefusedException, SQLException {
    if (account(account).isEmpty()) {
      apply(new Entry.Open(Ids.derived("open " + account), now, account, creditOnly));
    }
  }
}
