package dev.gridtie.gateway.edge;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.account.Account;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.LedgerRefusal;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.Movement;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import io.vertx.core.MultiMap;
import java.math.BigInteger;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code /v1/credits/…}: what a credit is worth, how many there are, and what a key's holder has
 * and gives. Amounts are written as credits with six decimals, in strings.
 */
final class CreditPages {
  static final String PREFIX = "/v1/credits/";

  /** How many of an account's last movements a statement shows. */
  private static final int STATEMENT_MAX = 1000;

  private final Services services;

  CreditPages(Services services) {
    this.services = services;
  }

  private static ApiError malformed(String why) {
    return ApiError.of(ApiError.Kind.INVALID_REQUEST, "invalid_credits", why);
  }

  private static ApiError noRate() {
    return ApiError.of(
        ApiError.Kind.NOT_FOUND, "no_rate", "This gateway has posted no rate for credits.");
  }

  /** {@code GET quote?usd=1} or {@code ?credits=10}: by the posted rate, rounded down. */
  void quote(@Nullable String usd, @Nullable String credits, Reply reply) {
    Optional<Credits.Rate> rate = services.purse().rate();
    if (rate.isEmpty()) {
      reply.error(noRate());
      return;
    }
    if ((usd == null) == (credits == null)) {
      reply.error(malformed("Ask with one of ?usd=1.50 and ?credits=10."));
      return;
    }
    try {
      ObjectNode json = Json.object();
      if (usd != null) {
        PicoUsd paid = PicoUsd.ofDollars(usd);
        json.put("usd", paid.dollars());
        json.put("credits", Credits.written(rate.get().bought(paid)));
      } else {
        BigInteger micro = Credits.read(String.valueOf(credits));
        json.put("credits", Credits.written(micro));
        json.put("usd", rate.get().worth(micro).dollars());
      }
      json.put("usdPerCredit", rate.get().perCredit().dollars());
      reply.sendQuietly(200, json);
    } catch (IllegalArgumentException e) {
      reply.error(malformed(String.valueOf(e.getMessage())));
    }
  }

  /** {@code GET supply}: for everybody. */
  void supply(Reply reply) {
    LocalDate today = LocalDate.ofInstant(services.clock().instant(), ZoneOffset.UTC);
    Credits.Supply supply = services.database().read(c -> Credits.supply(c, today));
    ObjectNode json = Json.object();
    json.put(
        "flopPerCredit", Credits.FLOP_PER_MICRO.multiply(BigInteger.valueOf(1_000_000)).toString());
    json.put("minted", Credits.written(supply.minted()));
    json.put("returned", Credits.written(supply.returned()));
    json.put("circulating", Credits.written(supply.circulating()));
    json.put("held", Credits.written(supply.held()));
    json.put("turnedOverIn30Days", Credits.written(supply.turnedOver()));
    services.purse().rate().ifPresent(r -> json.put("usdPerCredit", r.perCredit().dollars()));
    reply.sendQuietly(200, json);
  }

  private static ApiError noHolder() {
    return ApiError.of(
        ApiError.Kind.PERMISSION,
        "no_credits",
        "This key is billed in dollars; a key that pays with credits is made with key create"
            + " --credits HOLDER.");
  }

  /** {@code GET statement}: of the holder whose key asks. */
  void statement(Account account, Reply reply) {
    Optional<String> holder = account.key().limits().credits();
    if (holder.isEmpty()) {
      reply.error(noHolder());
      return;
    }
    ObjectNode json = Json.object();
    json.put("holder", holder.get());
    Deque<ObjectNode> last = new ArrayDeque<>();
    var id = Credits.holder(holder.get());
    boolean unused =
        services
            .database()
            .read(
                c -> {
                  Movement.<RuntimeException>forEach(
                      c,
                      m -> {
                        boolean debit = m.between().debit().equals(id);
                        if (debit || m.between().credit().equals(id)) {
                          ObjectNode line = Json.object();
                          line.put("entry", m.seq());
                          line.put("time", m.entry().time().toString());
                          line.put("kind", m.kind());
                          BigInteger moved = debit ? m.posted().negate() : m.posted();
                          line.put("credits", Credits.written(moved));
                          line.put("memo", m.memo());
                          last.add(line);
                          if (last.size() > STATEMENT_MAX) {
                            last.removeFirst();
                          }
                        }
                      });
                  json.put(
                      "available",
                      Credits.written(Credits.balance(new LedgerReader(c), holder.get())));
                  return true;
                });
    ArrayNode lines = json.putArray("movements");
    last.forEach(lines::add);
    reply.sendQuietly(200, json);
  }

  /**
   * {@code POST transfer}: {@code {"to": HOLDER, "credits": "1.5", "id": ANY}}; the same id again
   * changes nothing.
   */
  void transfer(MultiMap headers, String query, byte[] body, Reply reply) {
    Optional<Account> account = Credentials.key(headers, query).flatMap(services.keys()::open);
    if (account.isEmpty()) {
      reply.error(ChatHandler.unknownKey());
      return;
    }
    Optional<String> from = account.get().key().limits().credits();
    if (from.isEmpty()) {
      reply.error(noHolder());
      return;
    }
    try {
      JsonNode asked = Json.parse(body);
      String to = String.valueOf(Json.text(asked, "to"));
      String id = Json.text(asked, "id");
      BigInteger micro = Credits.read(String.valueOf(Json.text(asked, "credits")));
      if (id == null || id.isEmpty() || id.length() > 200 || micro.signum() == 0) {
        reply.error(malformed("id names this transfer, 1 to 200 characters; credits is positive."));
        return;
      }
      if (to.equals(from.get())) {
        reply.error(malformed("to is another holder."));
        return;
      }
      var holder = Credits.holder(to);
      boolean unused =
          services
              .database()
              .writeOrRefuse(
                  (c, log) -> {
                    Credits.transfer(c, log, id, from.get(), to, micro, services.clock().instant());
                    return true;
                  });
      reply.sendQuietly(
          200,
          Json.object()
              .put("to", holder.owner().substring("holder:".length()))
              .put("credits", Credits.written(micro))
              .put("entry", Ids.derived("give " + from.get() + " " + id)));
    } catch (Json.MalformedJsonException | IllegalArgumentException e) {
      reply.error(malformed(String.valueOf(e.getMessage())));
    } catch (RefusedException e) {
      reply.error(refused(e.why()));
    } catch (StoreException e) {
      reply.error(
          ApiError.of(
              ApiError.Kind.UNAVAILABLE,
              "ledger_unavailable",
              "The ledger cannot be written now. Send the same again; its id makes it safe."));
    }
  }

  private static ApiError refused(LedgerRefusal why) {
    return why == LedgerRefusal.ID_USED_DIFFERENTLY
        ? ApiError.of(
            ApiError.Kind.INVALID_REQUEST,
            "id_used",
            "This id was used for another transfer; take a new one.")
        : ApiError.of(
            ApiError.Kind.PAYMENT_REQUIRED,
            "credits_exhausted",
            "Fewer credits are free than are to be given (" + why + ").");
  }
}
