package dev.gridtie.bench;

import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.buffer.Buffer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * What the gateway's edge adds to a request: the same load straight at a mock upstream, through the
 * gateway, and through nginx as a plain reverse proxy where it is installed, one after another and
 * round after round, in one run.
 */
public final class EdgeBench {
  private final Settings settings;
  private final Path directory;

  /**
   * How to measure.
   *
   * @param perSecond requests due in a second
   * @param seconds of each measurement
   * @param rounds each target is measured in
   * @param chunks of each answer
   * @param pauseMs between chunks
   */
  public record Settings(int perSecond, int seconds, int rounds, int chunks, int pauseMs) {}

  /**
   * Starts a gateway on a port, in front of an upstream's port, with its files in a folder; it
   * prints "ready …".
   */
  public interface GatewayCommand {
    List<String> command(Path directory, int port, int upstreamPort) throws IOException;
  }

  private record Target(String name, int port, Optional<ProcessHandle> process) {}

  private record Row(String name, double cpuMicros, long residentMiB, OpenLoop.Result result) {}

  public EdgeBench(Settings settings, Path directory) {
    this.settings = settings;
    this.directory = directory;
  }

  /** Measures and gives the table, as Markdown. */
  public String run(GatewayCommand gateway) throws IOException, InterruptedException {
    List<Process> processes = new ArrayList<>();
    Vertx vertx =
        Vertx.vertx(new VertxOptions().setPreferNativeTransport(true).setEventLoopPoolSize(1));
    try {
      int upstream = freePort();
      processes.add(awaitReady(start(mockCommand(upstream))));
      List<Target> targets = new ArrayList<>();
      targets.add(new Target("direct", upstream, Optional.empty()));
      int port = freePort();
      Process ours = awaitReady(start(gateway.command(directory, port, upstream)));
      processes.add(ours);
      targets.add(new Target("gridtie", port, Optional.of(ours.toHandle())));
      Optional<Path> nginx = nginx();
      if (nginx.isPresent()) {
        int nginxPort = freePort();
        Process process = start(nginxCommand(nginx.get(), nginxPort, upstream));
        processes.add(process);
        awaitPort(nginxPort);
        targets.add(new Target("nginx", nginxPort, Optional.of(process.toHandle())));
      }
      return measure(new OpenLoop(vertx), targets, nginx.isEmpty());
    } finally {
      processes.forEach(EdgeBench::end);
      vertx.close();
    }
  }

  private String measure(OpenLoop load, List<Target> targets, boolean withoutNginx)
      throws InterruptedException {
    Buffer body =
        Buffer.buffer(
            "{\"model\":\"mock\",\"stream\":true,\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\""
                + "What does a request cost here? ".repeat(30)
                + "\"}]}");
    List<Row> rows = new ArrayList<>();
    for (Target target : targets) {
      progress("warming " + target.name());
      OpenLoop.Result unused =
          load.run(target.port(), body, settings.perSecond(), Math.max(3, settings.seconds()));
    }
    for (int round = 1; round <= settings.rounds(); round++) {
      for (Target target : targets) {
        progress("round " + round + " of " + settings.rounds() + ": " + target.name());
        Duration before = cpu(target);
        OpenLoop.Result result =
            load.run(target.port(), body, settings.perSecond(), settings.seconds());
        double micros = cpu(target).minus(before).toNanos() / 1000.0 / result.sent();
        rows.add(new Row(target.name(), micros, resident(target), result));
      }
    }
    progress("");
    return table(rows, withoutNginx);
  }

