package dev.gridtie.grid.node;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Sandbox;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.grid.link.Codec;
import dev.gridtie.grid.link.Identity;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.link.Protocol;
import dev.gridtie.grid.model.Fit;
import dev.gridtie.grid.model.Gguf;
import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.model.Variant;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.ServerWebSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A node with a real engine, on a system whose memory is what a file says, at a scripted gateway.
 */
class NodeAgentIT {
  private static final Path ROOT = Path.of(System.getProperty("gridtie.root"));
  private static final int CONTEXT = 256;
  private static final long RESERVE = NodeAgent.RESERVE_BYTES_MAX;
  private static final int SLOTS = 2;

  @TempDir private Path folder;
  private final Vertx vertx = Vertx.vertx();
  private final BlockingQueue<FromNode> heard = new LinkedBlockingQueue<>();
  private final HttpClient http = HttpClient.newHttpClient();
  private HttpServer server;
  private volatile ServerWebSocket socket;
  private volatile int connections;
  private Manifest model;
  private NodeAgent agent;

  @BeforeEach
  void start() throws Exception {
    Map<String, Path> files = new LinkedHashMap<>();
    for (String kind : List.of("F16", "Q4_0")) {
      files.put(kind, ROOT.resolve("models/tiny/gridtie-tiny-" + kind + ".gguf"));
    }
    model = Gguf.manifest("gridtie/tiny", files, n -> {});
    Files.createDirectories(folder.resolve("models"));
    for (Variant variant : model.variants()) {
      Files.copy(
          files.get(variant.quantization()),
          folder.resolve("models/" + variant.sha256() + ".gguf"));
    }
    server = vertx.createHttpServer();
    server.webSocketHandler(this::greet);
    int port =
        server
            .listen(0, "127.0.0.1")
            .toCompletionStage()
            .toCompletableFuture()
            .get(10, TimeUnit.SECONDS)
            .actualPort();
    memory(RESERVE + bytes("F16") + 1_000_000);
    agent = agent(port);
  }

  @AfterEach
  void stop() throws Exception {
    agent.close();
    http.shutdownNow();
    vertx.close().toCompletionStage().toCompletableFuture().get(5, TimeUnit.SECONDS);
  }

  /** What a variant takes. */
  private long bytes(String quantization) {
    Manifest only =
        new Manifest(
            model.id(),
            model.licence(),
            model.template(),
            model.contextTokens(),
            model.activeParameters(),
            model.totalParameters(),
            model.layers(),
            model.attentionWidth(),
            model.cacheWidth(),
            model.variants().stream().filter(v -> v.quantization().equals(quantization)).toList());
    return Fit.best(only, 1L << 40, 1L << 40, CONTEXT, SLOTS, "").orElseThrow().bytes();
  }

  private void memory(long available) throws Exception {
    Files.createDirectories(folder.resolve("proc"));
    Path next = folder.resolve("proc/next");
    Files.writeString(next, "MemTotal: 99999999 kB\nMemAvailable: " + available / 1024 + " kB\n");
    Files.move(next, folder.resolve("proc/meminfo"), java.nio.file.StandardCopyOption.ATOMIC_MOVE);
  }

  private NodeAgent agent(int port) {
    HostFiles host = new HostFiles(folder);
    Signs signs = new LinuxSigns(host);
    Owner owner =
        new Owner(
            new Owner.Rules(Owner.When.ALWAYS, Optional.empty(), Duration.ZERO, 100, 1000, true),
            signs,
            InstantSource.system(),
            ZoneOffset.UTC,
            System::nanoTime,
            Stream::empty,
            Runnable::run);
    NodeConfig config =
        new NodeConfig(
            List.of(URI.create("http://127.0.0.1:" + port + "/")),
            "",
            "",
            "",
            new NodeConfig.Caps(1L << 40, 1, SLOTS, 1L << 40, 0, 0, 0),
            folder.resolve("models"),
            Engine.libraries(ROOT.resolve("native/node_modules")),
            folder.resolve("engine.log"),
            List.of(),
            Engine.PATIENCE,
            Sandbox.Mode.AUTO,
            Optional.empty());
    Identity identity =
        new Identity() {
          @Override
          public String address() {
            return "0x" + "ab".repeat(20);
          }

          @Override
          public byte[] sign(byte[] digest) {
            return new byte[65];
          }
        };
    Hardware hardware = Hardware.detect(host, 1, 1L << 30);
    return new NodeAgent(
        vertx,
        config,
        identity,
        hardware,
        host,
        signs,
        owner,
        http,
        InstantSource.system(),
        new Random(1),
        status -> {});
  }

