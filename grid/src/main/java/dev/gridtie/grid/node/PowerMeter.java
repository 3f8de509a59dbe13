package dev.gridtie.grid.node;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.LongSupplier;

/** Says what a machine takes, in watts, where that can be read. Used by one thread at a time. */
public interface PowerMeter {
  /** Watts since the last call; empty where nothing could be read this time. */
  Optional<Double> watts(LongSupplier nanos);

  /** The meter of this machine: the graphics processor's, else the processor's (RAPL). */
  static Optional<PowerMeter> of(HostFiles host, String gpuKind) {
    if (gpuKind.equals("cuda")) {
      return Optional.of(
          nanos ->
              host.run("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")
                  .flatMap(out -> out.lines().findFirst())
                  .filter(l -> l.matches("[0-9.]+"))
                  .map(Double::parseDouble));
    }
    for (Path card : host.list("sys/class/drm", "card?")) {
      String folder = host.root().relativize(card).resolve("device/hwmon").toString();
      for (Path sensor : host.list(folder, "hwmon*")) { // AMD's, in millionths of a watt
        String file = host.root().relativize(sensor).resolve("power1_average").toString();
        if (host.number(file).isPresent()) {
          return Optional.of(nanos -> host.number(file).map(micro -> micro / 1e6));
        }
      }
    }
    List<Path> zones = host.list("sys/class/powercap", "intel-rapl:?");
    return zones.stream()
        .map(z -> host.root().relativize(z).resolve("energy_uj").toString())
        .filter(f -> host.number(f).isPresent())
        .findFirst()
        .map(f -> new Rapl(host, f));
  }

  /** The processor's own counter of energy. State: the last reading. */
  final class Rapl implements PowerMeter {
    private final HostFiles host;
    private final String file;
    private long lastMicroJoules = -1;
    private long lastNanos;

    Rapl(HostFiles host, String file) {
      this.host = host;
      this.file = file;
    }

    @Override
    public Optional<Double> watts(LongSupplier nanos) {
      Optional<Long> now = host.number(file);
      long at = nanos.getAsLong();
      if (now.isEmpty()) {
        return Optional.empty();
      }
      long joules = now.get() - lastMicroJoules;
      long time = at - lastNanos;
      boolean first = lastMicroJoules < 0;
      lastMicroJoules = now.get();
      lastNanos = at;
      return first || joules < 0 || time <= 0 // it has run over
          ? Optional.empty()
          : Optional.of(joules * 1_000.0 / time);
    }
  }
}
