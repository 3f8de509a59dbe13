package dev.gridtie.gateway.gate;

import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Payments and answers in the ledger's database. Every method is called inside one of its
 * transactions.
 */
public final class PaymentStore {
  /** In place of the finish reason of an answer whose text is no longer kept. */
  static final String FORGOTTEN = "forgotten";

  private PaymentStore() {}

  /**
   * An answer that was delivered whole.
   *
   * @param body as it was sent, or would have been
   * @param events whether it is a stream of events
   * @param finish {@code stop} or {@code length}
   * @param created Unix seconds
   */
  public record StoredAnswer(
      byte[] body, boolean events, String finish, String receiptId, long created) {}

  static Optional<PaymentRecord> find(Connection c, String key) throws SQLException {
    try (PreparedStatement select = c.prepareStatement("SELECT * FROM payment WHERE key = ?")) {
      select.setString(1, key);
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(read(row)) : Optional.empty();
      }
    }
  }

  /** All payments in one of these states. */
  static List<PaymentRecord> inStates(Connection c, PaymentState... states) throws SQLException {
    List<PaymentRecord> found = new ArrayList<>();
    for (PaymentState state : states) {
      try (PreparedStatement select = c.prepareStatement("SELECT * FROM payment WHERE state = ?")) {
        select.setString(1, state.name());
        readAll(select, found);
      }
    }
    return found;
  }

  /** Settled payments that still hold money for an answer. */
  static List<PaymentRecord> holding(Connection c) throws SQLException {
    List<PaymentRecord> found = new ArrayList<>();
    try (PreparedStatement select = c.prepareStatement("SELECT * FROM payment WHERE holding = 1")) {
      readAll(select, found);
    }
    return found;
  }

  /** A gateway's latest settled payments. */
  static List<PaymentRecord> lastSettled(Connection c, String owner, int most) throws SQLException {
    List<PaymentRecord> found = new ArrayList<>();
    try (PreparedStatement select =
        c.prepareStatement(
            "SELECT * FROM payment WHERE state = 'SETTLED' AND owner = ? ORDER BY updated DESC LIMIT ?")) {
      select.setString(1, owner);
      select.setInt(2, most);
      readAll(select, found);
    }
    return found;
  }

  /** A settled payment, and when it was last written. */
  record SettledAt(String key, Instant at) {}

  /** Settled payments last written from one instant until before another, the oldest first. */
  static List<SettledAt> settled(Connection c, String owner, Instant from, Instant until, int most)
      throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement(
            "SELECT key, updated FROM payment WHERE state = 'SETTLED' AND owner = ? AND updated >= ? AND updated < ?"
                + " ORDER BY updated LIMIT ?")) {
      select.setString(1, owner);
      select.setLong(2, from.toEpochMilli());
      select.setLong(3, until.toEpochMilli());
      select.setInt(4, most);
      List<SettledAt> found = new ArrayList<>();
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          found.add(new SettledAt(row.getString(1), Instant.ofEpochMilli(row.getLong(2))));
        }
      }
      return found;
    }
  }

  private static void readAll(PreparedStatement select, List<PaymentRecord> into)
      throws SQLException {
    try (ResultSet row = select.executeQuery()) {
      while (row.next()) {
        into.add(read(row));
      }
    }
  }

  /** Makes a gateway the one that works on a payment, which nobody does. */
  static PaymentRecord take(Connection c, PaymentRecord p, String owner) throws SQLException {
    if (p.owner().equals(owner)) {
      return p;
    }
    try (PreparedStatement update =
        c.prepareStatement("UPDATE payment SET owner = ? WHERE key = ?")) {
      update.setString(1, owner);
      update.setString(2, p.key());
      int unused = update.executeUpdate();
    }
    return p.ownedBy(owner);
  }

  /** Lately settled payments that no gateway looks after any more are looked after by this one. */
  static int takeSettled(Connection c, String owner, Instant since) throws SQLException {
    try (PreparedStatement update =
        c.prepareStatement(
            "UPDATE payment SET owner = ? WHERE state = 'SETTLED' AND updated >= ? AND owner <> ?"
                + " AND owner NOT IN (SELECT id FROM gateway)")) {
      update.setString(1, owner);
      update.setLong(2, since.toEpochMilli());
      update.setString(3, owner);
      return update.executeUpdate();
    }
  }

  /**
   * Writes a payment as it stands now.
   *
   * @throws StoreException where another gateway has taken it over
   */
  static void save(Connection c, PaymentRecord p, Instant now) throws SQLException {
    try (PreparedStatement upsert =
        c.prepareStatement(
            "INSERT INTO payment (key, state, fingerprint, signature, payer, version, message, requirements, sent_hash,"
                + " sent_raw, sent_nonce, sent_block, tx, request_id, seed, attempts, holding, reason, created, updated,"
                + " owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                + " ON CONFLICT (key) DO UPDATE SET state = excluded.state, fingerprint = excluded.fingerprint,"
                + " signature = excluded.signature, payer = excluded.payer, version = excluded.version,"
                + " message = excluded.message, requirements = excluded.requirements, sent_hash = excluded.sent_hash,"
                + " sent_raw = excluded.sent_raw, sent_nonce = excluded.sent_nonce, sent_block = excluded.sent_block,"
                + " tx = excluded.tx, request_id = excluded.request_id, seed = excluded.seed,"
                + " attempts = excluded.attempts, holding = excluded.holding, reason = excluded.reason,"
                + " updated = excluded.updated WHERE payment.owner = excluded.owner")) {
      upsert.setString(1, p.key());
      upsert.setString(2, p.state().name());
      upsert.setString(3, p.fingerprint());
      upsert.setString(4, p.signature());
      upsert.setString(5, p.payer());
      upsert.setInt(6, p.payment().version());
      upsert.setString(7, Json.write(p.payment().raw()));
      upsert.setString(8, Json.write(p.requirements().toJson()));
      upsert.setString(9, p.sent().map(SignedTransaction::hash).orElse(""));
      upsert.setBytes(10, p.sent().map(SignedTransaction::raw).orElse(null));
      upsert.setString(11, p.sent().map(s -> s.nonce().toString()).orElse(""));
      upsert.setLong(12, p.sent().map(SignedTransaction::sinceBlock).orElse(0L));
      upsert.setString(13, p.transaction());
      upsert.setString(14, p.requestId());
      upsert.setLong(15, p.seed());
      upsert.setInt(16, p.attempts());
      upsert.setInt(17, p.holding() ? 1 : 0);
      upsert.setString(18, p.reason());
      upsert.setLong(19, now.toEpochMilli());
      upsert.setLong(20, now.toEpochMilli());
      upsert.setString(21, p.owner());
      if (upsert.executeUpdate() == 0) {
        throw new StoreException(
            "payment "
                + p.key()
                + " was taken over by another gateway: this one was away too long");
      }
    }
  }

  private static PaymentRecord read(ResultSet row) throws SQLException {
    try {
      JsonNode message = Json.trusted(row.getString("message"));
      PaymentPayload payment =
          row.getInt("version") == 2
              ? PaymentPayload.fromJson(message)
              : PaymentPayload.fromV1Header(dev.gridtie.x402.wire.Headers.encode(message));
      byte @Nullable [] raw = row.getBytes("sent_raw");
      return new PaymentRecord(
          row.getString("key"),
          PaymentState.valueOf(row.getString("state")),
          row.getString("fingerprint"),
          row.getString("signature"),
          row.getString("payer"),
          payment,
          PaymentRequirements.fromJson(Json.trusted(row.getString("requirements"))),
          raw == null
              ? Optional.empty()
              : Optional.of(
                  new SignedTransaction(
                      row.getString("sent_hash"),
                      raw,
                      new BigInteger(row.getString("sent_nonce")),
                      row.getLong("sent_block"))),
          row.getString("tx"),
          row.getString("request_id"),
          row.getLong("seed"),
          row.getInt("attempts"),
          row.getInt("holding") == 1,
          row.getString("reason"),
          row.getString("owner"));
    } catch (MalformedPaymentException e) {
      throw new SQLException("a stored payment cannot be read", e);
    }
  }

  static Optional<StoredAnswer> answer(Connection c, String paymentKey) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT * FROM delivered WHERE payment_key = ?")) {
      select.setString(1, paymentKey);
      try (ResultSet row = select.executeQuery()) {
        return row.next()
            ? Optional.of(
                new StoredAnswer(
                    row.getBytes("body"),
                    row.getInt("events") == 1,
                    row.getString("finish"),
                    row.getString("receipt_id"),
                    row.getLong("created")))
            : Optional.empty();
      }
    }
  }

  static void saveAnswer(Connection c, String paymentKey, StoredAnswer answer, Instant now)
      throws SQLException {
    try (PreparedStatement insert =
        c.prepareStatement(
            "INSERT INTO delivered (payment_key, body, events, finish, receipt_id, created, stored)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (payment_key) DO UPDATE SET"
                + " body = excluded.body, events = excluded.events, finish = excluded.finish,"
                + " receipt_id = excluded.receipt_id, created = excluded.created, stored = excluded.stored")) {
      insert.setString(1, paymentKey);
      insert.setBytes(2, answer.body());
      insert.setInt(3, answer.events() ? 1 : 0);
      insert.setString(4, answer.finish());
      insert.setString(5, answer.receiptId());
      insert.setLong(6, answer.created());
      insert.setLong(7, now.getEpochSecond());
      insert.executeUpdate();
    }
  }

  /**
   * Forgets the texts of answers that were stored before; that they were given stays known. Says
   * how many.
   */
  static int forgetAnswersBefore(Connection c, Instant before) throws SQLException {
    try (PreparedStatement update =
        c.prepareStatement(
            "UPDATE delivered SET body = ?, finish = ? WHERE stored < ? AND finish <> ?")) {
      update.setBytes(1, new byte[0]);
      update.setString(2, FORGOTTEN);
      update.setLong(3, before.getEpochSecond());
      update.setString(4, FORGOTTEN);
      return update.executeUpdate();
    }
  }

  /**
   * Forgets payments that failed before anything was sent for them: anybody can make any number.
   * Says how many.
   */
  static int forgetRefusedBefore(Connection c, Instant before) throws SQLException {
    try (PreparedStatement delete =
        c.prepareStatement(
            "DELETE FROM payment WHERE state = 'FAILED' AND sent_hash = '' AND updated < ?")) {
      delete.setLong(1, before.toEpochMilli());
      return delete.executeUpdate();
    }
  }

  /**
   * What was delivered and is about to be paid.
   *
   * @param receipt but for what is known only then
   */
  record Draft(ObjectNode receipt, PicoUsd due) {}

  static void saveDraft(Connection c, String paymentKey, Draft draft) throws SQLException {
    try (PreparedStatement insert =
        c.prepareStatement(
            "INSERT INTO draft (payment_key, receipt, due) VALUES (?, ?, ?)"
                + " ON CONFLICT (payment_key) DO UPDATE SET receipt = excluded.receipt, due = excluded.due")) {
      insert.setString(1, paymentKey);
      insert.setString(2, Json.write(draft.receipt()));
      insert.setString(3, draft.due().pico().toString());
      insert.executeUpdate();
    }
  }

  static Optional<Draft> draft(Connection c, String paymentKey) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT receipt, due FROM draft WHERE payment_key = ?")) {
      select.setString(1, paymentKey);
      try (ResultSet row = select.executeQuery()) {
        return row.next()
            ? Optional.of(
                new Draft(
                    (ObjectNode) Json.trusted(row.getString(1)),
                    new PicoUsd(new BigInteger(row.getString(2)))))
            : Optional.empty();
      }
    }
  }

  static void forgetDraft(Connection c, String paymentKey) throws SQLException {
    try (PreparedStatement delete = c.prepareStatement("DELETE FROM draft WHERE payment_key = ?")) {
      delete.setString(1, paymentKey);
      delete.executeUpdate();
    }
  }

  /** Forgets an answer that was kept before it was paid, and never was. */
  static void forgetAnswer(Connection c, String paymentKey) throws SQLException {
    try (PreparedStatement delete =
        c.prepareStatement("DELETE FROM delivered WHERE payment_key = ?")) {
      delete.setString(1, paymentKey);
      delete.executeUpdate();
    }
  }

  /**
   * What a payer has named a payment.
   *
   * @param fingerprint of the request it was for
   */
  record Named(String fingerprint, String paymentKey) {}

  static Optional<Named> named(Connection c, String payer, String id) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement(
            "SELECT fingerprint, payment_key FROM payment_name WHERE payer = ? AND id = ?")) {
      select.setString(1, payer);
      select.setString(2, id);
      try (ResultSet row = select.executeQuery()) {
        return row.next()
            ? Optional.of(new Named(row.getString(1), row.getString(2)))
            : Optional.empty();
      }
    }
  }

  static void saveName(Connection c, String payer, String id, Named named, Instant now)
      throws SQLException {
    try (PreparedStatement insert =
        c.prepareStatement(
            "INSERT INTO payment_name (payer, id, fingerprint, payment_key, stored) VALUES (?, ?, ?, ?, ?)"
                + " ON CONFLICT (payer, id) DO UPDATE SET fingerprint = excluded.fingerprint,"
                + " payment_key = excluded.payment_key, stored = excluded.stored")) {
      insert.setString(1, payer);
      insert.setString(2, id);
      insert.setString(3, named.fingerprint());
      insert.setString(4, named.paymentKey());
      insert.setLong(5, now.getEpochSecond());
      insert.executeUpdate();
    }
  }

  /** Forgets names as old as the answers they stand for. */
  static int forgetNamesBefore(Connection c, Instant before) throws SQLException {
    try (PreparedStatement delete =
        c.prepareStatement("DELETE FROM payment_name WHERE stored < ?")) {
      delete.setLong(1, before.getEpochSecond());
      return delete.executeUpdate();
    }
  }

  static void saveReceipt(Connection c, String id, String json) throws SQLException {
    try (PreparedStatement insert =
        c.prepareStatement("INSERT INTO receipt (id, json) VALUES (?, ?)")) {
      insert.setString(1, id);
      insert.setString(2, json);
      insert.executeUpdate();
    }
  }

  /** A receipt's JSON, by its id. */
  public static Optional<String> receipt(Connection c, String id) throws SQLException {
    try (PreparedStatement select = c.prepareStatement("SELECT json FROM receipt WHERE id = ?")) {
      select.setString(1, id);
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(row.getString(1)) : Optional.empty();
      }
    }
  }
}
