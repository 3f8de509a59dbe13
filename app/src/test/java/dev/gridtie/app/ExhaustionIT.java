package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.gateway.answer.Room;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.exact.ExactTypes.Payload;
import dev.gridtie.x402.wire.Headers;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.sql.ResultSet;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.node.ObjectNode;

/** Clients and upstreams that take all they can get: others are served, and the process lives. */
class ExhaustionIT {
  private static final String HALF =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
          + "Content-Length: 1000\r\n\r\n{";

  /** On Linux any address of 127/8 is this machine: another client than 127.0.0.1. */
  private static final String STRANGER = "127.0.0.9";

  @TempDir Path directory;
  private TestGateway world;
  private ScriptedServer upstream;
  private Gateway gateway;
  private final List<Socket> sockets = new ArrayList<>();

  @BeforeEach
  void prepare() throws Exception {
    world = new TestGateway(directory);
    upstream = new ScriptedServer();
  }

  @AfterEach
  void stop() throws Exception {
    for (Socket socket : sockets) {
      socket.close();
    }
    gateway.close();
    upstream.close();
    world.requireSound();
    world.close();
  }

  private void start(GatewayConfig.Limits limits) throws IOException {
    GatewayConfig c = world.config();
    gateway =
        world.start(
            new GatewayConfig(
                null,
                0,
                null,
                c.payTo(),
                c.chain(),
                List.of(
                    new GatewayConfig.Model(
                        "free", null, upstream.base().toString(), "F16", "0", "0", 4096, 100, 1, 1),
                    new GatewayConfig.Model(
                        "paid",
                        null,
                        upstream.base().toString(),
                        "F16",
                        "1",
                        "1",
                        4096,
                        100,
                        1,
                        1)),
                null,
                0,
                null,
                null,
                false,
                limits));
  }

  private static GatewayConfig.Limits limits(
      int concurrent, int perAddress, int headSeconds, int idleSeconds, int answerSeconds) {
    return new GatewayConfig.Limits(
        0, 0, concurrent, 0, 0, perAddress, null, headSeconds, idleSeconds, 0, 0, 0, answerSeconds);
  }

  private Socket send(String from, String text) throws IOException {
    Socket socket =
        new Socket(
            InetAddress.getByName("127.0.0.1"),
            world.url.getPort(),
            InetAddress.getByName(from),
            0);
    sockets.add(socket);
    socket.setSoTimeout(30_000);
    socket.getOutputStream().write(text.getBytes(US_ASCII));
    socket.getOutputStream().flush();
    return socket;
  }

  private static byte[] asked(String model) {
    return bytes(chat("What is a receipt?").put("model", model));
  }

  @Test
  void bodiesThatAreNotFinishedKeepOutNoOthers() throws Exception {
    start(limits(16, 0, 0, 0, 0));
    upstream.on("free", ScriptedServer.well("Yes."));
    for (int i = 0; i < 300; i++) {
      Socket unused = send("127.0.0.1", HALF);
    }
    HttpResponse<String> response = world.post(asked("free"), Map.of());
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
  }

  @Test
  void anAddressHasSoManyConnectionsAndOthersAreServed() throws Exception {
    start(limits(0, 20, 0, 0, 0));
    upstream.on("free", ScriptedServer.well("Yes."));
    for (int i = 0; i < 20; i++) {
      Socket unused = send(STRANGER, HALF);
    }
    Socket oneMore =
        new Socket(
            InetAddress.getByName("127.0.0.1"),
            world.url.getPort(),
            InetAddress.getByName(STRANGER),
            0);
    sockets.add(oneMore);
    oneMore.setSoTimeout(30_000);
    assertThat(oneMore.getInputStream().read()).isEqualTo(-1);
    for (int i = 0; i < 25; i++) {
      Socket unused = send("127.0.0.1", HALF); // a proxy's address is many clients'
    }
    assertThat(world.post(asked("free"), Map.of()).statusCode()).isEqualTo(200);
  }

