package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.bench.DelayedWire;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.x402.evm.local.LocalChain;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
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
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A gateway and nodes as processes of this machine, a load, and trouble: nodes are killed, frozen,
 * cut off and slowed at random while answers run. What every answer should be is known from a run
 * without trouble, with the same seeds. As root, each node has a network of its own (a network
 * namespace), on a {@link DelayedWire} with delay, loss and bounded bandwidth.
 */
final class GridTrial implements AutoCloseable {
  private static final String MODEL = "gridtie/tiny";
  private static final String SLOW = "delay 400ms 200ms loss 5% rate 64kbit";
  private static final String GATEWAY = "10.177.0.1";
  private static final int GATEWAY_SECONDS_MAX = 60;
  private static final int NODES_SECONDS_MAX = 180;
  private static final int REQUEST_SECONDS_MAX = 120;
  private static final Pattern READY = Pattern.compile("(?m)^ready (http://\\S+)$");

  private static final List<String> QUESTIONS =
      List.of(
          "What is x402?",
          "How do I pay?",
          "What is a hold?",
          "What is a receipt?",
          "Tell me a joke.",
          "What is the ledger?",
          "Who are you?",
          "What is net metering?");

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
  private final Map<Integer, String> expected = new ConcurrentHashMap<>();
  private URI gateway = URI.create("http://127.0.0.1:1");
  private String key = "";
  private Home home = new Home(Path.of("/"));

  /** A node's process, which may be started again. */
  private final class Node {
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

