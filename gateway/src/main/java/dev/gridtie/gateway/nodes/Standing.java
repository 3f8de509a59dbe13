package dev.gridtie.gateway.nodes;

import dev.gridtie.base.Ids;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

/**
 * What a node has come to in a pool.
 *
 * @param carry FLOP that are less than a micro-credit
 * @param released micro-credits that were minted for it
 * @param pending micro-credits that were put in escrow for it, ever
 */
public record Standing(
    String node,
    String pool,
    BigInteger carry,
    long tokens,
    long parts,
    BigInteger released,
    BigInteger pending) {
  /** What it has done since it was last paid is paid together; this is that batch's name. */
  String openBatch() {
    return Ids.derived("batch " + node + " " + pool + " " + earned());
  }

  /** Micro-credits, pending ones among them. */
  BigInteger earned() {
    return released.add(pending);
  }

  static Standing read(Connection c, String node, String pool) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT * FROM grid_node WHERE address = ? AND pool = ?")) {
      select.setString(1, node);
      select.setString(2, pool);
      try (ResultSet row = select.executeQuery()) {
        return row.next()
            ? of(row)
            : new Standing(node, pool, BigInteger.ZERO, 0, 0, BigInteger.ZERO, BigInteger.ZERO);
      }
    }
  }

  static Standing of(ResultSet row) throws SQLException {
    return new Standing(
        row.getString("address"),
        row.getString("pool"),
        new BigInteger(row.getString("carry")),
        row.getLong("tokens"),
        row.getLong("answers"),
        new BigInteger(row.getString("released")),
        new BigInteger(row.getString("pending")));
  }

  /** Of all nodes of a pool, the one that has done most first. */
  public static List<Standing> all(Connection c, String pool) throws SQLException {
    List<Standing> all = new ArrayList<>();
    try (PreparedStatement select =
        c.prepareStatement("SELECT * FROM grid_node WHERE pool = ? ORDER BY tokens DESC")) {
      select.setString(1, pool);
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          all.add(of(row));
        }
      }
    }
    return all;
  }

  Standing plus(
      BigInteger newCarry, long moreTokens, int moreParts, BigInteger micro, boolean isPending) {
    return new Standing(
        node,
        pool,
        newCarry,
        tokens + moreTokens,
        parts + moreParts,
        isPending ? released : released.add(micro),
        isPending ? pending.add(micro) : pending);
  }

  void write(Connection c) throws SQLException {
    try (PreparedStatement upsert =
        c.prepareStatement(
            "INSERT INTO grid_node (address, pool, carry, tokens, answers, released, pending)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (address, pool) DO UPDATE SET"
                + " carry = excluded.carry, tokens = excluded.tokens, answers = excluded.answers,"
                + " released = excluded.released, pending = excluded.pending")) {
      upsert.setString(1, node);
      upsert.setString(2, pool);
      upsert.setString(3, carry.toString());
      upsert.setLong(4, tokens);
      upsert.setLong(5, parts);
      upsert.setString(6, released.toString());
      upsert.setString(7, pending.toString());
      int unused = upsert.executeUpdate();
    }
  }
}
