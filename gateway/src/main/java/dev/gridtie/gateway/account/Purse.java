package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** Lets keys pay with credits: holds the most an answer may cost, and spends what it came to. */
public final class Purse {
  private final Database database;
  private final Optional<Credits.Rate> rate;
  private final InstantSource clock;

  /**
   * @param rate what a credit is worth here; empty where none are taken
   */
  public Purse(Database database, Optional<Credits.Rate> rate, InstantSource clock) {
    this.database = database;
    this.rate = rate;
    this.clock = clock;
  }

  public Optional<Credits.Rate> rate() {
    return rate;
  }

  /**
   * What is held of a holder's credits for an answer.
   *
   * @param answerId names the hold
   */
  public record Held(String answerId, BigInteger micro, Credits.Rate rate) {
    /** What an answer comes to, at most what is held. */
    BigInteger price(PicoUsd cost) {
      return rate.price(cost).min(micro);
    }
  }

  /** How many holders' standing is remembered. */
  private static final int STANDINGS_MAX = 10_000;

  private static final Duration STANDING_KEPT = Duration.ofSeconds(30);

  /** The highest standing. */
  public static final int PRIORITY_MAX = 10;

  private record Standing(int priority, Instant since) {}

  private final Map<String, Standing> standings = new ConcurrentHashMap<>();

  /**
   * Where its holder stands when nodes are short, 0 to {@value #PRIORITY_MAX}: a step for each
   * doubling of the credits that the holder has ever come by. Looked up seldom; may block then.
   */
  public int priority(ApiKey key) {
    Optional<String> holder = key.limits().credits();
    if (holder.isEmpty()) {
      return 0;
    }
    Instant now = clock.instant();
    Standing known = standings.get(holder.get());
    if (known == null || known.since().plus(STANDING_KEPT).isBefore(now)) {
      if (standings.size() >= STANDINGS_MAX) {
        standings.clear();
      }
      known = new Standing(standing(holder.get()), now);
      standings.put(holder.get(), known);
    }
    return known.priority();
  }

  private int standing(String holder) {
    try {
      BigInteger came = database.read(c -> Credits.cameBy(new LedgerReader(c), holder));
      int doublings = came.divide(BigInteger.valueOf(1_000_000)).bitLength();
      return Math.min(PRIORITY_MAX, doublings);
    } catch (StoreException e) {
      return 0;
    }
  }

  /** Holds the most that an answer may cost. Blocks until the ledger has it. */
  public Outcome<Held> hold(String holder, String answerId, PicoUsd bound) {
    if (rate.isEmpty()) {
      return Outcome.refused(
          ApiError.of(
              ApiError.Kind.PAYMENT_REQUIRED,
              "credits_not_taken",
              "This key pays with credits, and this gateway has posted no rate for them."));
    }
    BigInteger micro = rate.get().price(bound);
    try {
      if (Credits.hold(database, answerId, holder, micro, clock.instant())) {
        return Outcome.ok(new Held(answerId, micro, rate.get()));
      }
      return Outcome.refused(
          ApiError.of(
              ApiError.Kind.PAYMENT_REQUIRED,
              "credits_exhausted",
              "This request can cost up to "
                  + Credits.written(micro)
                  + " credits, and "
                  + holder
                  + " has fewer that are free. Ask for fewer max_tokens, wait for what is running,"
                  + " or earn more."));
    } catch (StoreException e) {
      return Outcome.refused(
          ApiError.of(
              ApiError.Kind.UNAVAILABLE,
              "ledger_unavailable",
              "Credits cannot be held now. Nothing was charged; try again soon."));
    }
  }
}
