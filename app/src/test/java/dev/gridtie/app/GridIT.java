package dev.gridtie.app;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.link.Codec;
import dev.gridtie.grid.link.Identity;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.link.Protocol;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.x402.evm.EvmKey;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** A gateway and nodes as processes of their own, as their owners start them. */
class GridIT {
  @TempDir static Path directory;
  private static TestGateway world;
  private static int homes;
  private Gateway gateway;

  @BeforeAll
  static void start() throws Exception {
    world = new TestGateway(directory.resolve("world"));
  }

  @AfterAll
  static void stop() {
    world.close();
  }

  @AfterEach
  void endAll() throws Exception {
    Spawned.endAll();
    if (gateway != null) {
      gateway.close();
    }
    world.requireSound();
  }

  private static GatewayConfig.GridModel model(String id, String pool, Map<String, String> files) {
    return new GatewayConfig.GridModel(id, files, null, pool, 512, null, "1", "4", 100);
  }

  private static String tiny(String kind) {
    return TestGateway.ROOT.resolve("models/tiny/gridtie-tiny-" + kind + ".gguf").toString();
  }

  private void startGateway(GatewayConfig.GridModel... models) throws Exception {
    gateway =
        world.start(
            world
                .config(0, List.of())
                .withGrid(new GatewayConfig.GridSettings(false, null, List.of(models))));
  }

  private static Path newHome() {
    return directory.resolve("node" + homes++);
  }

  private static Spawned node(Path home, String... more) throws Exception {
    List<String> command = new ArrayList<>(Spawned.java());
    command.addAll(
        List.of(
            "node", "--home", home.toString(), "--cores", "1", "--memory", "1", "--slots", "4"));
    command.addAll(List.of(more));
    Files.createDirectories(home);
    return Spawned.start(command, home.resolve("node.log"));
  }

  private static Spawned join(Path home, String... more) throws Exception {
    List<String> all = new ArrayList<>(List.of("--join", world.url.toString(), "--when", "always"));
    all.addAll(List.of(more));
    return node(home, all.toArray(String[]::new));
  }

  private static List<String> command(String... more) {
    List<String> command = new ArrayList<>(Spawned.java());
    command.addAll(List.of(more));
    command.addAll(List.of("--home", world.home.path().toString()));
    return command;
  }

  private static String key(String name, KeyLimits limits) throws Exception {
    try (KeyStore keys = KeyStore.open(world.home.ledger())) {
      ApiKey.Fresh fresh = ApiKey.create(name + homes, limits, Instant.now(), new SecureRandom());
      assertThat(keys.add(fresh.key())).isTrue();
      return fresh.secret().reveal();
    }
  }

  private static List<JsonNode> nodes() throws Exception {
    List<JsonNode> all = new ArrayList<>();
    TestGateway.json(world.operators("/v1/grid/nodes")).path("data").forEach(all::add);
    return all;
  }

  private static long ready() throws Exception {
    return nodes().stream().filter(n -> n.path("status").asString().equals("ready")).count();
  }

  private static ObjectNode question(String model, String words, long seed) {
    ObjectNode json = Json.object();
    json.put("model", model);
    json.putArray("messages").addObject().put("role", "user").put("content", words);
    return json.put("temperature", 1.2).put("seed", seed).put("max_tokens", 200);
  }

  private static HttpResponse<String> ask(String key, ObjectNode body) throws Exception {
    return world.post(Json.writeBytes(body), Map.of("Authorization", "Bearer " + key));
  }

  private static String said(HttpResponse<String> answer) throws Exception {
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    return TestGateway.json(answer)
        .path("choices")
        .path(0)
        .path("message")
        .path("content")
        .asString();
  }

