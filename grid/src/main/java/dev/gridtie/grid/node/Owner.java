package dev.gridtie.grid.node;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalTime;
import java.time.ZoneId;
import java.util.List;
import java.util.Optional;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Watches what the owner does with the machine, and says whether it may work for others now. The
 * owner's work is what all processors do, less what the node and its children do. Used by one
 * thread.
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

  /** Clock ticks a second in {@code /proc}, on every Linux there is (USER_HZ). */
  private static final double TICKS_PER_SECOND = 100;

  private static final long SLOW_LOOK_NANOS = 5_000_000_000L;

  private final Rules rules;
  private final HostFiles host;
  private final InstantSource clock;
  private final ZoneId zone;
  private final LongSupplier nanos;
  private final Supplier<Stream<Long>> ownProcesses;
  private long lastBusy = -1;
  private long lastOwn;
  private long lastAt;
  private Instant busyUntil = Instant.MIN;
  private boolean tooHot;
  private Optional<String> slowReason = Optional.empty();
  private long slowLookedAt = Long.MIN_VALUE;

  /**
   * @param ownProcesses the ids of the node and all it has started
   */
  public Owner(
      Rules rules,
      HostFiles host,
      InstantSource clock,
      ZoneId zone,
      LongSupplier nanos,
      Supplier<Stream<Long>> ownProcesses) {
    this.rules = rules;
    this.host = host;
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
    if (slowLookedAt == Long.MIN_VALUE || at - slowLookedAt > SLOW_LOOK_NANOS) {
      slowLookedAt = at;
      slowReason = battery().or(() -> typing(now)).or(this::fullscreen);
    }
    return slowReason;
  }

  private Optional<String> battery() {
    boolean discharging =
        host.list("sys/class/power_supply", "*").stream()
            .map(p -> host.root().relativize(p).resolve("status").toString())
            .anyMatch(f -> host.read(f).filter(s -> s.equals("Discharging")).isPresent());
    return discharging && !rules.onBattery()
        ? Optional.of("the machine runs on battery")
        : Optional.empty();
  }

  /** Somebody has typed into a terminal lately. */
  private Optional<String> typing(Instant now) {
    List<Path> terminals = new java.util.ArrayList<>(host.list("dev/pts", "[0-9]*"));
    terminals.addAll(host.list("dev", "tty[0-9]*"));
    for (Path terminal : terminals) {
      try {
        Instant used =
            Files.readAttributes(terminal, BasicFileAttributes.class).lastAccessTime().toInstant();
        if (used.plus(rules.quiet()).isAfter(now)) {
          return Optional.of("somebody types");
        }
      } catch (IOException e) {
        // It was closed just now.
      }
    }
    return Optional.empty();
  }

  /** A window fills the screen: a game, or a film (X11, EWMH). */
  private Optional<String> fullscreen() {
    return host.run("xprop", "-root", "_NET_ACTIVE_WINDOW")
        .map(line -> line.substring(line.lastIndexOf(' ') + 1))
        .filter(id -> id.matches("0x[0-9a-f]+") && !id.equals("0x0"))
        .flatMap(id -> host.run("xprop", "-id", id, "_NET_WM_STATE"))
        .filter(state -> state.contains("_NET_WM_STATE_FULLSCREEN"))
        .map(state -> "a program fills the screen");
  }

  private Optional<String> heat() {
    long hottest =
        host.list("sys/class/thermal", "thermal_zone*").stream()
            .map(p -> host.root().relativize(p).resolve("temp").toString())
            .flatMap(f -> host.number(f).stream())
            .mapToLong(Long::longValue)
            .max()
            .orElse(0);
    long limit = (rules.celsiusMax() - (tooHot ? COOL_BY_CELSIUS : 0)) * 1_000L;
    tooHot = hottest > limit;
    return tooHot
        ? Optional.of("the machine is at " + hottest / 1_000 + " degrees")
        : Optional.empty();
  }

  /** How many processors the owner has kept busy since the last look. */
  private double usedByOwner() {
    long busy = busyTicks();
    long own = ownProcesses.get().mapToLong(this::ticks).sum();
    long at = nanos.getAsLong();
    double seconds = (at - lastAt) / 1e9;
    double used =
        lastBusy < 0 || seconds <= 0
            ? 0
            : (busy - lastBusy - Math.max(0, own - lastOwn)) / TICKS_PER_SECOND / seconds;
    lastBusy = busy;
    lastOwn = own;
    lastAt = at;
    return used;
  }

  /** All but idle, waiting for disks, and guests, which are counted already. */
  private long busyTicks() {
    String first = host.read("proc/stat").flatMap(s -> s.lines().findFirst()).orElse("");
    String[] fields = first.split("\\s+");
    long busy = 0;
    for (int i = 1; i < Math.min(fields.length, 9); i++) {
      busy += i == 4 || i == 5 ? 0 : Long.parseLong(fields[i]);
    }
    return busy;
  }

  private long ticks(long pid) {
    String stat = host.read("proc/" + pid + "/stat").orElse("");
    String[] fields = stat.substring(stat.lastIndexOf(')') + 1).strip().split(" ");
    return fields.length < 13 ? 0 : Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
  }
}
