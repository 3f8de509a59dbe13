package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.bench.DelayedWire;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.x402.evm.local.LocalChain;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * A gateway and nodes as processes of this machine, a load, and trouble: nodes are killed, frozen,
 * cut off and slowed at random while answers run. What every answer should be is known from a run
 * without trouble, with the same seeds. As root, each node has a network of its own (a network
 * namespace), on a {@link DelayedWire} with delay, loss and bounded bandwidth.
 */
final class GridTrial implements AutoCloseable {
  static final String MODEL = "gridtie/tiny";
  private static final String GATEWAY = "10.177.0.1";
  private static final int GATEWAY_SECONDS_MAX = 60;
  private static final int NODES_SECONDS_MAX = 180;
  private static final Pattern READY = Pattern.compile("(?m)^ready (http://\\S+)$");

  /**
   * What to try.
   *
   * @param streams at once
   * @param distinct requests; each is asked again and again
   * @param network each node's, as tc-netem has it; empty for no networks of their own
   * @param outageSeconds the middle length of a trouble
   * @param upPercent of the time that each node is to be well
   * @param when nodes contribute: always, or idle
   * @param pace of engines, tokens a second of each answer; 0 for as fast as they are
   */
  record Plan(
      int nodes,
      int slots,
      int streams,
      int distinct,
      int maxTokens,
      String network,
      double outageSeconds,
      int upPercent,
      int pace,
      String when,
      long seed) {}

  private final Plan plan;
  private final Path folder;
  private final Consumer<String> say;
  private final Random random;
  private final Deque<AutoCloseable> parts = new ArrayDeque<>();
  private final List<Node> nodes = new ArrayList<>();
  private final Map<Integer, DelayedWire> wires = new ConcurrentHashMap<>();
  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private URI gateway = URI.create("http://127.0.0.1:1");
  private String key = "";
  private Home home = new Home(Path.of("/"));

  /** A node's process, which may be started again. */
  final class Node {
    final int index;
    private @Nullable Process process;

    Node(int index) {
      this.index = index;
    }

    String namespace() {
      return "gtn" + index;
    }

    void start() throws IOException {
      List<String> command = new ArrayList<>();
      if (!plan.network().isEmpty()) {
        command.addAll(List.of("ip", "netns", "exec", namespace()));
      }
      command.addAll(java("-Xmx256m"));
      command.add(command.indexOf("-XX:+UseSerialGC"), "-XX:TieredStopAtLevel=1");
      command.addAll(
          List.of(
              "node",
              "--join",
              gateway.toString(),
              "--when",
              plan.when(),
              "--quiet",
              "1",
              "--busy",
              "80", // gateway and load are on this machine too
              "--cores",
              "1",
              "--slots",
              Integer.toString(plan.slots()),
              "--memory",
              "1",
              "--pace",
              Integer.toString(plan.pace()),
              "--name",
              "n" + index,
              "--home",
              folder.resolve("node" + index).toString()));
      process =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectOutput(
                  ProcessBuilder.Redirect.appendTo(
                      folder.resolve("node" + index + ".log").toFile()))
              .start();
    }

    /** The node's own process and its engine's. */
    private List<ProcessHandle> tree() {
      Process running = process;
      if (running == null) {
        return List.of();
      }
      List<ProcessHandle> all = new ArrayList<>(List.of(running.toHandle()));
      running.descendants().forEach(all::add);
      return all;
    }

    void signal(String name) throws IOException, InterruptedException {
      for (ProcessHandle each : tree()) {
        run(false, "kill", "-" + name, Long.toString(each.pid()));
      }
    }

    void shape(DelayedWire.Shape shape) {
      DelayedWire wire = wires.get(index);
      if (wire != null) {
        wire.shape(shape);
      }
    }

    void kill() {
      tree().forEach(ProcessHandle::destroyForcibly);
    }
  }

