package dev.gridtie.grid.node;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalTime;
import java.time.ZoneId;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Watches what the owner does with the machine, and says whether it may work for others now. The
 * owner's work is what all processors do, less what the node and its children do. Used by one
 * thread, but for the slow looks.
 */
public final class Owner {
  /** When the machine contributes. */
  public enum When {
    /** Whatever the owner does, as long as the machine is not too hot. */
    ALWAYS,
    /** While the owner does not use it. */
    IDLE
  }

  /**
   * What the owner allows.
   *
   * @param hours empty for the whole day
   * @param quiet how long the machine must have been idle before it contributes again
   * @param busyPercent of one core that the owner may use before it counts as use
   * @param celsiusMax the machine rests while it is hotter
   * @param onBattery whether it contributes on battery
   */
  public record Rules(
      When when,
      Optional<Hours> hours,
      Duration quiet,
      int busyPercent,
      int celsiusMax,
      boolean onBattery) {}

  /** A machine cools down by so much before it works again. */
  private static final int COOL_BY_CELSIUS = 5;

  private static final long SLOW_LOOK_NANOS = 5_000_000_000L;

  private final Rules rules;
  private final Signs signs;
  private final InstantSource clock;
  private final ZoneId zone;
  private final LongSupplier nanos;
  private final Supplier<Stream<Long>> ownProcesses;
  private double lastBusy = -1;
  private double lastOwn;
  private long lastAt;
  private Instant busyUntil = Instant.MIN;
  private boolean tooHot;
  private final Executor aside;
  private final AtomicBoolean looking = new AtomicBoolean();
  private volatile Optional<String> slowReason = Optional.of("the machine is being looked at");
  private long slowLookedAt = Long.MIN_VALUE;

  /**
   * @param ownProcesses the ids of the node and all it has started
   * @param aside for looks that may take long: they must not hold up the others
   */
  public Owner(
      Rules rules,
      Signs signs,
      InstantSource clock,
      ZoneId zone,
      LongSupplier nanos,
      Supplier<Stream<Long>> ownProcesses,
      Executor aside) {
    this.aside = aside;
    this.rules = rules;
    this.signs = signs;
    this.clock = clock;
    this.zone = zone;
    this.nanos = nanos;
    this.ownProcesses = ownProcesses;
  }

  /** Why the machine must not work for others now; empty where it may. */
  public Optional<String> objects() {
    Instant now = clock.instant();
    boolean outside =
        rules.hours().filter(h -> !h.contains(LocalTime.ofInstant(now, zone))).isPresent();
    if (outside) {
      return Optional.of("outside of its hours");
    }
    Optional<String> heat = heat();
    if (heat.isPresent()) {
      return heat;
    }
    if (rules.when() == When.ALWAYS) {
      return Optional.empty();
    }
    double used = usedByOwner();
    if (used * 100 > rules.busyPercent()) {
      busyUntil = now.plus(rules.quiet());
      return Optional.of("the owner uses the machine");
    }
    if (now.isBefore(busyUntil)) {
      return Optional.of("the owner has just used the machine");
    }
    return slowReason(now);
  }

  /** What changes seldom, or costs something to find out. */
  private Optional<String> slowReason(Instant now) {
    long at = nanos.getAsLong();
    boolean due = slowLookedAt == Long.MIN_VALUE || at - slowLookedAt > SLOW_LOOK_NANOS;
    if (due && looking.compareAndSet(false, true)) {
      slowLookedAt = at;
      aside.execute(
          () -> {
            try {
              slowReason = battery().or(() -> touched(now)).or(this::screen);
            } finally {
              looking.set(false);
            }
          });
    }
    return slowReason;
  }

  private Optional<String> battery() {
    return !rules.onBattery() && signs.isOnBattery()
        ? Optional.of("the machine runs on battery")
        : Optional.empty();
  }

  private Optional<String> touched(Instant now) {
    return signs
        .untouched(now)
        .filter(since -> since.compareTo(rules.quiet()) < 0)
        .map(since -> "somebody is at the machine");
  }

  private Optional<String> screen() {
    return signs.isScreenFilled() ? Optional.of("a program fills the screen") : Optional.empty();
  }

  private Optional<String> heat() {
    double hottest = signs.celsius();
    tooHot = hottest > rules.celsiusMax() - (tooHot ? COOL_BY_CELSIUS : 0);
    return tooHot
        ? Optional.of("the machine is at " + (int) hottest + " degrees")
        : Optional.empty();
  }

  /** How many processors the owner has kept busy since the last look. */
  private double usedByOwner() {
    double busy = signs.busySeconds();
    double own = signs.busySeconds(ownProcesses.get());
    long at = nanos.getAsLong();
    double seconds = (at - lastAt) / 1e9;
    double used =
        lastBusy < 0 || seconds <= 0 ? 0 : (busy - lastBusy - Math.max(0, own - lastOwn)) / seconds;
    lastBusy = busy;
    lastOwn = own;
    lastAt = at;
    return used;
  }
}
