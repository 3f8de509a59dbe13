package dev.gridtie.ledger;

import dev.gridtie.base.Json;
import java.math.BigInteger;
import java.time.Instant;
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
  record Open(String id, Instant time, AccountId account, boolean creditOnly) implements Entry {}

  /** Moves money at once. {@code memo} says what for, without secrets or prompts. */
  record Transfer(
      String id, Instant time, AccountId debit, AccountId credit, BigInteger amount, String memo)
      implements Entry {}

  /** Sets money aside until a {@link Post} or a {@link Release} names this hold. */
  record Hold(
      String id, Instant time, AccountId debit, AccountId credit, BigInteger amount, String memo)
      implements Entry {}

  /** Ends a hold by moving {@code amount}, at most what was held; the rest is free again. */
  record Post(String id, Instant time, String hold, BigInteger amount, String memo)
      implements Entry {}

  /** Ends a hold without moving anything. */
  record Release(String id, Instant time, String hold, String memo) implements Entry {}

  /** Puts the hash of a document into the log: a receipt. Moves nothing. */
  record Witness(String id, Instant time, String kind, String sha256) implements Entry {}

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
              json.path("creditOnly").asBoolean(false));
      case "transfer" ->
          new Transfer(
              id,
              time,
              AccountId.of(text(json, "debit")),
              AccountId.of(text(json, "credit")),
              new BigInteger(text(json, "amount")),
              text(json, "memo"));
      case "hold" ->
          new Hold(
              id,
              time,
              AccountId.of(text(json, "debit")),
              AccountId.of(text(json, "credit")),
              new BigInteger(text(json, "amount")),
              text(json, "memo"));
      case "post" ->
          new Post(
              id,
              time,
              text(json, "hold"),
              new BigInteger(text(json, "amount")),
              text(json, "memo"));
      case "release" -> new Release(id, time, text(json, "hold"), text(json, "memo"));
      case "witness" -> new Witness(id, time, text(json, "kind"), text(json, "sha256"));
      default -> throw new IllegalArgumentException("unknown type of entry");
    };
  }

  private static String text(JsonNode json, String key) {
    String value = Json.text(json, key);
    if (value == null) {
      throw new IllegalArgumentException(key + " is missing");
    }
    return value;
  }
}
