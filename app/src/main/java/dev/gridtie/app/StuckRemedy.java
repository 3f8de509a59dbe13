package dev.gridtie.app;

import com.sun.management.HotSpotDiagnosticMXBean;
import dev.gridtie.gateway.watch.Watchdog;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.time.Duration;

/**
 * What is done about a process that is stuck: what its threads do is written into the logs (calls
 * alone, no values, so no secrets), and if it stays stuck it ends, with a status at which the
 * launcher starts it again.
 */
final class StuckRemedy implements Watchdog.Remedy {
  /** How many findings one process writes down. */
  private static final int DUMPS_MAX = 10;

  /** How long an orderly end may take: what is stuck may keep it from coming. */
  private static final Duration ENDING_MAX = Duration.ofSeconds(8);

  private final Path logs;
  private int dumps;

  StuckRemedy(Path logs) {
    this.logs = logs;
  }

  @Override
  public void dump(String what) {
    System.err.println("gridtie: stuck: " + what);
    if (dumps++ >= DUMPS_MAX) {
      return;
    }
    Path file =
        logs.resolve("stuck-" + ProcessHandle.current().pid() + "-" + dumps + ".txt")
            .toAbsolutePath();
    try {
      ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class)
          .dumpThreads(file.toString(), HotSpotDiagnosticMXBean.ThreadDumpFormat.TEXT_PLAIN);
      System.err.println("gridtie: what its threads do is in " + file);
    } catch (IOException e) {
      System.err.println("gridtie: its threads could not be written down: " + e.getMessage());
    }
  }

  @Override
  public void end(String what) {
    System.err.println("gridtie: stuck for too long, ending to be started again: " + what);
    Thread.ofPlatform().daemon().start(() -> System.exit(Watchdog.STUCK_STATUS));
    Thread.ofPlatform()
        .daemon()
        .start(
            () -> {
              try {
                Thread.sleep(ENDING_MAX);
              } catch (InterruptedException e) {
                // Now, then.
              }
              Runtime.getRuntime().halt(Watchdog.STUCK_STATUS);
            });
  }
}
