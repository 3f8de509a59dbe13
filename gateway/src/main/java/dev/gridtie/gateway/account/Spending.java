package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import java.time.DayOfWeek;
import java.time.LocalDate;
import java.time.YearMonth;
import java.time.temporal.TemporalAdjusters;
import java.util.HashMap;
import java.util.Map;

/**
 * What a key has spent, and what is held of it. Guarded by its owner.
 *
 * <p>The maps are bounded by the catalog: only models, providers and endpoints that exist are
 * charged.
 */
final class Spending {
  /** A sum that is spent and one that is held. */
  static final class Sum {
    PicoUsd spent = PicoUsd.ZERO;
    PicoUsd held = PicoUsd.ZERO;

    PicoUsd committed() {
      return spent.plus(held);
    }
  }

  final Sum total = new Sum();
  final Map<String, Sum> models = new HashMap<>();
  final Map<String, Sum> places = new HashMap<>();
  private Sum day = new Sum();
  private Sum week = new Sum();
  private Sum month = new Sum();
  private LocalDate today = LocalDate.MIN;
  private LocalDate thisMonday = LocalDate.MIN;
  private YearMonth thisMonth = YearMonth.of(0, 1);

  Sum day(LocalDate now) {
    if (!today.equals(now)) {
      PicoUsd held = day.held;
      day = new Sum();
      day.held = held; // what is running belongs to the day on which it ends
      today = now;
    }
    return day;
  }

  /** Weeks begin on Mondays. */
  Sum week(LocalDate now) {
    LocalDate monday = now.with(TemporalAdjusters.previousOrSame(DayOfWeek.MONDAY));
    if (!thisMonday.equals(monday)) {
      PicoUsd held = week.held;
      week = new Sum();
      week.held = held;
      thisMonday = monday;
    }
    return week;
  }

  Sum month(LocalDate now) {
    if (!thisMonth.equals(YearMonth.from(now))) {
      PicoUsd held = month.held;
      month = new Sum();
      month.held = held;
      thisMonth = YearMonth.from(now);
    }
    return month;
  }

  Sum model(String id) {
    return models.computeIfAbsent(id, k -> new Sum());
  }

  /** Of a provider or an endpoint. */
  Sum place(String name) {
    return places.computeIfAbsent(name, k -> new Sum());
  }
}