  GridTrial(Plan plan, Path folder, Consumer<String> say) {
    this.plan = plan;
    this.folder = folder;
    this.say = say;
    this.random = new Random(plan.seed());
  }

  private static List<String> java(String heap) {
    return List.of(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        heap,
        "-Dgridtie.root=" + Install.here().root(),
        "-cp",
        System.getProperty("java.class.path"),
        Main.class.getName());
  }

  private static void run(boolean must, String... command)
      throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    int status = process.waitFor();
    if (must && status != 0) {
      throw new IOException(String.join(" ", command) + " ended with " + status);
    }
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  // Starting

  /** Starts gateway and nodes, and waits until all nodes answer. */
  void start() throws Exception {
    Files.createDirectories(folder);
    if (!plan.network().isEmpty()) {
      networks();
    }
    startGateway();
    for (int i = 1; i <= plan.nodes(); i++) {
      Node node = new Node(i);
      nodes.add(node);
      node.start();
      parts.push(node::kill);
    }
    awaitReady(plan.nodes());
    say.accept(plan.nodes() + " nodes answer");
  }

  private void awaitReady(int many) throws IOException, InterruptedException {
    long deadline = System.nanoTime() + NODES_SECONDS_MAX * 1_000_000_000L;
    while (ready() < many) {
      if (System.nanoTime() > deadline) {
        throw new IOException(ready() + " of " + many + " nodes answer; see " + folder);
      }
      Thread.sleep(200);
    }
  }

  private void networks() throws IOException, InterruptedException {
    run(true, "ip", "addr", "replace", GATEWAY + "/32", "dev", "lo");
    parts.push(() -> run(false, "ip", "addr", "del", GATEWAY + "/32", "dev", "lo"));
    for (int i = 1; i <= plan.nodes(); i++) {
      String namespace = "gtn" + i;
      String inner = "gta" + i;
      String outer = "gtb" + i;
      run(false, "ip", "netns", "del", namespace);
      DelayedWire wire =
          new DelayedWire(inner, outer, DelayedWire.Shape.of(plan.network()), plan.seed() + i);
      wires.put(i, wire);
      parts.push(wire);
      run(true, "ip", "netns", "add", namespace);
      parts.push(() -> run(false, "ip", "netns", "del", namespace));
      String here = "10.177." + i + ".1";
      String there = "10.177." + i + ".2";
      run(true, "ip", "link", "set", inner, "netns", namespace);
      run(true, "ip", "addr", "add", here, "peer", there, "dev", outer);
      run(true, "ip", "link", "set", outer, "up");
      inside(i, "ip", "link", "set", "lo", "up");
      inside(i, "ip", "addr", "add", there, "peer", here, "dev", inner);
      inside(i, "ip", "link", "set", inner, "up");
      inside(i, "ip", "route", "add", GATEWAY + "/32", "dev", inner);
    }
  }

  private static void inside(int node, String... command) throws IOException, InterruptedException {
    List<String> all = new ArrayList<>(List.of("ip", "netns", "exec", "gtn" + node));
    all.addAll(Arrays.asList(command));
    run(true, all.toArray(String[]::new));
  }

