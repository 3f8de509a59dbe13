package dev.gridtie.grid.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The owner's use of a machine, as {@code /proc} and {@code /sys} show it. */
class OwnerTest {
  private static final long PID = 77;

  @TempDir private Path root;
  private Instant now = Instant.parse("2026-03-01T12:00:00Z");
  private long busy = 1_000;
  private long own = 100;
  private Owner owner;

  @BeforeEach
  void start() throws IOException {
    write();
    owner = owner(Owner.When.IDLE, Optional.empty(), false);
    assertThat(owner.objects()).isEmpty();
  }

  private Owner owner(Owner.When when, Optional<Hours> hours, boolean onBattery) {
    InstantSource clock = () -> now;
    return new Owner(
        new Owner.Rules(when, hours, Duration.ofSeconds(60), 40, 85, onBattery),
        new LinuxSigns(new HostFiles(root)),
        clock,
        ZoneOffset.UTC,
        () -> now.toEpochMilli() * 1_000_000,
        () -> Stream.of(PID),
        Runnable::run);
  }

  private void put(String path, String text) throws IOException {
    Path file = root.resolve(path);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text + "\n");
  }

  private void write() throws IOException {
    put("proc/stat", "cpu  " + busy + " 0 0 99999 500 0 0 0 0 0");
    put("proc/" + PID + "/stat", PID + " (a name) S 1 1 1 0 -1 0 0 0 0 0 " + own + " 0 0 0 20");
  }

  /** Time passes, in which all and the node itself have used so many processors. */
  private Optional<String> after(double seconds, double all, double mine) throws IOException {
    now = now.plusMillis((long) (seconds * 1000));
    busy += Math.round(all * seconds * 100);
    own += Math.round(mine * seconds * 100);
    write();
    return owner.objects();
  }

  @Test
  void whatTheNodeItselfDoesIsNotTheOwnersUse() throws IOException {
    assertThat(after(1, 1.0, 0.95)).isEmpty();
    assertThat(after(1, 8.0, 7.8)).isEmpty();
  }

  @Test
  void theOwnersProgramsAreAndForAWhileAfterToo() throws IOException {
    assertThat(after(0.25, 1.5, 0.9)).contains("the owner uses the machine");
    assertThat(after(30, 0.1, 0)).contains("the owner has just used the machine");
    assertThat(after(31, 0.1, 0)).isEmpty();
  }

  @Test
  void onBatteryItRests() throws IOException {
    put("sys/class/power_supply/BAT0/status", "Discharging");
    assertThat(after(10, 0, 0)).contains("the machine runs on battery");
    put("sys/class/power_supply/BAT0/status", "Charging");
    assertThat(after(10, 0, 0)).isEmpty();
    put("sys/class/power_supply/BAT0/status", "Discharging");
    owner = owner(Owner.When.IDLE, Optional.empty(), true);
    assertThat(owner.objects()).isEmpty();
  }

  /** A driver or a screen that does not answer must not keep the owner waiting. */
  @Test
  void slowLooksHoldUpNobodyAndNeverOverlap() throws IOException {
    List<Runnable> aside = new ArrayList<>();
    owner =
        new Owner(
            new Owner.Rules(
                Owner.When.IDLE, Optional.empty(), Duration.ofSeconds(60), 40, 85, false),
            new LinuxSigns(new HostFiles(root)),
            () -> now,
            ZoneOffset.UTC,
            () -> now.toEpochMilli() * 1_000_000,
            () -> Stream.of(PID),
            aside::add);
    assertThat(owner.objects()).contains("the machine is being looked at");
    assertThat(after(20, 0, 0)).contains("the machine is being looked at");
    assertThat(after(0.25, 1.5, 0.1)).contains("the owner uses the machine");
    assertThat(aside).hasSize(1);
    aside.removeFirst().run();
    assertThat(after(70, 0, 0)).isEmpty();
    assertThat(aside).as("and again after a while").hasSize(1);
  }

  @Test
  void whereItIsHotItRestsUntilItHasCooledDown() throws IOException {
    owner = owner(Owner.When.ALWAYS, Optional.empty(), false);
    put("sys/class/thermal/thermal_zone0/temp", "60000");
    put("sys/class/thermal/thermal_zone1/temp", "86000");
    assertThat(owner.objects()).contains("the machine is at 86 degrees");
    put("sys/class/thermal/thermal_zone1/temp", "83000");
    assertThat(owner.objects()).as("not cool yet").isPresent();
    put("sys/class/thermal/thermal_zone1/temp", "79000");
    assertThat(owner.objects()).isEmpty();
  }

  @Test
  void whoeverTypesIsThere() throws IOException {
    put("dev/pts/0", "");
    now = Instant.now();
    owner = owner(Owner.When.IDLE, Optional.empty(), false);
    assertThat(owner.objects()).contains("somebody is at the machine");
    now = now.plusSeconds(120);
    assertThat(owner.objects()).isEmpty();
  }

  @Test
  void hoursAreKeptOverMidnightToo() {
    Hours night = Hours.of("22:00-06:00");
    assertThat(List.of("21:59", "22:00", "00:00", "05:59", "06:00"))
        .extracting(t -> night.contains(LocalTime.parse(t)))
        .containsExactly(false, true, true, true, false);
    owner = owner(Owner.When.ALWAYS, Optional.of(night), false);
    assertThat(owner.objects()).contains("outside of its hours");
    now = Instant.parse("2026-03-01T23:00:00Z");
    assertThat(owner.objects()).isEmpty();
    for (String wrong : List.of("", "22-6", "22:00", "06:00-06:00", "25:00-26:00")) {
      assertThatThrownBy(() -> Hours.of(wrong)).hasMessageContaining("22:00-06:00");
    }
  }

  @Test
  void hardwareIsReadFromTheSystem() throws IOException {
    put("proc/cpuinfo", "model name\t: Fast  CPU\nflags\t\t: fpu sse4_2 avx2 fma other");
    put("proc/meminfo", "MemTotal:       16384 kB\nMemAvailable:    8192 kB");
    put("sys/fs/cgroup/memory.max", "4194304");
    put("sys/class/powercap/intel-rapl:0/energy_uj", "1000000");
    Hardware hardware = Hardware.detect(new HostFiles(root), 4, 1);
    assertThat(hardware.cpu()).isEqualTo("Fast CPU");
    assertThat(hardware.cpuFeatures()).containsExactly("sse4_2", "avx2", "fma");
    assertThat(hardware.memoryBytes()).isEqualTo(4_194_304);
    assertThat(hardware.powerReadable()).isTrue();
    PowerMeter meter = PowerMeter.of(new HostFiles(root), "").orElseThrow();
    assertThat(meter.watts(() -> 1_000_000_000L)).isEmpty();
    put("sys/class/powercap/intel-rapl:0/energy_uj", "31000000");
    assertThat(meter.watts(() -> 2_000_000_000L)).contains(30.0);
    put("sys/class/drm/card0/device/hwmon/hwmon3/power1_average", "45500000");
    PowerMeter amd = PowerMeter.of(new HostFiles(root), "rocm").orElseThrow();
    assertThat(amd.watts(() -> 0)).contains(45.5);
  }
}
