package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import java.time.DayOfWeek;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.time.temporal.TemporalAdjusters;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.IntSupplier;
import org.jspecify.annotations.Nullable;

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
  private int sharedBy;

  /** Holds whose answers are under way, and can be stopped; bounded by the requests at once. */
  private final Set<Hold> stoppable = new LinkedHashSet<>();

  /** Where other gateways spend of the same limits; else null. */
  private final @Nullable Leases leases;

  private final IntSupplier gateways;

  /**
   * @param leases where other gateways spend of the same limits
   * @param gateways how many share a key's rates
   */
  Account(ApiKey key, InstantSource clock, @Nullable Leases leases, IntSupplier gateways) {
    this.key = key;
    this.leases = leases;
    this.gateways = gateways;
    this.clock = clock;
    this.requests = new Bucket(share(key.limits().requestsPerMinute()), clock);
    this.tokens = new Bucket(share(key.limits().tokensPerMinute()), clock);
  }

  /** This gateway's part of a rate that all of them share. */
  private int share(int perMinute) {
    sharedBy = gateways.getAsInt();
    return perMinute == 0 ? 0 : Math.max(1, perMinute / sharedBy);
  }

  public ApiKey key() {
    return key;
  }

  /**
   * Takes over what the key is now. Answers under way that it does not pay for any more are
   * stopped.
   */
  void update(ApiKey newKey) {
    boolean changed = !newKey.limits().equals(key.limits()) || newKey.revoked() != key.revoked();
    change(newKey);
    if (changed) {
      refused().forEach(Runnable::run);
    }
  }

  /** Stops, one for each answer under way that may not go on. */
  private synchronized List<Runnable> refused() {
    List<Runnable> stops = new ArrayList<>();
    for (Hold hold : List.copyOf(stoppable)) {
      refusal(hold).ifPresent(error -> stops.add(() -> hold.stop(error)));
    }
    return stops;
  }

  private Optional<ApiError> refusal(Hold hold) {
    if (key.revoked()) {
      return Optional.of(
          ApiError.of(
              ApiError.Kind.AUTHENTICATION,
              "key_revoked",
              "This key was revoked while its answer was given. What was given is charged."));
    }
    // What it holds itself is among what is committed.
    return overLimit(PicoUsd.ZERO, hold.model, withoutBounds(hold.places))
        .map(
            over ->
                ApiError.of(
                    ApiError.Kind.PAYMENT_REQUIRED,
                    over.code(),
                    "The limits of this key were lowered while its answer was given, and do not"
                        + " reach for it any more. What was given is charged."));
  }

  private static Map<String, PicoUsd> withoutBounds(Map<String, PicoUsd> places) {
    Map<String, PicoUsd> zero = new LinkedHashMap<>();
    places.keySet().forEach(p -> zero.put(p, PicoUsd.ZERO));
    return zero;
  }

  private synchronized void change(ApiKey newKey) {
    if (!newKey.limits().equals(key.limits()) || gateways.getAsInt() != sharedBy) {
      requests = new Bucket(share(newKey.limits().requestsPerMinute()), clock);
      tokens = new Bucket(share(newKey.limits().tokensPerMinute()), clock);
    }
    key = newKey;
  }

  /** Money set aside for one request; ends once, in a charge or a release. */
  public final class Hold {
    private final PicoUsd amount;
    private final String model;
    private final Map<String, PicoUsd> places;
    private final long tokensTaken;

    /** Of limits that other gateways spend of too: what was taken of each. */
    private final Map<String, PicoUsd> leased;

    private boolean over;
    private @Nullable Consumer<ApiError> stop;

    private Hold(
        PicoUsd amount,
        String model,
        Map<String, PicoUsd> places,
        long tokensTaken,
        Map<String, PicoUsd> leased) {
      this.leased = leased;
      this.amount = amount;
      this.model = model;
      this.places = places;
      this.tokensTaken = tokensTaken;
    }

    public PicoUsd amount() {
      return amount;
    }

    /**
     * Says how to stop the answer where its key does not pay for it any more, which may be now.
     * Called on any thread.
     */
    public void whenRefused(Consumer<ApiError> newStop) {
      Optional<ApiError> already;
      synchronized (Account.this) {
        stop = newStop;
        already = over ? Optional.empty() : refusal(this);
        if (!over) {
          stoppable.add(this);
        }
      }
      already.ifPresent(newStop);
    }

    private void stop(ApiError error) {
      Consumer<ApiError> how = stop;
      if (how != null) {
        how.accept(error);
      }
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
        boolean unused = stoppable.remove(this);
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
        endLease(this, cost, answered);
        tokens.take(actualTokens - tokensTaken);
      }
    }
  }

  private void endLease(Hold hold, PicoUsd cost, Set<String> answered) {
    if (leases == null) {
      return;
    }
    hold.leased.forEach(
        (scope, taken) -> {
          leases.subtract(scope, taken);
          boolean elsewhere =
              scope.startsWith("place:") && !answered.contains(scope.substring("place:".length()));
          if (!elsewhere) {
            leases.add(scope, cost);
          }
        });
  }

  /** Whether to hold money for a request, others may have to be asked. */
  public boolean mayBlock() {
    KeyLimits limits = key.limits();
    return limits.credits().isPresent() || (leases != null && limits.isLimited());
  }

  /** A request's cost stands in the database. */
  synchronized void posted(UsageRow row) {
    if (leases != null) {
      leases.posted(row);
    }
  }

  /** Lets other gateways have what is not needed here. */
  synchronized void giveBack() {
    if (leases != null) {
      leases.giveBack(key.id());
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
    Map<String, Budgets.Ask> asks =
        leases == null ? Map.of() : Leases.asks(key.limits(), today(), bound, model, places);
    Optional<ApiError> over =
        leases == null ? overLimit(bound, model, places) : overLease(leases, asks, bound);
    if (over.isPresent()) {
      return Outcome.refused(over.get());
    }
    Map<String, PicoUsd> leased = new LinkedHashMap<>();
    if (leases != null) {
      asks.forEach(
          (scope, ask) -> {
            leases.add(scope, ask.needed());
            leased.put(scope, ask.needed());
          });
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
    return Outcome.ok(new Hold(bound, model, places, tokensExpected, leased));
  }

  private Optional<ApiError> overLease(Leases all, Map<String, Budgets.Ask> asks, PicoUsd bound) {
    try {
      return all.reserve(key.id(), asks)
          .map(
              refused ->
                  overLimit(
                      bound,
                      "limit (" + refused.scope() + ")",
                      refused.left(),
                      Objects.requireNonNull(asks.get(refused.scope())).limit()));
    } catch (StoreException e) {
      return Optional.of(
          ApiError.of(
              ApiError.Kind.UNAVAILABLE,
              "ledger_unavailable",
              "What this key may spend cannot be looked up now. Nothing was charged; try again"
                  + " soon."));
    }
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
    return Optional.of(overLimit(bound, what, left, limit.get()));
  }

  private static ApiError overLimit(PicoUsd bound, String what, PicoUsd left, PicoUsd limit) {
    return ApiError.of(
        ApiError.Kind.PAYMENT_REQUIRED,
        "key_limit_reached",
        "This request can cost up to "
            + bound
            + ", and the key's "
            + what
            + " leaves "
            + left
            + " of "
            + limit
            + ". Ask for fewer max_tokens, wait for what is running, or raise the limit.");
  }

  /** Whether the limits of all these places leave enough. */
  public synchronized boolean allows(Set<String> places, PicoUsd bound) {
    if (leases != null) {
      Map<String, PicoUsd> bounds = new LinkedHashMap<>();
      places.stream().filter(key.limits().places()::containsKey).forEach(p -> bounds.put(p, bound));
      Map<String, Budgets.Ask> asks = Leases.placesOnly(key.limits(), bounds);
      return asks.isEmpty() || overLease(leases, asks, bound).isEmpty();
    }
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
