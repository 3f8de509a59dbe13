package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Secret;
import dev.gridtie.gateway.edge.Origins;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.PaymentJournal;
import dev.gridtie.x402.client.SpendingCaps;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The paying proxy on real sockets, written to by hand. */
class PayingProxyIT {
  private static final String TOKEN = "gtp-" + "cd".repeat(32);
  private static final Duration PATIENCE = Duration.ofMillis(400);

  @TempDir Path directory;
  private HttpServer gateway;
  private HttpServer stranger;
  private final List<String> heard = new CopyOnWriteArrayList<>();
  private final List<String> strangerHeard = new CopyOnWriteArrayList<>();
  private PayingProxy proxy;

  @BeforeEach
  void start() throws Exception {
    gateway = server(heard);
    stranger = server(strangerHeard);
    BigInteger cap = BigInteger.TEN.pow(12);
    PayingClient client =
        new PayingClient(
            new Payer(List.of(), new Payer.Limits(cap, List.of(), List.of())),
            new SpendingCaps(cap, cap, directory.resolve("s.json"), InstantSource.system()),
            PaymentJournal.inMemory());
    proxy =
        PayingProxy.start(
            0,
            URI.create("http://127.0.0.1:" + gateway.getAddress().getPort()),
            client,
            Optional.of(new Secret(TOKEN)),
            new Origins(List.of("http://localhost:5173")),
            new PayingProxy.Limits(8, 2, 1000, PATIENCE, PATIENCE, Duration.ofSeconds(5)));
  }

  private static HttpServer server(List<String> heard) throws IOException {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          try (exchange) {
            String body = new String(exchange.getRequestBody().readAllBytes(), UTF_8);
            heard.add(
                exchange.getRequestURI() + " " + exchange.getRequestHeaders().keySet() + body);
            exchange.getResponseHeaders().set("Location", "http://evil.example/");
            boolean moved = exchange.getRequestURI().getPath().equals("/moved");
            exchange.sendResponseHeaders(moved ? 302 : 200, 2);
            exchange.getResponseBody().write("ok".getBytes(UTF_8));
          }
        });
    server.start();
    return server;
  }

  @AfterEach
  void stop() {
    proxy.close();
    gateway.stop(0);
    stranger.stop(0);
  }

  private Socket connect() throws IOException {
    Socket socket = new Socket(InetAddress.getLoopbackAddress(), proxy.port());
    socket.setSoTimeout(20_000);
    return socket;
  }

  /** Sends bytes as they are, and gives what comes until the connection is closed. */
  private String raw(String request) throws IOException {
    try (Socket socket = connect()) {
      socket.getOutputStream().write(request.getBytes(UTF_8));
      return rest(socket);
    }
  }

  private static String rest(Socket socket) throws IOException {
    try (InputStream in = socket.getInputStream()) {
      return new String(in.readAllBytes(), UTF_8);
    } catch (java.net.SocketException e) {
      return ""; // closed while it was written to
    }
  }

  private String request(String line, String... more) {
    return line
        + " HTTP/1.1\r\nHost: 127.0.0.1:"
        + proxy.port()
        + "\r\nConnection: close\r\nAuthorization: Bearer "
        + TOKEN
        + "\r\n"
        + String.join("\r\n", more)
        + (more.length > 0 ? "\r\n" : "")
        + "\r\n";
  }

  @Test
  void nothingReachesAnybodyButTheGateway() throws Exception {
    String other = "127.0.0.1:" + stranger.getAddress().getPort();
    for (String target :
        List.of(
            "//" + other + "/x", "http://" + other + "/x", "\\\\" + other + "\\x", "@" + other)) {
      assertThat(raw(request("GET " + target))).doesNotContain(" 200 ");
    }
    assertThat(raw(request("CONNECT " + other))).doesNotContain(" 200 ");
    assertThat(strangerHeard).isEmpty();
    assertThat(heard).isEmpty();
    assertThat(raw(request("GET /v1/models?key=" + TOKEN))).contains(" 200 ").contains("ok");
    assertThat(heard).hasSize(1);
    assertThat(heard.getFirst()).startsWith("/v1/models ").doesNotContain("Authorization");
    assertThat(raw(request("GET /moved"))).contains(" 302 ");
  }

  @Test
  void aPageThatWasNotAllowedCannotAskAndOneThatWasCan() throws Exception {
    assertThat(raw(request("GET /x", "Origin: https://evil.example"))).contains(" 403 ");
    assertThat(raw(request("GET /x", "Sec-Fetch-Site: cross-site"))).contains(" 403 ");
    assertThat(
            raw(
                request(
                    "OPTIONS /x",
                    "Origin: https://evil.example",
                    "Access-Control-Request-Method: POST")))
        .contains(" 405 ");
    assertThat(heard).isEmpty();
    assertThat(
            raw(
                request(
                    "OPTIONS /x",
                    "Origin: http://localhost:5173",
                    "Access-Control-Request-Method: POST",
                    "Access-Control-Request-Headers: authorization,x-stainless-os")))
        .contains(" 204 ")
        .containsIgnoringCase("access-control-allow-headers: authorization,x-stainless-os");
    assertThat(raw(request("GET /x", "Origin: http://localhost:5173")))
        .contains(" 200 ")
        .containsIgnoringCase("access-control-allow-origin: http://localhost:5173");
  }

  @Test
  void halfSentRequestsHoldNoPlaceAndAreClosed() throws Exception {
    List<Socket> slow = new ArrayList<>();
    try {
      for (int i = 0; i < 6; i++) {
        Socket socket = connect();
        slow.add(socket);
        String head =
            i % 2 == 0
                ? request("POST /x", "Content-Type: application/json", "Content-Length: 100") + "x"
                : "GET /x HTTP/1.1\r\nHost: ";
        socket.getOutputStream().write(head.getBytes(UTF_8));
      }
      assertThat(raw(request("GET /x"))).as("others are served").contains(" 200 ");
      for (Socket socket : slow) {
        assertThat(rest(socket)).doesNotContain(" 200 ");
      }
    } finally {
      for (Socket socket : slow) {
        socket.close();
      }
    }
    assertThat(heard).hasSize(1);
  }

  @Test
  void connectionsAreCountedAndABodyIsBounded() throws Exception {
    assertThat(
            raw(
                request("POST /x", "Content-Type: application/json", "Content-Length: 2000")
                    + "x".repeat(2000)))
        .contains(" 413 ");
    List<Socket> many = new ArrayList<>();
    try {
      for (int i = 0; i < 8; i++) {
        many.add(connect());
      }
      assertThat(raw(request("GET /x"))).as("one too many").doesNotContain(" 200 ");
    } finally {
      for (Socket socket : many) {
        socket.close();
      }
    }
    TestGateway.eventually("there is room again", () -> raw(request("GET /x")).contains(" 200 "));
  }

  @Test
  void theTokenIsMadeOnceAndOnlyItsOwnerCanReadIt() throws Exception {
    Path file = directory.resolve("proxy.token");
    String token = ProxyCommand.token(file).reveal();
    assertThat(token).matches("gtp-[0-9a-f]{64}");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
        .isEqualTo("rw-------");
    assertThat(ProxyCommand.token(file).reveal()).isEqualTo(token);
  }
}