  private String table(List<Row> rows, boolean withoutNginx) {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%d requests/s for %d s, %d chunks %d ms apart, 1 KB bodies; open loop, measured from the due instant; µs.%n%n",
            settings.perSecond(),
            settings.seconds(),
            settings.chunks(),
            settings.pauseMs()));
    out.append(
        "| target | CPU/request | RSS MiB | first byte p50 | p99 | whole p50 | p99 | gap p50 | p99 | failed |\n");
    out.append("|---|---|---|---|---|---|---|---|---|---|\n");
    for (Row r : rows) {
      OpenLoop.Result m = r.result();
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %s | %d | %d | %d | %d | %d | %d | %d |%n",
              r.name(),
              r.cpuMicros() > 0 ? String.format(Locale.ROOT, "%.0f", r.cpuMicros()) : "–",
              r.residentMiB() > 0 ? Long.toString(r.residentMiB()) : "–",
              m.firstByte().micros(0.5),
              m.firstByte().micros(0.99),
              m.whole().micros(0.5),
              m.whole().micros(0.99),
              m.gap().micros(0.5),
              m.gap().micros(0.99),
              m.failed()));
    }
    long direct50 = median(rows, "direct", 0.5);
    long direct99 = median(rows, "direct", 0.99);
    out.append(
        String.format(
            Locale.ROOT,
            "%nAdded to the first byte by gridtie, median of the rounds: p50 %d µs, p99 %d µs.%n",
            median(rows, "gridtie", 0.5) - direct50,
            median(rows, "gridtie", 0.99) - direct99));
    if (withoutNginx) {
      out.append("nginx is not installed here, so there is no plain proxy beside us.\n");
    } else {
      out.append(
          String.format(
              Locale.ROOT,
              "Added by nginx: p50 %d µs, p99 %d µs. CPU per request: gridtie / nginx = %.1f.%n",
              median(rows, "nginx", 0.5) - direct50,
              median(rows, "nginx", 0.99) - direct99,
              medianCpu(rows, "gridtie") / medianCpu(rows, "nginx")));
    }
    return out.toString();
  }

  private static long median(List<Row> rows, String name, double fraction) {
    long[] values =
        rows.stream()
            .filter(r -> r.name().equals(name))
            .mapToLong(r -> r.result().firstByte().micros(fraction))
            .sorted()
            .toArray();
    return values[values.length / 2];
  }

  private static double medianCpu(List<Row> rows, String name) {
    double[] values =
        rows.stream()
            .filter(r -> r.name().equals(name))
            .mapToDouble(Row::cpuMicros)
            .sorted()
            .toArray();
    return values[values.length / 2];
  }

  private static Stream<ProcessHandle> family(Target target) {
    return target.process().stream().flatMap(p -> Stream.concat(Stream.of(p), p.descendants()));
  }

  private static Duration cpu(Target target) {
    return family(target)
        .map(p -> p.info().totalCpuDuration().orElse(Duration.ZERO))
        .reduce(Duration.ZERO, Duration::plus);
  }

  /** Resident memory, where the system tells it in /proc. */
  private static long resident(Target target) {
    return family(target).mapToLong(p -> residentKiB(p.pid())).sum() / 1024;
  }

  private static long residentKiB(long pid) {
    try (Stream<String> lines = Files.lines(Path.of("/proc/" + pid + "/status"))) {
      return lines
          .filter(l -> l.startsWith("VmRSS:"))
          .mapToLong(l -> Long.parseLong(l.replaceAll("[^0-9]", "")))
          .sum();
    } catch (IOException e) {
      return 0;
    }
  }

  private List<String> mockCommand(int port) {
    return List.of(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-XX:+UseSerialGC",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-cp",
        System.getProperty("java.class.path"),
        MockUpstream.class.getName(),
        Integer.toString(port),
        Integer.toString(settings.chunks()),
        Integer.toString(settings.pauseMs()));
  }

  private static Optional<Path> nginx() {
    return Stream.of(
            "/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/opt/homebrew/bin/nginx")
        .map(Path::of)
        .filter(Files::isExecutable)
        .findFirst();
  }

  private List<String> nginxCommand(Path nginx, int port, int upstream) throws IOException {
    Path config = directory.resolve("nginx.conf");
    Files.writeString(
        config,
        """
        daemon off;
        worker_processes 1;
        pid %1$s/nginx.pid;
        error_log stderr crit;
        events { worker_connections 4096; }
        http {
          access_log off;
          client_body_temp_path %1$s; proxy_temp_path %1$s; fastcgi_temp_path %1$s; uwsgi_temp_path %1$s; scgi_temp_path %1$s;
          upstream mock { server 127.0.0.1:%3$d; keepalive 512; }
          server {
            listen 127.0.0.1:%2$d;
            location / { proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
          }
        }
        """
            .formatted(directory, port, upstream));
    return List.of(nginx.toString(), "-c", config.toString(), "-p", directory.toString());
  }

  private static void end(Process process) {
    process.descendants().forEach(ProcessHandle::destroy);
    process.destroy();
    try {
      if (!process.waitFor(5, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }

  private static Process start(List<String> command) throws IOException {
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
  }

  private static Process awaitReady(Process process) throws IOException {
    BufferedReader out =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    for (String line = out.readLine(); line != null; line = out.readLine()) {
      if (line.startsWith("ready")) {
        return process;
      }
    }
    throw new IOException("a process of the benchmark ended before it was ready");
  }

  private static void awaitPort(int port) throws IOException, InterruptedException {
    for (int i = 0; i < 100; i++) {
      try (var socket = new java.net.Socket("127.0.0.1", port)) {
        if (socket.isConnected()) {
          return;
        }
      } catch (IOException e) {
        Thread.sleep(50);
      }
    }
    throw new IOException("nginx does not listen");
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  private static void progress(String what) {
    System.err.print("\r" + " ".repeat(60) + "\r" + what);
    System.err.flush();
  }
}