  private void greet(ServerWebSocket opened) {
    socket = opened;
    connections++;
    opened.textMessageHandler(
        frame -> {
          for (String line : frame.split("\n")) {
            try {
              FromNode message = Codec.fromNode(line);
              heard.add(message);
              if (message instanceof FromNode.Hello) {
                say(new FromGateway.Welcome("", false, "token" + connections));
                say(
                    new FromGateway.Offer(
                        List.of(new FromGateway.Offer.Wanted(model, CONTEXT, ""))));
              }
            } catch (Codec.MalformedMessageException e) {
              throw new AssertionError(e);
            }
          }
        });
    say(new FromGateway.Challenge(Protocol.VERSION, "0x" + "01".repeat(32), "key"));
    long unused = vertx.setPeriodic(500, id -> say(new FromGateway.Ping(1)));
  }

  private void say(FromGateway message) {
    var unused = socket.writeTextMessage(Codec.write(message));
  }

  private <T extends FromNode> T next(Class<T> type, Predicate<T> wanted) throws Exception {
    long deadline = System.nanoTime() + 60_000_000_000L;
    while (System.nanoTime() < deadline) {
      FromNode message = heard.poll(1, TimeUnit.SECONDS);
      if (type.isInstance(message) && wanted.test(type.cast(message))) {
        return type.cast(message);
      }
    }
    throw new AssertionError("the node never said that");
  }

  private String quantization(FromNode.Serving serving) {
    return model.variant(serving.file()).orElseThrow().quantization();
  }

  private void generate(long job) {
    say(
        new FromGateway.Generate(
            job,
            List.of(new Turn("user", "What is the ledger?")),
            new Sampling(3, 0, 1, 0, 7, List.of()),
            200,
            List.of()));
  }

  @Test
  void whenMemoryShrinksASmallerVariantTakesOverAndItsAnswersAreHandedOn() throws Exception {
    FromNode.Serving first = next(FromNode.Serving.class, s -> s.slots() > 0);
    assertThat(quantization(first)).isEqualTo("F16");
    assertThat(first.sampled()).isTrue();
    assertThat(first.decodeTps()).isPositive();
    generate(1);
    FromNode.Text unused = next(FromNode.Text.class, t -> t.job() == 1);
    say(new FromGateway.Flow(1, false)); // so that it is not over before
    memory(RESERVE + bytes("Q4_0") - bytes("F16") + 500_000); // besides what the engine has
    FromNode.Failed handedOn = next(FromNode.Failed.class, f -> f.job() == 1);
    assertThat(handedOn.yielded()).isTrue();
    assertThat(handedOn.code()).isEqualTo(EngineFailure.Code.UNAVAILABLE);
    memory(RESERVE + bytes("Q4_0") + 500_000);
    FromNode.Serving second = next(FromNode.Serving.class, s -> s.slots() > 0);
    assertThat(quantization(second)).isEqualTo("Q4_0");
    generate(2);
    FromNode.Ended ended = next(FromNode.Ended.class, e -> e.job() == 2);
    assertThat(ended.count()).isPositive();
  }

  @Test
  void aNodeWhoseConnectionBreaksComesBackAndSaysAgainWhatItServes() throws Exception {
    FromNode.Serving first = next(FromNode.Serving.class, s -> s.slots() > 0);
    for (int i = 0; i < 3; i++) {
      heard.clear();
      var unused = socket.close();
      assertThat(next(FromNode.Serving.class, s -> true)).isEqualTo(first);
      FromNode.Status well = next(FromNode.Status.class, FromNode.Status::accepting);
      assertThat(well.active()).isZero();
    }
  }

  @Test
  void moreThanItsSlotsAreRefusedAndASlowReaderPausesItsAnswer() throws Exception {
    FromNode.Serving unused = next(FromNode.Serving.class, s -> s.slots() > 0);
    generate(1);
    FromNode.Text begun = next(FromNode.Text.class, t -> t.job() == 1);
    say(new FromGateway.Flow(1, false));
    assertThat(begun.count()).isPositive();
    generate(2);
    generate(3);
    FromNode.Failed refused = next(FromNode.Failed.class, f -> f.job() > 1);
    assertThat(refused.code()).isEqualTo(EngineFailure.Code.OVERLOADED);
    say(new FromGateway.Flow(1, true));
    say(new FromGateway.Cancel(1));
    FromNode.Ended ended = next(FromNode.Ended.class, e -> e.job() == 1);
    assertThat(ended.count()).isLessThan(200);
  }
}
