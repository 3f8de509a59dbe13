package dev.gridtie.ledger;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import dev.gridtie.base.Numbers;
import java.math.BigInteger;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The book as it was replayed from the log's first entry up to one of them, in plain maps. Can be
 * written down, and gone on from later: whoever keeps it trusts what he has verified himself.
 */
final class Replayed implements Book.State {
  private static final String TYPE = "gridtie-verified-1";

  private final Map<AccountId, Account> accounts = new HashMap<>();
  private final Map<String, Book.HoldState> holds = new HashMap<>();

  /** Holds that had ended before this was gone on from: only how many. */
  private long endedBefore;

  private Chain chain = Chain.START;

  Chain chain() {
    return chain;
  }

  void advance(Chain next) {
    chain = next;
  }

  Map<AccountId, Account> accounts() {
    return accounts;
  }

  /** The holds that are known, open or ended since. */
  Map<String, Book.HoldState> holds() {
    return holds;
  }

  /** How many holds there were in all. */
  long holdCount() {
    return endedBefore + holds.size();
  }

  @Override
  public Optional<Account> account(AccountId id) {
    return Optional.ofNullable(accounts.get(id));
  }

  @Override
  public void put(Account account) {
    accounts.put(account.id(), account);
  }

  @Override
  public Optional<Book.HoldState> hold(String id) {
    return Optional.ofNullable(holds.get(id));
  }

  @Override
  public void put(Book.HoldState hold) {
    holds.put(hold.hold().id(), hold);
  }

  /**
   * Writes it down.
   *
   * @param watcher what somebody who looked on wants to go on from
   */
  String written(String watcher) {
    ObjectNode json = Json.object();
    json.put("type", TYPE);
    json.put("entries", chain.seq());
    json.put("hash", chain.hex());
    json.put("watcher", watcher);
    json.put("holds", holdCount());
    ArrayNode open = json.putArray("open");
    holds.values().stream()
        .filter(h -> !h.ended())
        .map(h -> h.hold().canonical())
        .sorted()
        .forEach(open::add);
    ObjectNode sums = json.putObject("accounts");
    new TreeMap<>(accounts)
        .forEach(
            (id, a) -> {
              ArrayNode row = sums.putArray(id.toString());
              row.add(a.creditOnly()).add(a.debitOnly()).add(a.overdraft().toString());
              row.add(a.debitsPending().toString()).add(a.debitsPosted().toString());
              row.add(a.creditsPending().toString()).add(a.creditsPosted().toString());
            });
    String body = Json.canonical(json);
    return body + "\n" + sum(body) + "\n";
  }

  private static String sum(String body) {
    return HexFormat.of().formatHex(Hashes.sha256(body.getBytes(UTF_8)));
  }

  /** What was written down, and what whoever looked on wants. */
  record Kept(Replayed replayed, String watcher) {}

  /**
   * Reads what was written down.
   *
   * @throws IllegalArgumentException where it was changed, or is something else
   */
  static Kept read(String written) {
    String[] lines = written.split("\n", -1);
    if (lines.length != 3 || !sum(lines[0]).equals(lines[1])) {
      throw new IllegalArgumentException("it was changed, or is no record of a verification");
    }
    JsonNode json = Json.trusted(lines[0]);
    if (!json.path("type").asString("").equals(TYPE)) {
      throw new IllegalArgumentException("it is no record of a verification");
    }
    Replayed replayed = new Replayed();
    replayed.chain =
        new Chain(
            json.path("entries").asLong(0),
            HexFormat.of().parseHex(json.path("hash").asString("")));
    json.path("open")
        .forEach(
            body -> {
              Entry.Hold hold = (Entry.Hold) Entry.parse(body.asString(""));
              replayed.holds.put(hold.id(), new Book.HoldState(hold, false));
            });
    replayed.endedBefore = json.path("holds").asLong(0) - replayed.holds.size();
    json.path("accounts")
        .properties()
        .forEach(
            one -> {
              JsonNode row = one.getValue();
              replayed.put(
                  new Account(
                      AccountId.of(one.getKey()),
                      row.path(0).asBoolean(false),
                      row.path(1).asBoolean(false),
                      number(row, 2),
                      number(row, 3),
                      number(row, 4),
                      number(row, 5),
                      number(row, 6)));
            });
    return new Kept(replayed, json.path("watcher").asString(""));
  }

  private static BigInteger number(JsonNode row, int at) {
    return Numbers.integer(row.path(at).asString(""), Numbers.DIGITS_MAX);
  }
}