  private void startGateway() throws Exception {
    home = new Home(folder.resolve("gateway"));
    home.create();
    LocalChain chain =
        LocalChain.start(
            LocalChain.program(Install.here().nodeModules()), folder.resolve("chain"), freePort());
    parts.push(chain);
    chain.giveGas(home.evmKey("facilitator").address());
    Path tiny = Install.here().tinyModel("F16");
    String host = plan.network().isEmpty() ? "127.0.0.1" : GATEWAY;
    Path config = folder.resolve("gateway.yaml");
    Files.writeString(
        config,
        """
        host: %s
        port: 0
        payTo: "%s"
        chain:
          rpc: "%s"
          network: "%s"
          token: "%s"
          tokenName: USDC
          tokenVersion: "2"
          decimals: 6
        models: []
        grid:
          invitedOnly: false
          models:
            - id: %s
              files: {F16: "%s"}
              promptUsdPerMillion: "1"
              completionUsdPerMillion: "4"
              contextTokens: 512
        """
            .formatted(
                host,
                home.evmKey("operator").address(),
                chain.url(),
                LocalChain.NETWORK,
                LocalChain.USDC,
                MODEL,
                tiny));
    try (KeyStore keys = KeyStore.open(home.ledger())) {
      ApiKey.Fresh fresh =
          ApiKey.create("trial", KeyLimits.NONE, Instant.now(), new SecureRandom());
      keys.add(fresh.key());
      key = fresh.secret().reveal();
    }
    List<String> command = new ArrayList<>(java("-Xmx768m"));
    command.addAll(
        List.of("gateway", "--config", config.toString(), "--home", home.path().toString()));
    Path log = folder.resolve("gateway.log");
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    parts.push(
        () -> {
          process.destroy();
          if (!process.waitFor(10, TimeUnit.SECONDS)) {
            process.destroyForcibly();
          }
        });
    long deadline = System.nanoTime() + GATEWAY_SECONDS_MAX * 1_000_000_000L;
    while (true) {
      Matcher ready = READY.matcher(Files.readString(log));
      if (ready.find()) {
        gateway = URI.create(ready.group(1));
        return;
      }
      if (!process.isAlive() || System.nanoTime() > deadline) {
        throw new IOException("the gateway does not start: " + Files.readString(log));
      }
      Thread.sleep(50);
    }
  }

  /** The first node, as its owner starts and stops it. */
  void stopFirst() throws InterruptedException {
    nodes.getFirst().kill();
    for (int i = 0;
        i < 100 && nodes.getFirst().tree().stream().anyMatch(ProcessHandle::isAlive);
        i++) {
      Thread.sleep(50);
    }
  }

  void startFirst() throws Exception {
    nodes.getFirst().start();
    awaitReady(1);
  }

  /** The engine's process of the first node, as the node says it; empty where there is none. */
  Optional<ProcessHandle> firstEngine() throws IOException {
    try {
      JsonNode status = Json.parse(Files.readAllBytes(folder.resolve("node1/node.json")));
      return ProcessHandle.of(status.path("enginePid").asLong(-1)).filter(ProcessHandle::isAlive);
    } catch (Json.MalformedJsonException e) {
      throw new IOException(e);
    }
  }

  private JsonNode page(String path) throws IOException, InterruptedException {
    try {
      return Json.parse(
          http.send(
                  HttpRequest.newBuilder(gateway.resolve(path))
                      .timeout(Duration.ofSeconds(10))
                      .header("Authorization", "Bearer " + key)
                      .build(),
                  HttpResponse.BodyHandlers.ofByteArray())
              .body());
    } catch (Json.MalformedJsonException e) {
      throw new IOException(e);
    }
  }

  /** How many nodes answer, as the gateway sees it. */
  int ready() throws IOException, InterruptedException {
    return page("/v1/grid/stats").path("ready").asInt();
  }

  /** What is asked of the gateway; once it has started. */
  TrialLoad load() {
    return new TrialLoad(plan, folder, http, gateway, key);
  }

  /** Makes trouble for so long, beside whatever runs. */
  CompletableFuture<TrialTrouble.Made> trouble(Duration length) {
    return new TrialTrouble(plan, nodes, this::ready, random, say).make(length);
  }

  /** How often a node was left for another, and what nodes were paid for, since they joined. */
  JsonNode stats() throws IOException, InterruptedException {
    return page("/v1/grid/stats");
  }

  Home gatewayHome() {
    return home;
  }

  @Override
  public void close() {
    while (!parts.isEmpty()) {
      try {
        parts.pop().close();
      } catch (Exception e) {
        say.accept("stopping: " + e.getMessage());
      }
    }
    http.shutdownNow();
  }
}
