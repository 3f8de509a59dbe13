package dev.gridtie.app;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The program as a process of its own, as a user starts it. */
record Spawned(Process process, Path log) {
  private static final Queue<Process> STARTED = new ConcurrentLinkedQueue<>();

  private static final Pattern READY = Pattern.compile("(?m)^ready (http://\\S+)$");

  /** The command line up to the subcommand. */
  static List<String> java() {
    return List.of(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "--enable-native-access=ALL-UNNAMED",
        "-Dgridtie.root=" + TestGateway.ROOT,
        "-cp",
        System.getProperty("java.class.path"),
        Main.class.getName());
  }

  static Spawned start(List<String> command, Path log) throws IOException {
    Files.deleteIfExists(log);
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    STARTED.add(process);
    return new Spawned(process, log);
  }

  /** Ends whatever a test that failed has left running; to be called after each. */
  static void endAll() throws InterruptedException {
    for (Process process; (process = STARTED.poll()) != null; ) {
      process.destroy();
      if (!process.waitFor(10, TimeUnit.SECONDS)) {
        process.destroyForcibly().waitFor();
      }
    }
  }

  URI awaitReady() throws Exception {
    for (int i = 0; i < 1200; i++) {
      Matcher matcher = READY.matcher(Files.readString(log));
      if (matcher.find()) {
        return URI.create(matcher.group(1));
      }
      if (!process.isAlive()) {
        break;
      }
      Thread.sleep(50);
    }
    throw new AssertionError("not ready: " + Files.readString(log));
  }

  /** Runs a command to its end and gives what it printed. */
  static String run(int expectedStatus, List<String> command) throws Exception {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output =
        new String(
            process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
    int status = process.waitFor();
    if (status != expectedStatus) {
      throw new AssertionError("status " + status + ": " + output);
    }
    return output;
  }
}
