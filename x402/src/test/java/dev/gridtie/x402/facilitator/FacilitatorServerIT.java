package dev.gridtie.x402.facilitator;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.http.Bounds;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A facilitator on a public port: what is sent to it and not finished stops no others. */
class FacilitatorServerIT {
  @TempDir Path directory;
  private final List<Socket> sockets = new ArrayList<>();
  private final List<AutoCloseable> parts = new ArrayList<>();

  @AfterEach
  void stop() throws Exception {
    for (Socket socket : sockets) {
      socket.close();
    }
    for (AutoCloseable part : parts.reversed()) {
      part.close();
    }
  }

  private int start(Bounds bounds) throws IOException {
    Facilitator facilitator = new Facilitator(List.of());
    FacilitatorDesk desk =
        new FacilitatorDesk(
            facilitator,
            new FileJournal(directory.resolve("journal"), InstantSource.system()),
            InstantSource.system());
    parts.add(desk);
    FacilitatorServer server =
        new FacilitatorServer(
            desk,
            facilitator,
            new Bazaar(Optional.empty(), InstantSource.system()),
            List.of(),
            Map.of(),
            bounds,
            "127.0.0.1",
            0);
    parts.add(server);
    return server.port();
  }

  private static Bounds with(int bodies, Duration headPatience) {
    Bounds usual = FacilitatorServer.usualBounds();
    return new Bounds(
        usual.connections(),
        usual.connectionsPerAddress(),
        usual.sharedAddresses(),
        headPatience,
        usual.idle(),
        bodies,
        usual.bodiesPerAddress(),
        usual.bodyBytes(),
        usual.bodyBytesTotal(),
        usual.bodyPatience(),
        usual.bodyBytesPerSecond());
  }

  private Socket send(int port, String from, String bytes) throws IOException {
    Socket socket =
        new Socket(InetAddress.getByName("127.0.0.1"), port, InetAddress.getByName(from), 0);
    sockets.add(socket);
    socket.setSoTimeout(20_000);
    socket.getOutputStream().write(bytes.getBytes(US_ASCII));
    socket.getOutputStream().flush();
    return socket;
  }

  private static final String HALF =
      "POST /settle HTTP/1.1\r\n"
          + "Host: x\r\n"
          + "Content-Type: application/json\r\n"
          + "Content-Length: 1000\r\n\r\n"
          + "{";

  private static HttpResponse<String> settle(int port) throws Exception {
    try (HttpClient http = HttpClient.newHttpClient()) {
      return http.send(
          HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/settle"))
              .timeout(Duration.ofSeconds(20))
              .version(HttpClient.Version.HTTP_1_1)
              .POST(HttpRequest.BodyPublishers.ofString("{}"))
              .build(),
          HttpResponse.BodyHandlers.ofString());
    }
  }

  @Test
  void halfSentSettlementsStopNoOthers() throws Exception {
    int port = start(with(50, Duration.ofSeconds(10)));
    for (int i = 0; i < 120; i++) {
      Socket unused = send(port, "127.0.0.1", HALF);
    }
    HttpResponse<String> response = settle(port);
    assertThat(response.statusCode()).as(response.body()).isEqualTo(400);
    assertThat(response.body()).contains("invalid_payload");
  }

  @Test
  void aHeadThatDoesNotComeWholeEndsItsConnection() throws Exception {
    int port = start(with(50, Duration.ofMillis(500)));
    Socket slow = send(port, "127.0.0.1", "POST /settle HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    assertThat(slow.getInputStream().read()).isEqualTo(-1);
  }
}
