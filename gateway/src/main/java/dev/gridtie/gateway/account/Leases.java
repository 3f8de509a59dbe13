package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.till.Presence;
import java.time.LocalDate;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What one key may spend at this gateway without asking the others, and what it has: held or spent,
 * and not posted yet. Guarded by the key's account.
 */
final class Leases {
  private static final class Sum {
    PicoUsd lease = PicoUsd.ZERO;
    PicoUsd unposted = PicoUsd.ZERO;
  }

  private final Budgets budgets;
  private final Presence presence;
  private final Map<String, Sum> sums = new HashMap<>();
  private boolean used;
  private long joined;

  Leases(Budgets budgets, Presence presence) {
    this.budgets = budgets;
    this.presence = presence;
  }

  /** What a request may come to, by the limits that it falls under. */
  static Map<String, Budgets.Ask> asks(
      KeyLimits limits, LocalDate today, PicoUsd bound, String model, Map<String, PicoUsd> places) {
    Map<String, Budgets.Ask> asks = new LinkedHashMap<>();
    limits.total().ifPresent(l -> asks.put(Budgets.TOTAL, new Budgets.Ask(l, bound)));
    limits.day().ifPresent(l -> asks.put(Budgets.day(today), new Budgets.Ask(l, bound)));
    limits.month().ifPresent(l -> asks.put(Budgets.month(today), new Budgets.Ask(l, bound)));
    Optional.ofNullable(limits.models().get(model))
        .ifPresent(l -> asks.put(Budgets.model(model), new Budgets.Ask(l, bound)));
    asks.putAll(placesOnly(limits, places));
    return asks;
  }

  /** As {@link #asks}, of the limits of places alone. */
  static Map<String, Budgets.Ask> placesOnly(KeyLimits limits, Map<String, PicoUsd> places) {
    Map<String, Budgets.Ask> asks = new LinkedHashMap<>();
    places.forEach(
        (place, most) ->
            Optional.ofNullable(limits.places().get(place))
                .ifPresent(l -> asks.put(Budgets.place(place), new Budgets.Ask(l, most))));
    return asks;
  }

  /**
   * Sees to it that this much more is leased; asks the others where it is not.
   *
   * @param asks by scope, the limit and what comes on top
   * @return what refuses
   */
  Optional<Budgets.Granted.Refused> reserve(String keyId, Map<String, Budgets.Ask> asks) {
    if (asks.isEmpty()) {
      return Optional.empty();
    }
    used = true;
    long now = presence.assured();
    if (now != joined) {
      sums.values().forEach(s -> s.lease = PicoUsd.ZERO); // the others have given it away
      joined = now;
    }
    boolean isLeased =
        asks.entrySet().stream()
            .allMatch(
                a -> {
                  Sum sum = sum(a.getKey());
                  return sum.unposted.plus(a.getValue().needed()).compareTo(sum.lease) <= 0;
                });
    if (isLeased) {
      return Optional.empty();
    }
    Map<String, Budgets.Ask> all = new HashMap<>();
    asks.forEach(
        (scope, ask) ->
            all.put(scope, new Budgets.Ask(ask.limit(), sum(scope).unposted.plus(ask.needed()))));
    return switch (budgets.lease(keyId, all)) {
      case Budgets.Granted.Refused refused -> {
        PicoUsd mine = sum(refused.scope()).unposted;
        yield Optional.of(
            new Budgets.Granted.Refused(
                refused.scope(), refused.left().minus(mine.min(refused.left()))));
      }
      case Budgets.Granted.Leases leases -> {
        leases.amounts().forEach((scope, amount) -> sum(scope).lease = amount);
        yield Optional.empty();
      }
    };
  }

  private Sum sum(String scope) {
    return sums.computeIfAbsent(scope, s -> new Sum());
  }

  /** More is held, or was spent. */
  void add(String scope, PicoUsd amount) {
    Sum sum = sum(scope);
    sum.unposted = sum.unposted.plus(amount);
  }

  /** Less is held. */
  void subtract(String scope, PicoUsd amount) {
    Sum sum = sum(scope);
    sum.unposted = sum.unposted.minus(amount.min(sum.unposted));
  }

  /** A request's cost stands in the database: no longer here. */
  void posted(UsageRow row) {
    for (String scope : Budgets.postedTo(row)) {
      Sum sum = sums.get(scope);
      if (sum != null) {
        sum.unposted = sum.unposted.minus(row.cost().min(sum.unposted));
        sum.lease = sum.lease.minus(row.cost().min(sum.lease));
      }
    }
  }

  /** Gives back what is leased and was not needed lately. */
  void giveBack(String keyId) {
    if (used) {
      used = false;
      return;
    }
    Map<String, PicoUsd> needed = new HashMap<>();
    sums.forEach(
        (scope, sum) -> {
          if (sum.lease.compareTo(sum.unposted) > 0) {
            needed.put(scope, sum.unposted);
          }
        });
    if (!needed.isEmpty()) {
      budgets.giveBack(keyId, needed);
      needed.forEach((scope, amount) -> sum(scope).lease = amount);
    }
    sums.values().removeIf(s -> s.lease.isZero() && s.unposted.isZero());
  }
}
