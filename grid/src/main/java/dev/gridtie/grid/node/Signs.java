package dev.gridtie.grid.node;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.stream.Stream;

/** What a machine shows of its use. Used by one thread. */
public interface Signs {
  /** Seconds that all processors together have worked, since some moment. */
  double busySeconds();

  /** Of these, what some processes have worked; what has ended counts no more. */
  double busySeconds(Stream<Long> processes);

  /** Whether its battery is being drained. */
  boolean isOnBattery();

  /** How long ago somebody touched it; empty where it cannot say. */
  Optional<Duration> untouched(Instant now);

  /** Whether a window fills the screen: a game, or a film. */
  boolean isScreenFilled();

  /** How hot its hottest part is, in degrees Celsius; 0 where it cannot say. */
  double celsius();

  /** Bytes that a new program could have; empty where it cannot say. */
  Optional<Long> availableMemory();

  /** The signs of this machine. */
  static Signs of(HostFiles host) {
    return host.read("proc/stat").isPresent() ? new LinuxSigns(host) : new OshiSigns(host);
  }
}
