package dev.gridtie.grid.node;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** As {@code /proc} and {@code /sys} show it; the screen by X11 (EWMH). */
final class LinuxSigns implements Signs {
  /** Clock ticks a second in {@code /proc}, on every Linux there is (USER_HZ). */
  private static final double TICKS_PER_SECOND = 100;

  private final HostFiles host;

  LinuxSigns(HostFiles host) {
    this.host = host;
  }

  /** All but idle, waiting for disks, and guests, which are counted already. */
  @Override
  public double busySeconds() {
    String first = host.read("proc/stat").flatMap(s -> s.lines().findFirst()).orElse("");
    String[] fields = first.split("\\s+");
    long busy = 0;
    for (int i = 1; i < Math.min(fields.length, 9); i++) {
      busy += i == 4 || i == 5 ? 0 : Long.parseLong(fields[i]);
    }
    return busy / TICKS_PER_SECOND;
  }

  @Override
  public double busySeconds(Stream<Long> processes) {
    return processes.mapToLong(this::ticks).sum() / TICKS_PER_SECOND;
  }

  private long ticks(long pid) {
    String stat = host.read("proc/" + pid + "/stat").orElse("");
    String[] fields = stat.substring(stat.lastIndexOf(')') + 1).strip().split(" ");
    return fields.length < 13 ? 0 : Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
  }

  @Override
  public boolean isOnBattery() {
    return host.list("sys/class/power_supply", "*").stream()
        .map(p -> host.root().relativize(p).resolve("status").toString())
        .anyMatch(f -> host.read(f).filter(s -> s.equals("Discharging")).isPresent());
  }

  /** By when a terminal was last read from. */
  @Override
  public Optional<Duration> untouched(Instant now) {
    List<Path> terminals = new ArrayList<>(host.list("dev/pts", "[0-9]*"));
    terminals.addAll(host.list("dev", "tty[0-9]*"));
    return terminals.stream()
        .flatMap(t -> lastRead(t).stream())
        .max(Comparator.naturalOrder())
        .map(last -> Duration.between(last, now));
  }

  private static Optional<Instant> lastRead(Path terminal) {
    try {
      return Optional.of(
          Files.readAttributes(terminal, BasicFileAttributes.class).lastAccessTime().toInstant());
    } catch (IOException e) {
      return Optional.empty(); // it was closed just now
    }
  }

  @Override
  public boolean isScreenFilled() {
    return host.run("xprop", "-root", "_NET_ACTIVE_WINDOW")
        .map(line -> line.substring(line.lastIndexOf(' ') + 1))
        .filter(id -> id.matches("0x[0-9a-f]+") && !id.equals("0x0"))
        .flatMap(id -> host.run("xprop", "-id", id, "_NET_WM_STATE"))
        .filter(state -> state.contains("_NET_WM_STATE_FULLSCREEN"))
        .isPresent();
  }

  @Override
  public double celsius() {
    return host.list("sys/class/thermal", "thermal_zone*").stream()
            .map(p -> host.root().relativize(p).resolve("temp").toString())
            .flatMap(f -> host.number(f).stream())
            .mapToLong(Long::longValue)
            .max()
            .orElse(0)
        / 1_000.0;
  }

  @Override
  public Optional<Long> availableMemory() {
    return Hardware.memInfo(host, "MemAvailable");
  }
}