  private void shape(Node node, DelayedWire.Shape shape) {
    DelayedWire wire = wires.get(node.index);
    if (wire != null) {
      wire.shape(shape);
    }
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

  private int ready() throws IOException, InterruptedException {
    return page("/v1/grid/stats").path("ready").asInt();
  }

  // The load

  /**
   * What came of a run.
   *
   * @param right answers that came whole and are what they should be
   * @param otherwise answers that came whole and are not
   * @param broken answers that did not come whole
   * @param seconds that each took, sorted
   */
  record Outcome(
      int asked, int right, int otherwise, int broken, double[] seconds, List<String> problems) {
    double median() {
      return percentile(50);
    }

    double percentile(int percent) {
      return seconds.length == 0
          ? 0
          : seconds[Math.min(seconds.length - 1, seconds.length * percent / 100)];
    }
  }

  /** Answers a request, given its number; gives its text, or says why there is none. */
  private interface Answering {
    String answer(int request) throws Exception;
  }

  private static String question(int request) {
    return QUESTIONS.get(request % QUESTIONS.size());
  }

  /** Asks each request once, and keeps what is answered as what is right. */
  Outcome learn() throws InterruptedException {
    AtomicInteger next = new AtomicInteger();
    return load(
        request -> {
          String text = ask(request);
          expected.put(request, text);
          return text;
        },
        () -> next.getAndIncrement(),
        i -> i >= plan.distinct());
  }

  /** Asks for so long. */
  Outcome run(Duration length) throws InterruptedException {
    long end = System.nanoTime() + length.toNanos();
    AtomicInteger next = new AtomicInteger();
    return load(this::ask, next::getAndIncrement, i -> System.nanoTime() > end);
  }

  private interface Numbers {
    int next();
  }

  private interface Over {
    boolean at(int number);
  }

  private Outcome load(Answering answering, Numbers numbers, Over over)
      throws InterruptedException {
    List<Double> seconds = new ArrayList<>();
    List<String> problems = new ArrayList<>();
    int[] counts = new int[4];
    List<Thread> threads = new ArrayList<>();
    for (int s = 0; s < plan.streams(); s++) {
      threads.add(
          Thread.ofVirtual()
              .start(
                  () -> {
                    for (int n = numbers.next(); !over.at(n); n = numbers.next()) {
                      one(answering, n % plan.distinct(), seconds, problems, counts);
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    double[] sorted = seconds.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    return new Outcome(counts[0], counts[1], counts[2], counts[3], sorted, List.copyOf(problems));
  }

  private void one(
      Answering answering, int request, List<Double> seconds, List<String> problems, int[] counts) {
    long began = System.nanoTime();
    @Nullable String text = null;
    String problem = "";
    try {
      text = answering.answer(request);
    } catch (Exception e) {
      problem = String.valueOf(e.getMessage());
    }
    double took = (System.nanoTime() - began) / 1e9;
    synchronized (counts) {
      counts[0]++;
      if (text == null) {
        counts[3]++;
        problems.add(problem);
        return;
      }
      seconds.add(took);
      boolean right = text.equals(expected.getOrDefault(request, text));
      counts[right ? 1 : 2]++;
      if (!right) {
        problems.add("request " + request + " was answered otherwise");
      }
    }
  }

  /** Asks by HTTP, as a stream. */
  private String ask(int request) throws Exception {
    ObjectNode json = Json.object();
    json.put("model", MODEL);
    json.putArray("messages").addObject().put("role", "user").put("content", question(request));
    json.put("temperature", 1.2);
    json.put("seed", request);
    json.put("max_tokens", plan.maxTokens());
    json.put("stream", true);
    var answer =
        http.send(
            HttpRequest.newBuilder(gateway.resolve("/v1/chat/completions"))
                .timeout(Duration.ofSeconds(REQUEST_SECONDS_MAX))
                .header("Content-Type", "application/json")
                .header("Authorization", "Bearer " + key)
                .POST(HttpRequest.BodyPublishers.ofByteArray(Json.writeBytes(json)))
                .build(),
            HttpResponse.BodyHandlers.ofInputStream());
    StringBuilder text = new StringBuilder();
    boolean done = false;
    try (BufferedReader in =
        new BufferedReader(new InputStreamReader(answer.body(), StandardCharsets.UTF_8))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        if (answer.statusCode() != 200 || line.contains("\"error\"")) {
          throw new IOException(answer.statusCode() + ": " + line);
        }
        if (line.equals("data: [DONE]")) {
          done = true;
        } else if (line.startsWith("data: ")) {
          JsonNode event = Json.parse(line.substring(6).getBytes(StandardCharsets.UTF_8));
          text.append(event.path("choices").path(0).path("delta").path("content").asString(""));
        }
      }
    }
    if (!done) {
      throw new IOException("the stream ended too early");
    }
    return text.toString();
  }

  // The same engines without the grid

  /** The same load at as many engines as there are nodes, called directly. */
  Outcome direct(Duration length) throws Exception {
    List<Engine> engines = new ArrayList<>();
    AtomicInteger[] busy = new AtomicInteger[plan.nodes()];
    try {
      for (int i = 0; i < plan.nodes(); i++) {
        busy[i] = new AtomicInteger();
        engines.add(
            Engine.start(
                new Engine.Config(
                    Engine.libraries(Install.here().nodeModules()),
                    Install.here().tinyModel("F16"),
                    plan.slots(),
                    512,
                    1,
                    folder.resolve("direct.log"),
                    List.of(),
                    plan.pace())));
      }
      long end = System.nanoTime() + length.toNanos();
      AtomicInteger next = new AtomicInteger();
      return load(
          request -> directly(engines, busy, request),
          next::getAndIncrement,
          i -> System.nanoTime() > end);
    } finally {
      engines.forEach(Engine::close);
    }
  }

  private String directly(List<Engine> engines, AtomicInteger[] busy, int request)
      throws Exception {
    int least = 0;
    for (int i = 1; i < busy.length; i++) {
      least = busy[i].get() < busy[least].get() ? i : least;
    }
    busy[least].incrementAndGet();
    try {
      Whole whole = new Whole();
      Engine.Generation unused =
          engines
              .get(least)
              .generate(
                  new Ask(
                      List.of(new Turn("user", question(request))),
                      new Sampling(1.2, 0, 1, 0, request, List.of()),
                      plan.maxTokens()),
                  whole);
      return whole.done.get(REQUEST_SECONDS_MAX, TimeUnit.SECONDS);
    } finally {
      busy[least].decrementAndGet();
    }
  }

  private static final class Whole implements Engine.Listener {
    final CompletableFuture<String> done = new CompletableFuture<>();
    private final StringBuilder text = new StringBuilder();

    @Override
    public void started(int promptTokens) {}

    @Override
    public void text(String piece, List<Integer> tokens, int completionTokens) {
      text.append(piece);
    }

    @Override
    public void ended(EndReason reason, int promptTokens, int completionTokens) {
      done.complete(text.toString());
    }

    @Override
    public void failed(EngineFailure failure) {
      done.completeExceptionally(new IOException(failure.message()));
    }
  }

  // Trouble

  /**
   * What trouble there was.
   *
   * @param events by kind
   * @param upPercent of the time that nodes were ready, as the gateway saw it
   */
  record Trouble(Map<String, Integer> events, double upPercent) {}

  /** Makes trouble for so long, beside whatever runs. */
  CompletableFuture<Trouble> trouble(Duration length) {
    CompletableFuture<Trouble> done = new CompletableFuture<>();
    Map<String, Integer> events = new ConcurrentHashMap<>();
    long end = System.nanoTime() + length.toNanos();
    List<Thread> threads = new ArrayList<>();
    for (Node node : nodes) {
      long seed = random.nextLong();
      threads.add(
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      troubles(node, new Random(seed), end, events);
                    } catch (Exception e) {
                      say.accept("making trouble: " + e.getMessage());
                    }
                  }));
    }
    Thread unused =
        Thread.ofVirtual()
            .start(
                () -> {
                  try {
                    double up = watch(end);
                    for (Thread thread : threads) {
                      thread.join();
                    }
                    done.complete(new Trouble(Map.copyOf(events), up));
                  } catch (Exception e) {
                    done.completeExceptionally(e);
                  }
                });
    return done;
  }

  private double watch(long end) throws InterruptedException {
    long looks = 0;
    long ready = 0;
    while (System.nanoTime() < end) {
      try {
        ready += ready();
        looks++;
      } catch (IOException e) {
        say.accept("the gateway does not say how its nodes are: " + e.getMessage());
      }
      Thread.sleep(500);
    }
    return looks == 0 ? 0 : 100.0 * ready / looks / plan.nodes();
  }

  private void troubles(Node node, Random own, long end, Map<String, Integer> events)
      throws Exception {
    double down = plan.outageSeconds();
    double up = down * plan.upPercent() / (100.0 - plan.upPercent());
    while (true) {
      long pause = (long) (1000 * up * 2 * own.nextDouble());
      if (System.nanoTime() + pause * 1_000_000 > end) {
        return;
      }
      Thread.sleep(pause);
      long length = (long) (1000 * down * (0.5 + own.nextDouble()));
      String kind = kind(own);
      events.merge(kind, 1, Integer::sum);
      switch (kind) {
        case "killed" -> {
          node.kill();
          Thread.sleep(length / 4); // and it takes a while to be up again
          node.start();
        }
        case "frozen" -> {
          node.signal("STOP");
          Thread.sleep(length);
          node.signal("CONT");
        }
        case "cut off" -> {
          shape(node, DelayedWire.Shape.of(plan.network()).cutOff());
          Thread.sleep(length);
          shape(node, DelayedWire.Shape.of(plan.network()));
        }
        case "slowed" -> {
          shape(node, DelayedWire.Shape.of(SLOW));
          Thread.sleep(length);
          shape(node, DelayedWire.Shape.of(plan.network()));
        }
        default -> throw new IllegalStateException(kind);
      }
    }
  }

  private String kind(Random own) {
    List<String> kinds =
        plan.network().isEmpty()
            ? List.of("killed", "frozen")
            : List.of("killed", "frozen", "cut off", "slowed");
    return kinds.get(own.nextInt(kinds.size()));
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
