package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.Optional;

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
