package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import java.time.DayOfWeek;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.time.temporal.TemporalAdjusters;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A key in use: what it has spent and what is held, so that fifty requests at once cannot spend
 * what only one may. State: guarded by its own monitor.
 */
public final class Account {
  private final InstantSource clock;
  private final Spending spending = new Spending();
  private volatile ApiKey key;
  private Bucket requests;
  private Bucket tokens;

  Account(ApiKey key, InstantSource clock) {
    this.key = key;
    this.clock = clock;
    this.requests = new Bucket(key.limits().requestsPerMinute(), clock);
    this.tokens = new Bucket(key.limits().tokensPerMinute(), clock);
  }

  public ApiKey key() {
    return key;
  }

  synchronized void update(ApiKey newKey) {
    if (!newKey.limits().equals(key.limits())) {
      requests = new Bucket(newKey.limits().requestsPerMinute(), clock);
      tokens = new Bucket(newKey.limits().tokensPerMinute(), clock);
    }
    key = newKey;
  }

  /** Money set aside for one request; ends once, in a charge or a release. */
  public final class Hold {
    private final PicoUsd amount;
    private final String model;
    private final Map<String, PicoUsd> places;
    private final long tokensTaken;
    private boolean over;

    private Hold(PicoUsd amount, String model, Map<String, PicoUsd> places, long tokensTaken) {
      this.amount = amount;
      this.model = model;
      this.places = places;
      this.tokensTaken = tokensTaken;
    }

    public PicoUsd amount() {
      return amount;
    }

    /** Charges what it came to, to the places of whoever answered. */
    public void charge(PicoUsd cost, Set<String> answered, long actualTokens) {
      end(cost, answered, actualTokens);
    }

    public void release() {
      end(PicoUsd.ZERO, Set.of(), 0);
    }

    private void end(PicoUsd cost, Set<String> answered, long actualTokens) {
      synchronized (Account.this) {
        if (over) {
          return;
        }
        over = true;
        for (Spending.Sum sum : sums(model)) {
          sum.held = sum.held.minus(amount);
          sum.spent = sum.spent.plus(cost);
        }
        for (var place : places.entrySet()) {
          Spending.Sum sum = spending.place(place.getKey());
          sum.held = sum.held.minus(place.getValue());
        }
        for (String place : answered) {
          Spending.Sum sum = spending.place(place);
          sum.spent = sum.spent.plus(cost);
        }
        tokens.take(actualTokens - tokensTaken);
      }
    }
  }

  private LocalDate today() {
    return LocalDate.ofInstant(clock.instant(), ZoneOffset.UTC);
  }

  private List<Spending.Sum> sums(String model) {
    List<Spending.Sum> sums = new java.util.ArrayList<>();
    LocalDate today = today();
    sums.add(spending.total);
    sums.add(spending.day(today));
    sums.add(spending.week(today));
    sums.add(spending.month(today));
    sums.add(spending.model(model));
    return sums;
  }

  /**
   * Sets money aside for a request, before any work is done for it.
   *
   * @param bound the most it can cost
   * @param places of all that may come to answer, and the most that each can cost
   * @param tokensExpected for the rate limit; what they come to is settled at the end
   */
  public synchronized Outcome<Hold> hold(
      PicoUsd bound, String model, Map<String, PicoUsd> places, long tokensExpected) {
    if (key.revoked()) {
      return Outcome.refused(
          ApiError.of(ApiError.Kind.AUTHENTICATION, "key_revoked", "This key has been revoked."));
    }
    if (!requests.allows(1)) {
      return Outcome.refused(rate("requests", key.limits().requestsPerMinute(), requests));
    }
    if (!tokens.allows(tokensExpected)) {
      return Outcome.refused(rate("tokens", key.limits().tokensPerMinute(), tokens));
    }
    Optional<ApiError> over = overLimit(bound, model, places);
    if (over.isPresent()) {
      return Outcome.refused(over.get());
    }
    requests.take(1);
    tokens.take(tokensExpected);
    for (Spending.Sum sum : sums(model)) {
      sum.held = sum.held.plus(bound);
    }
    for (var place : places.entrySet()) {
      Spending.Sum sum = spending.place(place.getKey());
      sum.held = sum.held.plus(place.getValue());
    }
    return Outcome.ok(new Hold(bound, model, places, tokensExpected));
  }

