package dev.gridtie.ledger;

import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.HashMap;
import java.util.Map;

/**
 * An entry and what it moves. A post moves between its hold's accounts; a hold and a release move
 * nothing, but change what is pending.
 *
 * @param seq the entry's number, from 1
 * @param between the accounts and the held amount, of a hold and what ends it; of a transfer itself
 * @param posted what is moved for good
 * @param pending by how much what is held grows, or falls
 */
public record Movement(
    long seq, Entry entry, Between between, BigInteger posted, BigInteger pending) {

  /** How many rows PostgreSQL sends at a time. */
  private static final int FETCH_ROWS = 2000;

  /** From one account to another. */
  public record Between(AccountId debit, AccountId credit, BigInteger amount) {}

  /** Takes movements, in the log's order. */
  public interface Reader<E extends Exception> {
    void movement(Movement movement) throws E;
  }

  /** Reads all movements in one snapshot. Entries that concern no money are left out. */
  public static <E extends Exception> void forEach(Connection connection, Reader<E> reader)
      throws SQLException, E {
    Map<String, Between> held = new HashMap<>();
    try (PreparedStatement select =
            streaming(connection.prepareStatement("SELECT seq, body FROM entry ORDER BY seq"));
        ResultSet row = select.executeQuery()) {
      while (row.next()) {
        long seq = row.getLong(1);
        Entry entry = Entry.parse(row.getString(2));
        switch (entry) {
          case Entry.Transfer e ->
              reader.movement(
                  new Movement(
                      seq,
                      e,
                      new Between(e.debit(), e.credit(), e.amount()),
                      e.amount(),
                      BigInteger.ZERO));
          case Entry.Hold e -> {
            Between between = new Between(e.debit(), e.credit(), e.amount());
            held.put(e.id(), between);
            reader.movement(new Movement(seq, e, between, BigInteger.ZERO, e.amount()));
          }
          case Entry.Post e -> reader.movement(ended(seq, e, held.remove(e.hold()), e.amount()));
          case Entry.Release e ->
              reader.movement(ended(seq, e, held.remove(e.hold()), BigInteger.ZERO));
          case Entry.Expire e ->
              reader.movement(ended(seq, e, held.remove(e.hold()), BigInteger.ZERO));
          case Entry.Limit e -> {}
          case Entry.Open e -> {}
          case Entry.Witness e -> {}
        }
      }
    }
  }

  private static PreparedStatement streaming(PreparedStatement select) throws SQLException {
    select.setFetchSize(FETCH_ROWS);
    return select;
  }

  private static Movement ended(
      long seq, Entry entry, @org.jspecify.annotations.Nullable Between hold, BigInteger posted) {
    if (hold == null) {
      throw new StoreException("entry " + seq + ": ends a hold that is not there");
    }
    return new Movement(seq, entry, hold, posted, hold.amount().negate());
  }

  /** What the entry says it is for. */
  public String memo() {
    return switch (entry) {
      case Entry.Transfer e -> e.memo();
      case Entry.Hold e -> e.memo();
      case Entry.Post e -> e.memo();
      case Entry.Release e -> e.memo();
      case Entry.Expire e -> "expired";
      case Entry.Limit e -> "";
      case Entry.Open e -> "";
      case Entry.Witness e -> "";
    };
  }

  /** The entry's kind, as the log writes it. */
  public String kind() {
    return switch (entry) {
      case Entry.Transfer e -> "transfer";
      case Entry.Hold e -> "hold";
      case Entry.Post e -> "post";
      case Entry.Release e -> "release";
      case Entry.Expire e -> "expire";
      case Entry.Limit e -> "limit";
      case Entry.Open e -> "open";
      case Entry.Witness e -> "witness";
    };
  }
}
