package dev.gridtie.bench;

import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.ToLongFunction;
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
   * @param warmSeconds before the first: a virtual machine compiles what is used
   * @param rounds each target is measured in
   * @param chunks of each answer
   * @param pauseMs between chunks
   * @param streams how many at once in the last case; 0 leaves it out
   * @param upstreamPort of the mock, so that others can be pointed at it; 0 for any
   * @param peers other gateways that are running already, by name and port
   * @param headers sent with every request, to all targets
   * @param only cases whose name begins so; all where empty
   * @param key that opens the gateway, so that every request is accounted for
   */
  public record Settings(
      int perSecond,
      int seconds,
      int warmSeconds,
      int rounds,
      int chunks,
      int pauseMs,
      int streams,
      int upstreamPort,
      Map<String, Integer> peers,
      Map<String, String> headers,
      String only,
      String key) {}

  /**
   * Starts a gateway on a port, in front of an upstream's port, with its files in a folder; it
   * prints "ready …".
   */
  public interface GatewayCommand {
    List<String> command(Path directory, int port, int upstreamPort) throws IOException;
  }

  private record Target(String name, int port, Optional<ProcessHandle> process) {}

  private record Row(
      String what, String name, double cpuMicros, long residentMiB, OpenLoop.Result result) {}

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
      int upstream = settings.upstreamPort() == 0 ? freePort() : settings.upstreamPort();
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
      for (var peer : settings.peers().entrySet()) {
        targets.add(new Target(peer.getKey(), peer.getValue(), listener(peer.getValue())));
      }
      return measure(new OpenLoop(vertx), targets, nginx.isEmpty());
    } finally {
      processes.forEach(EdgeBench::end);
      vertx.close();
    }
  }

  private String measure(OpenLoop load, List<Target> targets, boolean withoutNginx)
      throws InterruptedException {
    Map<String, String> key = new LinkedHashMap<>(settings.headers());
    key.put("Authorization", "Bearer " + settings.key());
    List<Case> cases =
        List.of(
            Case.stream(key),
            Case.translated(key),
            Case.whole(key, 930, "1 KB"),
            Case.whole(key, 100_000, "100 KB"),
            Case.whole(key, 1_000_000, "1 MB"));
    List<Row> rows = new ArrayList<>();
    for (Case what : cases) {
      if (!what.name().startsWith(settings.only())) {
        continue;
      }
      int rate = rate(what);
      List<Target> able =
          targets.stream().filter(t -> what.everywhere() || t.name().equals("gridtie")).toList();
      for (Target target : able) {
        progress("warming " + target.name() + " for " + what.name());
        boolean heavy =
            target.name().equals("gridtie") || settings.peers().containsKey(target.name());
        OpenLoop.Result unused =
            load.run(target.port(), what, rate, heavy ? settings.warmSeconds() : 2);
      }
      for (int round = 1; round <= settings.rounds(); round++) {
        for (Target target : able) {
          progress(what.name() + ", round " + round + ": " + target.name());
          Duration before = cpu(target);
          OpenLoop.Result result = load.run(target.port(), what, rate, settings.seconds());
          double micros = cpu(target).minus(before).toNanos() / 1000.0 / result.sent();
          rows.add(new Row(what.name(), target.name(), micros, resident(target), result));
        }
      }
    }
    String together = settings.streams() == 0 ? "" : together(load, targets, Case.slow(key));
    progress("");
    return table(cases, rows, withoutNginx) + together;
  }

  /** Large bodies come more slowly: the load itself must fit on this machine. */
  private int rate(Case what) {
    return what.body().length() > 500_000
        ? Math.max(1, settings.perSecond() / 25)
        : what.body().length() > 50_000
            ? Math.max(1, settings.perSecond() / 4)
            : settings.perSecond();
  }

  /** Many streams at once: all begun within two seconds, all alive together. */
  private String together(OpenLoop load, List<Target> targets, Case what)
      throws InterruptedException {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%n%d streams begun within 2 s, each of %d chunks %d ms apart, so that all are under way together:%n%n| target | RSS MiB | first byte p50 | p99 | gap p50 | p99 | failed |%n|---|---|---|---|---|---|---|%n",
            settings.streams(),
            settings.chunks(),
            40 * settings.pauseMs()));
    for (Target target : targets) {
      progress(settings.streams() + " streams: " + target.name());
      OpenLoop.Result m = load.run(target.port(), what, settings.streams() / 2, 2);
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %d | %d | %d | %d | %d |%n",
              target.name(),
              resident(target) > 0 ? Long.toString(resident(target)) : "–",
              m.firstByte().micros(0.5),
              m.firstByte().micros(0.99),
              m.gap().micros(0.5),
              m.gap().micros(0.99),
              m.failed()));
    }
    return out.toString();
  }

  private String table(List<Case> cases, List<Row> rows, boolean withoutNginx) {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%d requests/s for %d s (a quarter for 100 KB, a twenty-fifth for 1 MB), streams of %d chunks %d ms apart; open loop,"
                + " measured from the due instant; µs, median of %d rounds. Every request has a key and is accounted for.%n",
            settings.perSecond(),
            settings.seconds(),
            settings.chunks(),
            settings.pauseMs(),
            settings.rounds()));
    for (Case what : cases) {
      if (!what.name().startsWith(settings.only())) {
        continue;
      }
      List<Row> of = rows.stream().filter(r -> r.what().equals(what.name())).toList();
      out.append("\n").append(what.name()).append("\n\n");
      out.append(
          "| target | CPU/request | to nginx | RSS MiB | first byte p50 | p99 | whole p50 | p99 | gap p99 | failed |\n");
      out.append("|---|---|---|---|---|---|---|---|---|---|\n");
      of.stream().map(Row::name).distinct().forEach(name -> out.append(line(of, name)));
    }
    if (withoutNginx) {
      out.append("\nnginx is not installed here, so there is no plain proxy beside us.\n");
    }
    return out.toString();
  }

  private static String line(List<Row> rows, String name) {
    List<Row> mine = rows.stream().filter(r -> r.name().equals(name)).toList();
    double cpu = medianCpu(mine, name);
    double floor =
        rows.stream().anyMatch(r -> r.name().equals("nginx")) ? medianCpu(rows, "nginx") : 0;
    long resident = mine.getLast().residentMiB();
    return String.format(
        Locale.ROOT,
        "| %s | %s | %s | %s | %d | %d | %d | %d | %d | %d |%n",
        name,
        cpu > 0 ? String.format(Locale.ROOT, "%.0f", cpu) : "–",
        cpu > 0 && floor > 0 ? String.format(Locale.ROOT, "%.1f", cpu / floor) : "–",
        resident > 0 ? Long.toString(resident) : "–",
        median(mine, r -> r.firstByte().micros(0.5)),
        median(mine, r -> r.firstByte().micros(0.99)),
        median(mine, r -> r.whole().micros(0.5)),
        median(mine, r -> r.whole().micros(0.99)),
        median(mine, r -> r.gap().micros(0.99)),
        mine.stream().mapToInt(r -> r.result().failed()).sum());
  }

  private static long median(List<Row> rows, ToLongFunction<OpenLoop.Result> of) {
    long[] values = rows.stream().mapToLong(r -> of.applyAsLong(r.result())).sorted().toArray();
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

  /** The process that listens on a port, where the system tells: for its processor time. */
  private static Optional<ProcessHandle> listener(int port) {
    try {
      Process lsof =
          new ProcessBuilder(
                  "sh", "-c", "lsof -t -iTCP:" + port + " -sTCP:LISTEN 2>/dev/null | head -1")
              .start();
      String pid = new String(lsof.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      return pid.isEmpty() ? Optional.empty() : ProcessHandle.of(Long.parseLong(pid));
    } catch (IOException | NumberFormatException e) {
      return Optional.empty();
    }
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
        events { worker_connections 16384; }
        http {
          access_log off; client_max_body_size 8m;
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
