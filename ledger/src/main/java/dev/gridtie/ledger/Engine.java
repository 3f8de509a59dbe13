package dev.gridtie.ledger;

import java.sql.Connection;
import java.sql.SQLException;
import org.jspecify.annotations.Nullable;

/**
 * What a kind of database does in its own way. All but {@link #read} are called by the one thread
 * that writes.
 */
interface Engine extends AutoCloseable {
  /** Where writing stands: its connection, and what is remembered with it. */
  record Writing(Connection connection, Batch batch) {}

  /**
   * Begins a transaction that nobody else writes beside; the batch begins where the log stands.
   *
   * @throws SQLException also where another writer does not let go
   */
  Writing begin() throws SQLException;

  /**
   * Makes the transaction durable.
   *
   * @return how many transactions there were, for the head
   * @throws SQLException where it was not kept
   * @throws UnknownOutcomeException where nobody can say whether it was
   */
  long commit(Writing writing) throws SQLException, UnknownOutcomeException;

  /** Gives the transaction up; nothing to be done about a failure to. */
  void rollback();

  /** Reads in one snapshot, by any thread. */
  <T extends @Nullable Object> T read(Database.Query<T> query) throws SQLException;

  /** Between transactions: what is to be done now and then. */
  void rest();

  @Override
  void close();

  /** A connection was lost in a commit, and the database could not be asked since. */
  final class UnknownOutcomeException extends Exception {
    private static final long serialVersionUID = 1L;

    UnknownOutcomeException(Throwable cause) {
      super("the connection was lost while committing: whether it was kept is not known", cause);
    }
  }
}
