package dev.gridtie.ledger;

import dev.gridtie.base.Json;
import dev.gridtie.base.Numbers;
import java.math.BigInteger;
import java.time.Instant;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * One line of the log. Written as canonical JSON (RFC 8785), which is what is hashed. {@code id} is
 * the caller's, 32 hexadecimal digits, used once in the whole log: saying the same entry again
 * changes nothing.
 */
public sealed interface Entry {
  String id();

  Instant time();

  /** Opens an account. */
  record Open(String id, Instant time, AccountId account, boolean creditOnly, boolean debitOnly)
      implements Entry {
    public Open(String id, Instant time, AccountId account, boolean creditOnly) {
      this(id, time, account, creditOnly, false);
    }
  }

  /** Says how far a credit-only account may be overdrawn from now on. Moves nothing. */
  record Limit(String id, Instant time, AccountId account, BigInteger overdraft) implements Entry {}

  /** Moves money at once. {@code memo} says what for, without secrets or prompts. */
  record Transfer(
      String id, Instant time, AccountId debit, AccountId credit, BigInteger amount, String memo)
      implements Entry {}

  /**
   * Sets money aside until a {@link Post} or a {@link Release} names this hold, or it expires.
   *
   * @param expires when it can be posted no more
   */
  record Hold(
      String id,
      Instant time,
      AccountId debit,
      AccountId credit,
      BigInteger amount,
      String memo,
      Optional<Instant> expires)
      implements Entry {
    public Hold(
        String id,
        Instant time,
        AccountId debit,
        AccountId credit,
        BigInteger amount,
        String memo) {
      this(id, time, debit, credit, amount, memo, Optional.empty());
    }
  }

  /** Ends a hold by moving {@code amount}, at most what was held; the rest is free again. */
  record Post(String id, Instant time, String hold, BigInteger amount, String memo)
      implements Entry {}

  /** Ends a hold without moving anything. */
  record Release(String id, Instant time, String hold, String memo) implements Entry {}

  /** Ends a hold whose time has come, without moving anything. Said by the ledger's own sweeper. */
  record Expire(String id, Instant time, String hold) implements Entry {}

  /** Puts the hash of a document into the log: a receipt. Moves nothing. */
  record Witness(String id, Instant time, String kind, String sha256) implements Entry {}

  /** Whether it says the same as another, the time at which it is said aside. */
  default boolean saysTheSameAs(Entry other) {
    return timeless().equals(other.timeless());
  }

  private Entry timeless() {
    Instant never = Instant.EPOCH;
    return switch (this) {
      case Open e -> new Open(e.id(), never, e.account(), e.creditOnly(), e.debitOnly());
      case Limit e -> new Limit(e.id(), never, e.account(), e.overdraft());
      case Transfer e -> new Transfer(e.id(), never, e.debit(), e.credit(), e.amount(), e.memo());
      case Hold e ->
          new Hold(
              e.id(),
              never,
              e.debit(),
              e.credit(),
              e.amount(),
              e.memo(),
              e.expires().map(at -> never)); // counted from the time of saying
      case Post e -> new Post(e.id(), never, e.hold(), e.amount(), e.memo());
      case Release e -> new Release(e.id(), never, e.hold(), e.memo());
      case Expire e -> new Expire(e.id(), never, e.hold());
      case Witness e -> new Witness(e.id(), never, e.kind(), e.sha256());
    };
  }

  /** The canonical text of this entry. */
  default String canonical() {
    ObjectNode json = Json.object();
    json.put("id", id());
    json.put("time", time().toString());
    switch (this) {
      case Open e -> {
        json.put("type", "open");
        json.put("account", e.account().toString());
        json.put("creditOnly", e.creditOnly());
        if (e.debitOnly()) {
          json.put("debitOnly", true);
        }
      }
      case Limit e -> {
        json.put("type", "limit");
        json.put("account", e.account().toString());
        json.put("overdraft", e.overdraft().toString());
      }
      case Transfer e -> {
        json.put("type", "transfer");
        json.put("debit", e.debit().toString());
        json.put("credit", e.credit().toString());
        json.put("amount", e.amount().toString());
        json.put("memo", e.memo());
      }
      case Hold e -> {
        json.put("type", "hold");
        json.put("debit", e.debit().toString());
        json.put("credit", e.credit().toString());
        json.put("amount", e.amount().toString());
        json.put("memo", e.memo());
        e.expires().ifPresent(at -> json.put("expires", at.toString()));
      }
      case Post e -> {
        json.put("type", "post");
        json.put("hold", e.hold());
        json.put("amount", e.amount().toString());
        json.put("memo", e.memo());
      }
      case Release e -> {
        json.put("type", "release");
        json.put("hold", e.hold());
        json.put("memo", e.memo());
      }
      case Expire e -> {
        json.put("type", "expire");
        json.put("hold", e.hold());
      }
      case Witness e -> {
        json.put("type", "witness");
        json.put("kind", e.kind());
        json.put("sha256", e.sha256());
      }
    }
    return Json.canonical(json);
  }

  /**
   * Reads an entry from its canonical text.
   *
   * @throws IllegalArgumentException where the text is not exactly what {@link #canonical} writes
   */
  static Entry parse(String canonical) {
    try {
      JsonNode json = Json.parse(canonical.getBytes(java.nio.charset.StandardCharsets.UTF_8));
      Entry entry = read(json);
      if (!entry.canonical().equals(canonical)) {
        throw new IllegalArgumentException("the entry is not in canonical form");
      }
      return entry;
    } catch (Json.MalformedJsonException | java.time.DateTimeException e) {
      throw new IllegalArgumentException("the entry cannot be read: " + e.getMessage(), e);
    }
  }

  private static Entry read(JsonNode json) {
    String id = text(json, "id");
    Instant time = Instant.parse(text(json, "time"));
    return switch (text(json, "type")) {
      case "open" ->
          new Open(
              id,
              time,
              AccountId.of(text(json, "account")),
              json.path("creditOnly").asBoolean(false),
              json.path("debitOnly").asBoolean(false));
      case "limit" ->
          new Limit(id, time, AccountId.of(text(json, "account")), amount(json, "overdraft"));
      case "transfer" ->
          new Transfer(
              id,
              time,
              AccountId.of(text(json, "debit")),
              AccountId.of(text(json, "credit")),
              amount(json, "amount"),
              text(json, "memo"));
      case "hold" ->
          new Hold(
              id,
              time,
              AccountId.of(text(json, "debit")),
              AccountId.of(text(json, "credit")),
              amount(json, "amount"),
              text(json, "memo"),
              Optional.ofNullable(Json.text(json, "expires")).map(Instant::parse));
      case "post" ->
          new Post(id, time, text(json, "hold"), amount(json, "amount"), text(json, "memo"));
      case "release" -> new Release(id, time, text(json, "hold"), text(json, "memo"));
      case "expire" -> new Expire(id, time, text(json, "hold"));
      case "witness" -> new Witness(id, time, text(json, "kind"), text(json, "sha256"));
      default -> throw new IllegalArgumentException("unknown type of entry");
    };
  }

  private static BigInteger amount(JsonNode json, String key) {
    return Numbers.integer(text(json, key), Numbers.DIGITS_MAX);
  }

  private static String text(JsonNode json, String key) {
    String value = Json.text(json, key);
    if (value == null) {
      throw new IllegalArgumentException(key + " is missing");
    }
    return value;
  }
}
