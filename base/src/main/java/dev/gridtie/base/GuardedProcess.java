package dev.gridtie.base;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A foreign program as a child that cannot outlive us. A shell stands between: it holds a pipe from
 * this process, and when the pipe closes, for whatever reason, kill -9 of this process included, it
 * ends the program.
 */
public final class GuardedProcess implements AutoCloseable {
  private static final String GUARD =
      """
      exec 3<&0
      "$@" </dev/null 3<&- &
      c=$!
      trap 'kill -TERM $c 2>/dev/null' TERM INT HUP
      ( trap '' INT
        cat <&3 >/dev/null 2>&1
        kill -TERM $c 2>/dev/null
        i=0
        while kill -0 $c 2>/dev/null && [ $i -lt 40 ]; do sleep 0.1; i=$((i+1)); done
        kill -KILL $c 2>/dev/null
      ) >/dev/null 2>&1 &
      exec 3<&-
      s=0
      while kill -0 $c 2>/dev/null; do wait $c; s=$?; done
      exit $s
      """;

  private final Process process;

  private GuardedProcess(Process process) {
    this.process = process;
  }

  /**
   * Starts a program.
   *
   * @param log where its output and its errors go
   */
  public static GuardedProcess start(List<String> command, Path log) throws IOException {
    List<String> guarded = new ArrayList<>(List.of("sh", "-c", GUARD, "guard"));
    guarded.addAll(command);
    File file = log.toFile();
    return new GuardedProcess(
        new ProcessBuilder(guarded)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(file))
            .start());
  }

  public boolean isAlive() {
    return process.isAlive();
  }

  /** Runs {@code action} once the program has ended, by itself or not. */
  public void onExit(Runnable action) {
    var unused = process.onExit().thenRun(action);
  }

  /** Asks the program to end, waits, and makes it end after {@code patience}. */
  public void stop(Duration patience) {
    process.destroy();
    try {
      if (!process.waitFor(patience.toMillis(), TimeUnit.MILLISECONDS)) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    stop(Duration.ofSeconds(3));
  }
}