  @Test
  void aNodeThatIsKilledInTheMiddleOfAnAnswerIsReplacedAndTheClientSeesOneStream()
      throws Exception {
    startGateway(model("gridtie/tiny", null, Map.of("F16", tiny("F16"))));
    Map<Path, Spawned> running = new java.util.HashMap<>();
    for (int i = 0; i < 2; i++) {
      Path home = newHome();
      running.put(home, join(home, "--pace", "20"));
    }
    TestGateway.eventually("both answer", () -> ready() == 2);
    String key = key("buyer", KeyLimits.NONE);
    ObjectNode body =
        question("gridtie/tiny", "What is the ledger?", 5)
            .put("temperature", 2)
            .put("max_tokens", 80);
    Instant began = Instant.now();
    HttpResponse<String> calm = ask(key, body);
    String expected = said(calm);
    assertThat(expected).as("long enough to be interrupted").hasSizeGreaterThan(100);
    assertThat(calm.headers().firstValue("X-Gridtie-Quantization")).contains("f16");

    HttpResponse<java.io.InputStream> stream =
        world.http.send(
            world
                .request(Json.writeBytes(body.put("stream", true)))
                .setHeader("Authorization", "Bearer " + key)
                .build(),
            HttpResponse.BodyHandlers.ofInputStream());
    String first = stream.headers().firstValue("X-Gridtie-Node").orElseThrow();
    StringBuilder text = new StringBuilder();
    boolean killed = false;
    boolean done = false;
    try (BufferedReader in =
        new BufferedReader(new InputStreamReader(stream.body(), StandardCharsets.UTF_8))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        done |= line.equals("data: [DONE]");
        if (line.startsWith("data: {")) {
          JsonNode event = Json.parse(line.substring(6).getBytes(StandardCharsets.UTF_8));
          text.append(event.path("choices").path(0).path("delta").path("content").asString(""));
        }
        if (text.length() > 15 && !killed) {
          killed = true;
          for (var each : running.entrySet()) {
            if (Files.readString(each.getKey().resolve("node.log")).contains(first)) {
              each.getValue().process().toHandle().destroyForcibly();
            }
          }
        }
      }
    }
    assertThat(killed).isTrue();
    assertThat(done).as("the stream came to its end").isTrue();
    assertThat(text.toString()).isEqualTo(expected);
    TestGateway.eventually(
        "both are paid for their part",
        () ->
            Verifier.read(
                world.home.ledger(),
                c -> {
                  try (var select = c.createStatement();
                      var row =
                          select.executeQuery(
                              "SELECT count(DISTINCT node) FROM grid_work WHERE created >= "
                                  + began.toEpochMilli())) {
                    return row.next() && row.getInt(1) == 2;
                  }
                }));
    // And by x402: the receipt names the node.
    HttpResponse<String> paid =
        world.pay(TestGateway.bytes(TestGateway.chat("What is a receipt?").put("max_tokens", 30)));
    assertThat(paid.statusCode()).as(paid.body()).isEqualTo(200);
    String node = paid.headers().firstValue("X-Gridtie-Node").orElseThrow();
    String receipt = paid.headers().firstValue("X-Gridtie-Receipt").orElseThrow();
    assertThat(world.get("/v1/receipts/" + receipt).body()).contains(node);
  }

  /**
   * A gateway whose model stands behind its nodes in a hosted form that costs ten times as much.
   */
  private void startGatewayBeforeA(ScriptedServer hosted) throws Exception {
    Path key = directory.resolve("hosted.key");
    Files.writeString(key, "sk-hosted");
    Path catalog = directory.resolve("hosted.yaml");
    Files.writeString(
        catalog,
        """
        providers:
          - { name: hosted, dialect: openai, url: "%s", keys: [{ file: "%s" }], regions: [us] }
        models:
          - id: gridtie/tiny
            endpoints:
              - provider: hosted
                model: big
                promptUsdPerMillion: "10"
                completionUsdPerMillion: "40"
                contextTokens: 512
                maxCompletionTokens: 512
        """
            .formatted(hosted.base(), key));
    gateway =
        world.start(
            world
                .config(catalog)
                .withGrid(
                    new GatewayConfig.GridSettings(
                        false,
                        null,
                        List.of(model("gridtie/tiny", null, Map.of("F16", tiny("F16")))))));
  }

  private static String provider(HttpResponse<String> answer) {
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    return answer.headers().firstValue("X-Gridtie-Provider").orElseThrow();
  }

  @Test
  void whereNodesAreBusyFrozenOrGoneTheHostedModelAnswersIfItMay() throws Exception {
    try (ScriptedServer hosted = new ScriptedServer()) {
      hosted.on("big", ScriptedServer.well("From afar"));
      startGatewayBeforeA(hosted);
      Spawned node = join(newHome(), "--pace", "20"); // ten seconds for an answer
      TestGateway.eventually("it answers", () -> ready() == 1);
      String key = key("buyer", KeyLimits.NONE);
      ObjectNode any = question("gridtie/tiny", "Who are you?", 1).put("temperature", 2);
      any.putObject("provider").put("sort", "price");
      ObjectNode near = any.deepCopy();
      near.withObject("/provider").putArray("only").add("grid");
      ObjectNode cheap = any.deepCopy().put("max_tokens", 5);
      cheap.withObject("/provider").putObject("max_price").put("completion", 5);
      assertThat(provider(ask(key, any.deepCopy().put("max_tokens", 5)))).isEqualTo("grid");
      assertThat(hosted.calls).isEmpty();

      List<CompletableFuture<String>> long4 = new ArrayList<>();
      for (int i = 0; i < 4; i++) { // as many as the node answers at once
        long4.add(CompletableFuture.supplyAsync(() -> providerOf(key, near)));
      }
      TestGateway.eventually("it is full", () -> active() == 4);
      HttpResponse<String> elsewhere = ask(key, any);
      assertThat(provider(elsewhere)).isEqualTo("hosted");
      assertThat(said(elsewhere)).isEqualTo("From afar");
      assertThat(active()).as("nobody waited until the node had room").isEqualTo(4);
      assertThat(provider(ask(key, cheap))).as("that costs too much").isEqualTo("grid");
      assertThat(hosted.calls).hasSize(1);
      for (CompletableFuture<String> each : long4) {
        assertThat(each.get(60, TimeUnit.SECONDS)).isEqualTo("grid");
      }

      signal(node, "STOP");
      assertThat(provider(ask(key, any))).as("the node is frozen").isEqualTo("hosted");
      signal(node, "KILL");
      TestGateway.eventually("it is gone", () -> nodes().isEmpty());
      assertThat(provider(ask(key, any))).as("the node is gone").isEqualTo("hosted");
      assertThat(TestGateway.code(ask(key, near))).as("nobody else may").isEqualTo("no_endpoint");
      assertThat(said(world.pay(Json.writeBytes(any)))).as("by x402 too").isEqualTo("From afar");
      assertThat(hosted.calls).hasSize(4);
    }
  }

  private static String providerOf(String key, ObjectNode body) {
    try {
      return provider(ask(key, body));
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  private static int active() throws Exception {
    return nodes().stream().mapToInt(n -> n.path("running").asInt()).sum();
  }

  private static void signal(Spawned node, String name) throws Exception {
    Process kill = new ProcessBuilder("kill", "-" + name, "" + node.process().pid()).start();
    assertThat(kill.waitFor()).isZero();
  }

  @Test
  void aPoolsNodesAnswerItsKeysAloneAndNobodyElseKnowsOfItsModels() throws Exception {
    startGateway(
        model("gridtie/tiny", null, Map.of("Q4_0", tiny("Q4_0"))),
        model("clinic/tiny", "clinic", Map.of("F16", tiny("F16"))));
    Spawned.run(0, command("pool", "create", "clinic", "--shared"));
    String invitation =
        Spawned.run(
                0,
                command(
                    "pool", "invite", "clinic", "--label", "ward 3", "--url", world.url.toString()))
            .strip()
            .lines()
            .reduce((a, b) -> b)
            .orElseThrow();
    Path member = newHome();
    Spawned inside = node(member, "--invitation", invitation, "--when", "always", "--region", "eu");
    Spawned outside = join(newHome());
    TestGateway.eventually("both answer", () -> ready() == 2);

    // Whoever has the same invitation is not let in with it.
    Spawned thief = node(newHome(), "--invitation", invitation, "--when", "always");
    assertThat(thief.process().waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(Files.readString(thief.log())).contains("is another node's");

    String pooled = key("doctor", KeyLimits.NONE.within("clinic").paidFrom("pool:clinic"));
    String open = key("stranger", KeyLimits.NONE);
    HttpResponse<String> seen = world.get("/v1/models");
    assertThat(seen.body()).contains("gridtie/tiny").doesNotContain("clinic");
    HttpResponse<String> strangers = ask(open, question("clinic/tiny", "Who are you?", 1));
    assertThat(TestGateway.code(strangers)).isEqualTo("model_not_found");
    HttpResponse<String> forbidden = ask(pooled, question("clinic/tiny", "Who are you?", 1));
    assertThat(forbidden.statusCode()).as("no credits yet, and no rate").isEqualTo(402);

    String unbilled = key("nurse", KeyLimits.NONE.within("clinic"));
    HttpResponse<String> members = ask(unbilled, question("clinic/tiny", "Who are you?", 1));
    assertThat(said(members)).isNotEmpty();
    String node = members.headers().firstValue("X-Gridtie-Node").orElseThrow();
    assertThat(Files.readString(member.resolve("node.log"))).contains(node);
    // The pool's node took the first model that is wanted: its own pool's and everybody's are
    // offered.
    HttpResponse<String> escapes = ask(unbilled, question("gridtie/tiny", "Who are you?", 1));
    assertThat(escapes.statusCode()).as("no fallback outside of the pool").isEqualTo(404);
    ObjectNode far = question("clinic/tiny", "Who are you?", 1);
    far.putObject("provider").putArray("regions").add("us");
    assertThat(TestGateway.code(ask(unbilled, far))).isEqualTo("no_endpoint");
    far.putObject("provider").putArray("regions").add("eu");
    assertThat(ask(unbilled, far).statusCode()).isEqualTo(200);
    ObjectNode fine = question("gridtie/tiny", "Who are you?", 1);
    fine.putObject("provider").put("min_quantization", "q8_0");
    assertThat(TestGateway.code(ask(open, fine))).isEqualTo("no_endpoint");

    Spawned.run(0, command("pool", "revoke", "clinic", "ward 3"));
    TestGateway.eventually("the node is let go", () -> ready() == 1);
    assertThat(inside.process().waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(outside.process().isAlive()).isTrue();
    String statement = Spawned.run(0, command("pool", "statement", "clinic"));
    assertThat(statement).contains(node).contains("ward 3").contains("shared balance");
  }

  @Test
  void aFileThatTheGatewayHasNotComesFromAnotherNode() throws Exception {
    Path manifest = directory.resolve("tiny.json");
    String text =
        Spawned.run(
            0,
            List.of(
                Spawned.java().getFirst(),
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "model",
                "manifest",
                "--id",
                "gridtie/tiny",
                "F16=" + tiny("F16")));
    Files.writeString(manifest, text.substring(text.indexOf('{')));
    startGateway(
        new GatewayConfig.GridModel(
            "gridtie/tiny", null, manifest.toString(), null, 512, null, "1", "4", 100));
    String sha =
        Json.parse(Files.readAllBytes(manifest)).path("variants").path(0).path("sha256").asString();
    Path first = newHome();
    Files.createDirectories(first.resolve("models"));
    Files.copy(Path.of(tiny("F16")), first.resolve("models/" + sha + ".gguf"));
    Spawned unused = join(first);
    TestGateway.eventually("the first answers", () -> ready() == 1);
    Path second = newHome();
    Spawned unused2 = join(second);
    TestGateway.eventually("the second answers", () -> ready() == 2);
    assertThat(second.resolve("models/" + sha + ".gguf"))
        .hasSameBinaryContentAs(Path.of(tiny("F16")));
    assertThat(TestGateway.json(world.get("/v1/grid/stats")).path("bytes_passed_on").asLong())
        .isEqualTo(Files.size(Path.of(tiny("F16"))));
    HttpResponse<String> stranger =
        world.http.send(
            HttpRequest.newBuilder(world.url.resolve("/v1/grid/files/" + sha))
                .header("Range", "bytes=0-10")
                .build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(stranger.statusCode()).isEqualTo(404);
  }

  private static long enginePid(Path home) throws Exception {
    return Json.parse(Files.readAllBytes(home.resolve("node.json"))).path("enginePid").asLong();
  }

  @Test
  void theOwnerHasTheMachineBackAsSoonAsTheyUseIt() throws Exception {
    startGateway(model("gridtie/tiny", null, Map.of("Q8_0", tiny("Q8_0"))));
    Path home = newHome();
    Spawned unused =
        node(
            home, "--join", world.url.toString(), "--when", "idle", "--quiet", "1", "--busy", "60");
    TestGateway.eventually("it answers", () -> ready() == 1);
    TestGateway.eventually("its status says so", () -> enginePid(home) > 0);
    long engine = enginePid(home);
    assertThat(ProcessHandle.of(engine)).isPresent();
    Process hog = new ProcessBuilder("sh", "-c", "while :; do :; done").start();
    long began = System.nanoTime();
    try {
      TestGateway.eventually(
          "the engine has ended",
          () -> ProcessHandle.of(engine).filter(ProcessHandle::isAlive).isEmpty());
      System.out.printf("given back after %d ms%n", (System.nanoTime() - began) / 1_000_000);
      TestGateway.eventually("the gateway knows", () -> ready() == 0);
    } finally {
      hog.destroyForcibly();
    }
    TestGateway.eventually("it contributes again", () -> ready() == 1);
  }

  @Test
  void aNodeWorksForSeveralGatewaysAndComesBackToOneThatWasRestarted() throws Exception {
    GatewayConfig.GridSettings grid =
        new GatewayConfig.GridSettings(
            false, null, List.of(model("gridtie/tiny", null, Map.of("Q8_0", tiny("Q8_0")))));
    int port = TestGateway.freePort();
    try (Gateway other =
        Gateway.start(
            world.config(0, List.of()).withGrid(grid),
            new Home(directory.resolve("second")),
            new Install(TestGateway.ROOT))) {
      URI second = URI.create("http://127.0.0.1:" + other.port());
      gateway = world.start(world.config(port, List.of()).withGrid(grid));
      Spawned unused = join(newHome(), "--join", second.toString());
      TestGateway.eventually("the first has it", () -> ready() == 1);
      URI first = world.url;
      world.url = second;
      TestGateway.eventually("and the second", () -> ready() == 1);
      gateway.close();
      gateway = world.start(world.config(port, List.of()).withGrid(grid));
      assertThat(world.url).isEqualTo(first);
      TestGateway.eventually("it comes back", () -> ready() == 1);
      String key = key("buyer", KeyLimits.NONE);
      assertThat(said(ask(key, question("gridtie/tiny", "What is a receipt?", 3)))).isNotEmpty();
    }
  }

  @Test
  void aServerOfTheOwnersAnswersInsteadOfOurEngine() throws Exception {
    startGateway(model("gridtie/tiny", null, Map.of("Q8_0", tiny("Q8_0"))));
    try (Gateway other =
        Gateway.start(
            world.config(0, List.of(free("their-model"))),
            new Home(directory.resolve("other")),
            new Install(TestGateway.ROOT))) {
      Spawned unused =
          join(
              newHome(),
              "--server",
              "http://127.0.0.1:" + other.port() + "/v1",
              "--server-model",
              "their-model",
              "--serves",
              "gridtie/tiny@Q8_0");
      TestGateway.eventually("it answers", () -> ready() == 1);
      HttpResponse<String> answer =
          ask(
              key("buyer", KeyLimits.NONE),
              question("gridtie/tiny", "What is a receipt?", 5).put("temperature", 0));
      assertThat(said(answer)).contains("signed record");
      JsonNode listed = TestGateway.json(world.get("/v1/grid/models")).path("data").path(0);
      assertThat(listed.path("can_go_on").asBoolean()).isFalse();
    }
  }

  private static GatewayConfig.Model free(String id) {
    return new GatewayConfig.Model(
        id, "models/tiny/gridtie-tiny-Q8_0.gguf", null, "Q8_0", "0", "0", 512, 200, 4, 1);
  }

  // Hostile nodes

  /** A client that speaks the protocol, or does not. */
  private static final class Raw implements WebSocket.Listener {
    final BlockingQueue<String> frames = new LinkedBlockingQueue<>();
    final CompletableFuture<Integer> closed = new CompletableFuture<>();
    private final StringBuilder partial = new StringBuilder();
    WebSocket socket;

    static Raw open(HttpClient http) {
      Raw raw = new Raw();
      URI url = URI.create(world.url.toString().replace("http", "ws") + Protocol.PATH);
      raw.socket = http.newWebSocketBuilder().buildAsync(url, raw).join();
      return raw;
    }

    @Override
    public CompletionStage<?> onText(WebSocket from, CharSequence data, boolean last) {
      partial.append(data);
      if (last) {
        frames.add(partial.toString());
        partial.setLength(0);
      }
      from.request(1);
      return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket from, int status, String reason) {
      closed.complete(status);
      return null;
    }

    @Override
    public void onError(WebSocket from, Throwable error) {
      closed.complete(-1);
    }

    FromGateway next() throws Exception {
      String frame = frames.poll(10, TimeUnit.SECONDS);
      assertThat(frame).isNotNull();
      return Codec.fromGateway(frame);
    }

    void send(String text) {
      try {
        socket.sendText(text, true).get(5, TimeUnit.SECONDS);
      } catch (Exception e) {
        // Cut off already.
      }
    }

    boolean isCutOff() throws Exception {
      return closed.get(20, TimeUnit.SECONDS) != null;
    }

    FromNode.Hello hello(EvmKey key, FromGateway.Challenge challenge) {
      byte[] digest =
          Identity.statement(challenge.gateway(), challenge.nonce(), key.address().lower(), "");
      return new FromNode.Hello(
          Protocol.VERSION,
          key.address().lower(),
          Hex.encode(key.sign(digest)),
          "raw",
          "",
          "",
          "none",
          1L << 30,
          1L << 30,
          4,
          10);
    }

    FromNode.Hello joined(EvmKey key) throws Exception {
      FromNode.Hello hello = hello(key, (FromGateway.Challenge) next());
      send(Codec.write(hello));
      assertThat(next()).isInstanceOf(FromGateway.Welcome.class);
      return hello;
    }
  }

  @Test
  void whoeverBreaksTheRulesIsCutOffAndTheGatewayGoesOn() throws Exception {
    startGateway(
        model("gridtie/tiny", null, Map.of("Q8_0", tiny("Q8_0"))),
        model("clinic/tiny", "clinic", Map.of("F16", tiny("F16"))));
    try (HttpClient http = HttpClient.newHttpClient()) {
      EvmKey mine = EvmKey.random(new SecureRandom());
      EvmKey another = EvmKey.random(new SecureRandom());

      Raw garbage = Raw.open(http);
      garbage.send("hello?");
      assertThat(garbage.isCutOff()).isTrue();

      Raw binary = Raw.open(http);
      binary.socket.sendBinary(java.nio.ByteBuffer.wrap(new byte[10]), true).join();
      assertThat(binary.isCutOff()).isTrue();

      Raw giant = Raw.open(http);
      giant.send("x".repeat(Protocol.FROM_NODE_BYTES_MAX + 10));
      assertThat(giant.isCutOff()).isTrue();

      Raw early = Raw.open(http);
      early.send(Codec.write(new FromNode.Status(true, "", 0, 1)));
      assertThat(early.isCutOff()).isTrue();

      Raw forged = Raw.open(http);
      FromNode.Hello hers = forged.hello(another, (FromGateway.Challenge) forged.next());
      FromNode.Hello forgedHello =
          new FromNode.Hello(
              1, mine.address().lower(), hers.signature(), "", "", "", "", 1, 1, 1, 1);
      forged.send(Codec.write(forgedHello));
      assertThat(forged.next()).isInstanceOf(FromGateway.Refused.class);
      assertThat(forged.isCutOff()).isTrue();

      Raw honest = Raw.open(http);
      FromNode.Hello said = honest.joined(mine);
      FromGateway.Offer offer = (FromGateway.Offer) honest.next();
      assertThat(offer.models()).as("a pool's manifests are its own").hasSize(1);
      assertThat(offer.models().getFirst().manifest().id()).isEqualTo("gridtie/tiny");

      Raw replayed = Raw.open(http);
      assertThat(replayed.next()).isInstanceOf(FromGateway.Challenge.class);
      replayed.send(Codec.write(said));
      assertThat(replayed.next()).isInstanceOf(FromGateway.Refused.class);
      assertThat(replayed.isCutOff()).isTrue();
      assertThat(honest.closed).isNotDone();

      Raw strange = Raw.open(http);
      FromNode.Hello unused = strange.joined(another);
      strange.send(
          Codec.write(
              new FromNode.Serving("0".repeat(64), "1".repeat(64), "b", true, 1, 100, 1, 1)));
      assertThat(strange.isCutOff()).isTrue();

      Raw flood = Raw.open(http);
      FromNode.Hello unused2 = flood.joined(another);
      String many = (Codec.write(new FromNode.Pong(1)) + "\n").repeat(5_000).strip();
      for (int i = 0; i < 40 && !flood.closed.isDone(); i++) {
        flood.send(many);
      }
      assertThat(flood.isCutOff()).isTrue();

      // What it says of jobs that are not its own, nobody hears.
      for (long job = 0; job < 50; job++) {
        honest.send(Codec.write(new FromNode.Text(job, "lies", List.of(1), 1)));
      }
      assertThat(honest.closed).isNotDone();
      assertThat(world.get("/v1/grid/stats").statusCode()).isEqualTo(200);
      assertThat(ready()).isZero();
    }
  }

  /** A node that answers at once, with whatever, and claims what no machine can do. */
  private static final class Boaster {
    private final Raw raw;
    private final EvmKey key = EvmKey.random(new SecureRandom());
    final CompletableFuture<FromGateway.Refused> refused = new CompletableFuture<>();
    private final Thread thread;

    Boaster(HttpClient http, String build) throws Exception {
      raw = Raw.open(http);
      FromGateway.Challenge challenge = (FromGateway.Challenge) raw.next();
      FromNode.Hello h = raw.hello(key, challenge);
      raw.send(
          Codec.write(
              new FromNode.Hello(
                  h.version(),
                  h.address(),
                  h.signature(),
                  h.name(),
                  "mars",
                  "",
                  h.hardware(),
                  h.memoryBytes(),
                  h.diskBytes(),
                  64,
                  100_000)));
      assertThat(raw.next()).isInstanceOf(FromGateway.Welcome.class);
      FromGateway.Offer.Wanted model = ((FromGateway.Offer) raw.next()).models().getFirst();
      String file = model.manifest().variants().getFirst().sha256();
      raw.send(
          Codec.write(
              new FromNode.Serving(
                  model.manifest().hash(), file, build, true, 64, 1 << 20, 1_000_000, 1_000_000)));
      raw.send(Codec.write(new FromNode.Status(true, "", 0, 1L << 30)));
      thread = Thread.ofVirtual().start(this::answer);
    }

    String address() {
      return key.address().lower();
    }

    private void answer() {
      try {
        while (!raw.closed.isDone() || !raw.frames.isEmpty()) { // a refusal is the last frame
          String frame = raw.frames.poll(100, TimeUnit.MILLISECONDS);
          switch (frame == null ? null : Codec.fromGateway(frame)) {
            case FromGateway.Generate g -> {
              raw.send(Codec.write(new FromNode.Started(g.job(), 400)));
              raw.send(Codec.write(new FromNode.Text(g.job(), "x", List.of(1), 1)));
              raw.send(Codec.write(new FromNode.Ended(g.job(), EndReason.STOP, 400, 1)));
            }
            case FromGateway.Count c -> raw.send(Codec.write(new FromNode.Counted(c.job(), 400)));
            case FromGateway.Ping p -> raw.send(Codec.write(new FromNode.Pong(p.nanos())));
            case FromGateway.Refused r -> refused.complete(r);
            case null, default -> {}
          }
        }
      } catch (Exception e) {
        raw.closed.complete(-1);
      }
    }
  }

  @Test
  void aNodeThatClaimsTheWorldGetsNoMoreThanItsShareAndChangesNoQuote() throws Exception {
    startGateway(model("gridtie/tiny", null, Map.of("Q8_0", tiny("Q8_0"))));
    Spawned unused = join(newHome());
    Spawned unused2 = join(newHome());
    TestGateway.eventually("both answer", () -> ready() == 2);
    byte[] unpaid = Json.writeBytes(question("gridtie/tiny", "Who are you?", 1));
    String quote = amount(unpaid);
    String key = key("buyer", KeyLimits.NONE);
    HttpClient http = HttpClient.newHttpClient();
    try {
      Boaster strange = new Boaster(http, "x");
      assertThat(strange.refused.get(20, TimeUnit.SECONDS).code()).isEqualTo("build_unknown");
      Boaster boaster = new Boaster(http, Engine.BUILD + "+cpu");
      TestGateway.eventually("it is here", () -> ready() == 3);
      assertThat(TestGateway.json(world.get("/v1/grid/models")).path("data"))
          .as("it opens no group, by its build or its region")
          .hasSize(1);
      int won = 0;
      for (int i = 0; i < 40; i++) {
        HttpResponse<String> answer =
            ask(key, question("gridtie/tiny", "Who are you? " + i, i).put("max_tokens", 12));
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        String node = answer.headers().firstValue("X-Gridtie-Node").orElseThrow();
        won += node.equals(boaster.address()) ? 1 : 0;
        assertThat(amount(unpaid)).isEqualTo(quote);
      }
      System.out.printf("the boaster got %d of 40%n", won);
      assertThat(won).isBetween(1, 26);
    } finally {
      http.shutdownNow(); // the boaster stays connected
    }
  }

  private static String amount(byte[] body) throws Exception {
    HttpResponse<String> answer = world.post(body, Map.of());
    assertThat(answer.statusCode()).isEqualTo(402);
    return TestGateway.json(answer).path("accepts").path(0).path("amount").asString();
  }

  @Test
  void withoutAnInvitationOnlyTheNodeOfTheGatewaysHomeJoins() throws Exception {
    GatewayConfig.GridModel tiny = model("gridtie/tiny", null, Map.of("Q8_0", tiny("Q8_0")));
    gateway =
        world.start(
            world
                .config(0, List.of())
                .withGrid(new GatewayConfig.GridSettings(null, null, List.of(tiny))));
    Spawned stranger = join(newHome());
    assertThat(stranger.process().waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(Files.readString(stranger.log()))
        .contains("gridtie pool invite")
        .contains("--invitation");
    Spawned unused = join(world.home.path());
    TestGateway.eventually("the gateway's own", () -> ready() == 1);
  }

  @Test
  void webPagesCannotJoin() {
    try (HttpClient http = HttpClient.newHttpClient()) {
      startGateway(model("gridtie/tiny", null, Map.of("Q8_0", tiny("Q8_0"))));
      URI url = URI.create(world.url.toString().replace("http", "ws") + Protocol.PATH);
      CompletableFuture<WebSocket> opening =
          http.newWebSocketBuilder()
              .header("Origin", "https://evil.example")
              .connectTimeout(Duration.ofSeconds(5))
              .buildAsync(url, new Raw());
      assertThat(opening).failsWithin(Duration.ofSeconds(10));
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }
}