  @Test
  void aHeadThatDoesNotComeWholeEndsItsConnection() throws Exception {
    start(limits(0, 0, 1, 0, 0));
    Socket slow = send("127.0.0.1", "GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    assertThat(slow.getInputStream().read()).isEqualTo(-1);
  }

  @Test
  void anAnswerThatTakesLongerThanAConnectionMayBeIdleComesWhole() throws Exception {
    start(limits(0, 0, 1, 1, 0));
    upstream.on(
        "free",
        (call, out) -> {
          Thread.sleep(4000); // longer than either patience, with what the checks are apart
          ScriptedServer.well("At last.").answer(call, out);
        });
    HttpResponse<String> response = world.post(asked("free"), Map.of());
    assertThat(response.statusCode()).isEqualTo(200);
    assertThat(response.body()).contains("At last.");
  }

  @Test
  void anAnswerThatTakesTooLongIsRefusedInWords() throws Exception {
    start(limits(0, 0, 0, 0, 1));
    AtomicLong over = new AtomicLong();
    upstream.on(
        "free",
        (call, out) -> {
          while (over.get() == 0) {
            Thread.sleep(20);
          }
        });
    HttpResponse<String> response = world.post(asked("free"), Map.of());
    over.set(1);
    assertThat(response.statusCode()).isEqualTo(503);
    assertThat(code(response)).isEqualTo("answer_timeout");
    assertThat(response.headers().firstValue("Retry-After")).isPresent();
  }

  /** Writes without an end; says how much was taken. */
  private static ScriptedServer.Script endless(String type, String piece, AtomicLong taken) {
    return (call, out) -> {
      byte[] bytes = piece.repeat(Math.max(1, 65536 / piece.length())).getBytes(US_ASCII);
      try (OutputStream body = out.begin(200, type)) {
        while (true) {
          body.write(bytes);
          taken.addAndGet(bytes.length);
        }
      }
    };
  }

  @Test
  void upstreamsWithoutAnEndAreCutAndTheirMemoryIsGivenBack() throws Exception {
    start(limits(0, 0, 0, 0, 0));
    AtomicLong taken = new AtomicLong();
    upstream.on("free", endless("application/json", "[", taken));
    long before = Room.OF_PROCESS.taken();
    List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
    for (int i = 0; i < 28; i++) {
      answers.add(
          world.http.sendAsync(
              world.request(asked("free")).build(), HttpResponse.BodyHandlers.ofString()));
    }
    for (CompletableFuture<HttpResponse<String>> answer : answers) {
      assertThat(answer.join().statusCode()).isIn(502, 503);
    }
    upstream.on("free", ScriptedServer.well("Yes."));
    TestGateway.eventually(
        "others are served", () -> world.post(asked("free"), Map.of()).statusCode() == 200);
    TestGateway.eventually("the memory is given back", () -> Room.OF_PROCESS.taken() <= before);
    long seen = taken.get();
    Thread.sleep(300);
    assertThat(taken.get()).as("hung up").isLessThanOrEqualTo(seen + 28L * 1024 * 1024);
  }

  @Test
  void nothingOfAPaymentIsStoredBeforeItsSignatureIsChecked() throws Exception {
    start(limits(0, 0, 0, 0, 0));
    byte[] body = asked("paid");
    EvmKey poor = EvmKey.random(new SecureRandom());
    for (int i = 0; i < 20; i++) {
      ObjectNode payment = (ObjectNode) Headers.decode(world.sign(body, poor));
      Payload good = Payload.fromJson(payment.path("payload"));
      byte[] signature = good.signature().clone();
      signature[5] ^= 1;
      payment.set("payload", new Payload(good.authorization(), signature).toJson());
      payment.put("junk", "x".repeat(4000));
      String header = Base64.getEncoder().encodeToString(bytes(payment));
      HttpResponse<String> response = world.paid(body, header);
      assertThat(response.statusCode()).as(response.body()).isEqualTo(402);
    }
    gateway.close();
    try (var connection = world.raw();
        var statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT count(*) FROM payment")) {
      assertThat(row.next()).isTrue();
      assertThat(row.getLong(1)).isZero();
    }
  }
}
