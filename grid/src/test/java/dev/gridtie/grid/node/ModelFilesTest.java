package dev.gridtie.grid.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Hashes;
import dev.gridtie.grid.model.Variant;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelFilesTest {
  private static final int PIECE = Variant.PIECE_BYTES_MIN;

  @TempDir private Path folder;
  private final HttpClient http = HttpClient.newHttpClient();
  private final List<HttpServer> servers = new ArrayList<>();
  private final List<String> asked = new CopyOnWriteArrayList<>();
  private Instant now = Instant.parse("2026-01-01T00:00:00Z");
  private byte[] bytes;
  private Variant file;

  @BeforeEach
  void start() {
    bytes = random(1, PIECE * 3 + 100);
    file = variant(bytes);
  }

  @AfterEach
  void stop() {
    servers.forEach(s -> s.stop(0));
    http.shutdownNow();
  }

  private static byte[] random(long seed, int length) {
    byte[] bytes = new byte[length];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  private static String hash(byte[] of) {
    return HexFormat.of().formatHex(Hashes.sha256(of));
  }

  private static Variant variant(byte[] of) {
    List<String> pieces = new ArrayList<>();
    for (int at = 0; at < of.length; at += PIECE) {
      pieces.add(hash(Arrays.copyOfRange(of, at, Math.min(of.length, at + PIECE))));
    }
    return new Variant("Q8_0", hash(of), of.length, PIECE, pieces);
  }

  private interface Answering {
    byte[] answer(int from, int to) throws IOException;
  }

  private ModelFiles.Source server(Answering answering) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", exchange -> serve(exchange, answering));
    server.start();
    servers.add(server);
    return new ModelFiles.Source(
        URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/file"), "secret");
  }

  private void serve(HttpExchange exchange, Answering answering) throws IOException {
    String range = exchange.getRequestHeaders().getFirst("Range");
    asked.add(range);
    assertThat(exchange.getRequestHeaders().getFirst("Authorization")).isEqualTo("Bearer secret");
    String[] ends = range.substring("bytes=".length()).split("-");
    byte[] part = answering.answer(Integer.parseInt(ends[0]), Integer.parseInt(ends[1]));
    exchange.sendResponseHeaders(206, part.length);
    exchange.getResponseBody().write(part);
    exchange.close();
  }

  private byte[] right(int from, int to) {
    return Arrays.copyOfRange(bytes, from, to + 1);
  }

  private ModelFiles files(long max) {
    return new ModelFiles(folder, max, Bandwidth.of(0), http, () -> now);
  }

  @Test
  void aFileComesInPiecesAndIsThereAfterwards() throws Exception {
    ModelFiles files = files(1 << 30);
    List<Long> progress = new ArrayList<>();
    Path path = files.get(file, List.of(server(this::right)), Set.of(), progress::add);
    assertThat(path).hasBinaryContent(bytes);
    assertThat(progress).endsWith(file.bytes());
    assertThat(asked).hasSize(4);
    assertThat(files.get(file, List.of(), Set.of(), n -> {})).isEqualTo(path);
    assertThat(files.part(file.sha256(), PIECE, 10)).isEqualTo(right(PIECE, PIECE + 9));
    assertThat(files.part(file.sha256(), bytes.length - 5L, 100)).hasSize(5);
  }

  @Test
  void bandwidthIsKeptInBothDirectionsTogether() throws Exception {
    List<Long> slept = new ArrayList<>();
    long[] nanos = {0};
    Bandwidth bandwidth =
        new Bandwidth(
            PIECE, // a piece a second
            () -> nanos[0],
            n -> {
              slept.add(n);
              nanos[0] += n;
            });
    ModelFiles files = new ModelFiles(folder, 1 << 30, bandwidth, http, () -> now);
    Path path = files.get(file, List.of(server(this::right)), Set.of(), n -> {});
    assertThat(path).hasBinaryContent(bytes);
    assertThat(slept).as("four pieces, the first at once").containsOnly(1_000_000_000L).hasSize(3);
    nanos[0] += 10_000_000_000L;
    slept.clear();
    assertThat(files.part(file.sha256(), 0, PIECE)).hasSize(PIECE); // for another node
    assertThat(files.part(file.sha256(), 0, PIECE)).hasSize(PIECE);
    assertThat(slept).containsExactly(1_000_000_000L);
  }

  @Test
  void whatWasFetchedBeforeAStopIsNotFetchedAgainUnlessItIsBent() throws Exception {
    byte[] part = Arrays.copyOf(bytes, PIECE * 2 + 7);
    part[5] ^= 1;
    Files.write(folder.resolve(file.sha256() + ".part"), part);
    Path path = files(1 << 30).get(file, List.of(server(this::right)), Set.of(), n -> {});
    assertThat(path).hasBinaryContent(bytes);
    assertThat(asked).hasSize(3).contains("bytes=0-" + (PIECE - 1));
  }

  @Test
  void whoeverGivesOtherBytesIsPassedOver() throws Exception {
    ModelFiles.Source liar = server((from, to) -> random(9, to - from + 1));
    Path path = files(1 << 30).get(file, List.of(liar, server(this::right)), Set.of(), n -> {});
    assertThat(path).hasBinaryContent(bytes);
  }

  @Test
  void whoeverGivesMoreThanWasAskedIsCutOff() throws Exception {
    AtomicInteger greedy = new AtomicInteger();
    ModelFiles.Source flood =
        server(
            (from, to) -> {
              greedy.incrementAndGet();
              return random(9, PIECE * 40);
            });
    assertThat(files(1 << 30).get(file, List.of(flood, server(this::right)), Set.of(), n -> {}))
        .hasBinaryContent(bytes);
    assertThat(greedy).hasPositiveValue();
  }

  @Test
  void theLeastUsedGoFirstAndWhatIsInUseStays() throws Exception {
    byte[][] all = {random(1, PIECE * 2), random(2, PIECE * 2), random(3, PIECE * 2)};
    ModelFiles files = files(PIECE * 5L);
    for (byte[] each : all) {
      now = now.plusSeconds(60);
      ModelFiles.Source source = server((from, to) -> Arrays.copyOfRange(each, from, to + 1));
      Path unused = files.get(variant(each), List.of(source), Set.of(hash(all[0])), n -> {});
    }
    assertThat(files.find(hash(all[0]))).as("in use").isPresent();
    assertThat(files.find(hash(all[1]))).as("least used of the others").isEmpty();
    assertThat(files.find(hash(all[2]))).isPresent();
  }

  @Test
  void whatDoesNotFitIsNotBegun() {
    assertThatThrownBy(() -> files(PIECE).get(file, List.of(), Set.of(), n -> {}))
        .hasMessageContaining("--disk");
    assertThatThrownBy(() -> files(1 << 30).get(file, List.of(), Set.of(), n -> {}))
        .hasMessageContaining("nobody is connected");
  }
}
