package dev.gridtie.gateway.gate;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.ChannelState;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Channels in the ledger's database. Every method is called inside one of its transactions. */
public final class ChannelStore {
  private ChannelStore() {}

  static Optional<ChannelRow> find(Connection c, String network, byte[] id) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT * FROM channel WHERE network = ? AND id = ?")) {
      select.setString(1, network);
      select.setString(2, Hex.encode(id));
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(read(row)) : Optional.empty();
      }
    }
  }

  /** Channels in a coin with something to claim, the oldest first. */
  static List<ChannelRow> unclaimed(Connection c, String network, String token, int most)
      throws SQLException {
    List<ChannelRow> found = new ArrayList<>();
    try (PreparedStatement select =
        c.prepareStatement(
            "SELECT * FROM channel WHERE network = ? AND unclaimed_since IS NOT NULL"
                + " AND lower(config) LIKE ? ORDER BY unclaimed_since LIMIT ?")) {
      select.setString(1, network);
      select.setString(2, "%\"token\":\"" + token.toLowerCase(Locale.ROOT) + "\"%");
      select.setInt(3, most);
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          found.add(read(row));
        }
      }
    }
    return found;
  }

  /** Channels with nothing to claim that the chain was asked about since, the latest first. */
  static List<ChannelRow> claimed(Connection c, String network, Instant since, int most)
      throws SQLException {
    List<ChannelRow> found = new ArrayList<>();
    try (PreparedStatement select =
        c.prepareStatement(
            "SELECT * FROM channel WHERE network = ? AND unclaimed_since IS NULL AND state_at >= ?"
                + " ORDER BY state_at DESC LIMIT ?")) {
      select.setString(1, network);
      select.setLong(2, since.toEpochMilli());
      select.setInt(3, most);
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          found.add(read(row));
        }
      }
    }
    return found;
  }

  static void save(Connection c, ChannelRow r) throws SQLException {
    try (PreparedStatement upsert =
        c.prepareStatement(
            "INSERT INTO channel (id, network, config, charged, voucher_max, voucher_signature, balance,"
                + " claimed, withdraw_requested, refund_nonce, state_at, booked, unclaimed_since)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                + " ON CONFLICT (network, id) DO UPDATE SET config = excluded.config, charged = excluded.charged,"
                + " voucher_max = excluded.voucher_max, voucher_signature = excluded.voucher_signature,"
                + " balance = excluded.balance, claimed = excluded.claimed,"
                + " withdraw_requested = excluded.withdraw_requested, refund_nonce = excluded.refund_nonce,"
                + " state_at = excluded.state_at, booked = excluded.booked,"
                + " unclaimed_since = excluded.unclaimed_since")) {
      upsert.setString(1, Hex.encode(r.state().channelId()));
      upsert.setString(2, r.network());
      upsert.setString(3, Json.write(r.config().toJson()));
      upsert.setString(4, r.charged().toString());
      upsert.setString(5, r.voucher().map(v -> v.maxClaimable().toString()).orElse(null));
      upsert.setBytes(6, r.voucher().map(ChannelRow.Signed::signature).orElse(null));
      upsert.setString(7, r.state().balance().toString());
      upsert.setString(8, r.state().totalClaimed().toString());
      upsert.setLong(9, r.state().withdrawRequestedAt());
      upsert.setString(10, r.state().refundNonce().toString());
      upsert.setLong(11, r.stateAt().toEpochMilli());
      upsert.setString(12, r.booked().toString());
      if (r.unclaimedSince().isPresent()) {
        upsert.setLong(13, r.unclaimedSince().get().toEpochMilli());
      } else {
        upsert.setNull(13, Types.BIGINT);
      }
      upsert.executeUpdate();
    }
  }

  private static ChannelRow read(ResultSet row) throws SQLException {
    try {
      @Nullable String max = row.getString("voucher_max");
      byte @Nullable [] signature = row.getBytes("voucher_signature");
      long since = row.getLong("unclaimed_since");
      boolean open = !row.wasNull();
      return new ChannelRow(
          row.getString("network"),
          ChannelConfig.fromJson(Json.trusted(row.getString("config"))),
          new BigInteger(row.getString("charged")),
          max == null || signature == null
              ? Optional.empty()
              : Optional.of(new ChannelRow.Signed(new BigInteger(max), signature)),
          new ChannelState(
              Hex.decode(row.getString("id")),
              new BigInteger(row.getString("balance")),
              new BigInteger(row.getString("claimed")),
              row.getLong("withdraw_requested"),
              new BigInteger(row.getString("refund_nonce"))),
          Instant.ofEpochMilli(row.getLong("state_at")),
          new BigInteger(row.getString("booked")),
          open ? Optional.of(Instant.ofEpochMilli(since)) : Optional.empty());
    } catch (MalformedPaymentException e) {
      throw new SQLException("a stored channel cannot be read", e);
    }
  }
}