  private Optional<ApiError> overLimit(PicoUsd bound, String model, Map<String, PicoUsd> places) {
    KeyLimits limits = key.limits();
    LocalDate today = today();
    return over("limit", limits.total(), spending.total, bound)
        .or(() -> over("limit for today", limits.day(), spending.day(today), bound))
        .or(() -> over("limit for this month", limits.month(), spending.month(today), bound))
        .or(
            () ->
                over(
                    "limit for this model",
                    Optional.ofNullable(limits.models().get(model)),
                    spending.model(model),
                    bound))
        .or(
            () ->
                places.entrySet().stream()
                    .flatMap(
                        p ->
                            over(
                                "limit for " + p.getKey(),
                                Optional.ofNullable(limits.places().get(p.getKey())),
                                spending.place(p.getKey()),
                                p.getValue())
                                .stream())
                    .findFirst());
  }

  private static Optional<ApiError> over(
      String what, Optional<PicoUsd> limit, Spending.Sum sum, PicoUsd bound) {
    if (limit.isEmpty() || sum.committed().plus(bound).compareTo(limit.get()) <= 0) {
      return Optional.empty();
    }
    PicoUsd left =
        limit.get().compareTo(sum.committed()) <= 0
            ? PicoUsd.ZERO
            : limit.get().minus(sum.committed());
    return Optional.of(
        ApiError.of(
            ApiError.Kind.PAYMENT_REQUIRED,
            "key_limit_reached",
            "This request can cost up to "
                + bound
                + ", and the key's "
                + what
                + " leaves "
                + left
                + " of "
                + limit.get()
                + ". Ask for fewer max_tokens, wait for what is running, or raise the limit."));
  }

  /** Whether the limits of all these places leave enough. */
  public synchronized boolean allows(Set<String> places, PicoUsd bound) {
    return places.stream()
        .allMatch(
            p ->
                over(
                        "",
                        Optional.ofNullable(key.limits().places().get(p)),
                        spending.place(p),
                        bound)
                    .isEmpty());
  }

  private static ApiError rate(String what, int perMinute, Bucket bucket) {
    return ApiError.of(
        ApiError.Kind.RATE_LIMITED,
        "rate_limit_exceeded",
        "This key may send "
            + perMinute
            + " "
            + what
            + " a minute. Come again in "
            + bucket.patience().toSeconds()
            + " s.");
  }

  /** Takes over what was spent before this run. */
  synchronized void replay(PicoUsd cost, String model, Set<String> places, Instant when) {
    LocalDate day = LocalDate.ofInstant(when, ZoneOffset.UTC);
    LocalDate today = today();
    spending.total.spent = spending.total.spent.plus(cost);
    if (day.equals(today)) {
      spending.day(today).spent = spending.day(today).spent.plus(cost);
    }
    if (!day.isBefore(today.with(TemporalAdjusters.previousOrSame(DayOfWeek.MONDAY)))) {
      spending.week(today).spent = spending.week(today).spent.plus(cost);
    }
    if (java.time.YearMonth.from(day).equals(java.time.YearMonth.from(today))) {
      spending.month(today).spent = spending.month(today).spent.plus(cost);
    }
    spending.model(model).spent = spending.model(model).spent.plus(cost);
    for (String place : places) {
      spending.place(place).spent = spending.place(place).spent.plus(cost);
    }
  }

  /** What has been spent, and what of it today, this week and this month. */
  public record Spent(PicoUsd total, PicoUsd day, PicoUsd week, PicoUsd month, PicoUsd held) {}

  public synchronized Spent spent() {
    LocalDate today = today();
    return new Spent(
        spending.total.spent,
        spending.day(today).spent,
        spending.week(today).spent,
        spending.month(today).spent,
        spending.total.held);
  }
}
