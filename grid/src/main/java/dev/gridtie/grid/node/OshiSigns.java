package dev.gridtie.grid.node;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import oshi.SystemInfo;
import oshi.hardware.CentralProcessor;
import oshi.hardware.CentralProcessor.TickType;
import oshi.hardware.HardwareAbstractionLayer;
import oshi.util.GlobalConfig;

/** As OSHI knows other systems than Linux; macOS says itself when it was touched. */
final class OshiSigns implements Signs {
  /** A line of {@code ioreg}: nanoseconds without keyboard, mouse and touch. */
  private static final Pattern IDLE = Pattern.compile("\"HIDIdleTime\"\\s*=\\s*(\\d{1,18})\\b");

  static {
    // It would give the same reading again for 300 ms: longer than the time between two looks.
    GlobalConfig.set(GlobalConfig.OSHI_UTIL_MEMOIZER_EXPIRATION, 1);
  }

  private final HostFiles host;
  private final HardwareAbstractionLayer machine = new SystemInfo().getHardware();
  private final CentralProcessor processor = machine.getProcessor();

  OshiSigns(HostFiles host) {
    this.host = host;
  }

  @Override
  public double busySeconds() {
    long[] millis = processor.getSystemCpuLoadTicks();
    long busy = 0;
    for (TickType type : TickType.values()) {
      busy += type == TickType.IDLE || type == TickType.IOWAIT ? 0 : millis[type.getIndex()];
    }
    return busy / 1_000.0;
  }

  @Override
  public double busySeconds(Stream<Long> processes) {
    return processes
        .flatMap(pid -> ProcessHandle.of(pid).stream())
        .flatMap(process -> process.info().totalCpuDuration().stream())
        .mapToDouble(time -> time.toNanos() / 1e9)
        .sum();
  }

  @Override
  public boolean isOnBattery() {
    return machine.getPowerSources().stream().anyMatch(source -> source.isDischarging());
  }

  @Override
  public Optional<Duration> untouched(Instant now) {
    return host.run("ioreg", "-c", "IOHIDSystem")
        .map(IDLE::matcher)
        .filter(Matcher::find)
        .map(m -> Duration.ofNanos(Long.parseLong(m.group(1))));
  }

  /** Not known; who watches or plays is seen by what the processors do and by what is touched. */
  @Override
  public boolean isScreenFilled() {
    return false;
  }

  @Override
  public double celsius() {
    double celsius = machine.getSensors().getCpuTemperature();
    return Double.isNaN(celsius) ? 0 : celsius;
  }

  @Override
  public Optional<Long> availableMemory() {
    return Optional.of(machine.getMemory().getAvailable());
  }
}
