package dev.gridtie.x402.facilitator;

import dev.gridtie.base.Json;
import dev.gridtie.base.http.Bodies;
import dev.gridtie.base.http.Bounds;
import dev.gridtie.base.http.Connections;
import dev.gridtie.x402.facilitator.FacilitatorDesk.Question;
import dev.gridtie.x402.wire.MalformedPaymentException;
import io.vertx.core.MultiMap;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A facilitator's HTTP side (x402 v2 §7): {@code POST /verify}, {@code POST /settle}, {@code GET
 * /supported}, {@code GET /discovery/resources}.
 */
public final class FacilitatorServer implements AutoCloseable {
  /** The largest body that is read, in bytes. */
  private static final int BODY_BYTES_MAX = 64 * 1024;

  private static final int HEADER_BYTES_MAX = 16 * 1024;
  private static final int LINE_BYTES_MAX = 4 * 1024;
  private static final Duration START_PATIENCE = Duration.ofSeconds(10);

  /** How many requests are worked on at once, each from when it is whole. */
  private static final int AT_ONCE_MAX = 512;

  private final FacilitatorDesk desk;
  private final Facilitator facilitator;
  private final Bazaar bazaar;
  private final List<String> extensions;
  private final Map<String, List<String>> signers;
  private final Vertx vertx = Vertx.vertx();
  private final HttpServer server;
  private final Bounds bounds;
  private final Connections connections;
  private final Bodies bodies;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final Semaphore atOnce = new Semaphore(AT_ONCE_MAX);

  /** What clients may take before anything is verified for them. */
  public static Bounds usualBounds() {
    return Bounds.of(BODY_BYTES_MAX);
  }

  /**
   * Listens.
   *
   * @param extensions whose names {@code /supported} says
   * @param signers the keys' addresses, by network
   * @param bounds what clients may take
   * @param port 0 for any
   * @throws IOException where the port cannot be had
   */
  public FacilitatorServer(
      FacilitatorDesk desk,
      Facilitator facilitator,
      Bazaar bazaar,
      List<String> extensions,
      Map<String, List<String>> signers,
      Bounds bounds,
      String host,
      int port)
      throws IOException {
    this.desk = desk;
    this.facilitator = facilitator;
    this.bazaar = bazaar;
    this.extensions = List.copyOf(extensions);
    this.signers = Map.copyOf(signers);
    this.bounds = bounds;
    this.connections = new Connections(bounds, System::nanoTime);
    this.bodies = new Bodies(bounds, System::nanoTime);
    connections.watch(vertx);
    bodies.watch(vertx);
    this.server =
        vertx.createHttpServer(
            new HttpServerOptions()
                .setMaxHeaderSize(HEADER_BYTES_MAX)
                .setMaxInitialLineLength(LINE_BYTES_MAX)
                .setIdleTimeout(0) // Connections' to watch
                .setHttp2ClearTextEnabled(false)
                .setHandle100ContinueAutomatically(true)
                .setTcpNoDelay(true));
    server.connectionHandler(connections::opened);
    server.requestHandler(this::serve);
    try {
      var unused =
          server
              .listen(port, host)
              .toCompletionStage()
              .toCompletableFuture()
              .get(START_PATIENCE.toSeconds(), TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      close();
      throw new IOException("cannot listen on " + host + ":" + port + ": " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      close();
      throw new IOException("interrupted");
    }
  }

  public int port() {
    return server.actualPort();
  }

  /** An answer of HTTP. */
  private record Answer(int status, ObjectNode body) {}

  // On the event loop

  private void serve(HttpServerRequest request) {
    Connections.Exchange exchange = connections.begin(request);
    request.response().closeHandler(v -> exchange.over());
    String path = request.path() == null ? "" : request.path();
    boolean asks = path.equals("/verify") || path.equals("/settle");
    if (!asks || request.method() != HttpMethod.POST) {
      work(request, exchange, () -> asks ? error(405, "use POST here") : page(request, path));
      return;
    }
    bodies.receive(
        request,
        new Bodies.Receiver() {
          @Override
          public void whole(Bodies.Body body) {
            work(
                request,
                exchange,
                () -> {
                  try {
                    return asked(body.content(), path.equals("/settle"));
                  } finally {
                    body.release();
                  }
                });
          }

          @Override
          public void refused(Bodies.Refusal why) {
            request.response().putHeader("Connection", "close");
            send(request, exchange, refusal(why));
          }
        });
  }

  private Answer refusal(Bodies.Refusal why) {
    return switch (why) {
      case TOO_LARGE -> error(413, "the body exceeds " + bounds.bodyBytes() + " bytes");
      case TOO_SLOW ->
          error(
              408,
              "the body came too slowly: whole within "
                  + bounds.bodyPatience().toSeconds()
                  + " s, and at least "
                  + bounds.bodyBytesPerSecond()
                  + " bytes a second");
      case TOO_MANY_OF_ADDRESS ->
          error(429, "too many requests of your address are only half sent; finish or close some");
      case NO_ROOM -> error(503, "too many requests are coming in; come again");
    };
  }

  /** Works on a whole request, on a thread of its own. */
  private void work(
      HttpServerRequest request, Connections.Exchange exchange, Supplier<Answer> way) {
    if (!atOnce.tryAcquire()) {
      send(request, exchange, error(503, "too many requests are being worked on; come again"));
      return;
    }
    threads.execute(
        () -> {
          Answer answer;
          try {
            answer = way.get();
          } catch (RuntimeException e) {
            System.err.println("x402 facilitator: " + e);
            answer = error(500, "something went wrong here; the same payment can be sent again");
          } finally {
            atOnce.release();
          }
          send(request, exchange, answer);
        });
  }

  private static void send(
      HttpServerRequest request, Connections.Exchange exchange, Answer answer) {
    HttpServerResponse response = request.response();
    if (response.closed() || response.ended()) {
      return;
    }
    response.setStatusCode(answer.status());
    response.putHeader("Content-Type", "application/json");
    response.putHeader("Cache-Control", "no-store");
    if (answer.status() == 429 || answer.status() == 503) {
      response.putHeader("Retry-After", "1");
    }
    var unused =
        response
            .end(Buffer.buffer(Json.writeBytes(answer.body())))
            .onComplete(v -> exchange.over());
  }

  private Answer page(HttpServerRequest request, String path) {
    boolean get = request.method() == HttpMethod.GET;
    return switch (path) {
      case "/supported" -> get ? new Answer(200, supported()) : error(405, "use GET here");
      case "/discovery/resources" -> get ? resources(request.params()) : error(405, "use GET here");
      case "/health" -> new Answer(200, Json.object().put("status", "ok"));
      default ->
          error(
              404,
              "there is nothing here; POST /verify and /settle, GET /supported and"
                  + " /discovery/resources");
    };
  }

  private static Answer error(int status, String message) {
    return new Answer(status, Json.object().put("error", message));
  }

  private Answer asked(byte[] body, boolean settle) {
    try {
      Question question = Question.fromJson(Json.parse(body));
      if (!settle) {
        return new Answer(200, desk.verify(question));
      }
      ObjectNode settled = desk.settle(question);
      if (settled.path("success").asBoolean(false)) {
        bazaar.settled(question.payment());
      }
      return new Answer(200, settled);
    } catch (Json.MalformedJsonException | MalformedPaymentException e) {
      ObjectNode json = Json.object();
      if (settle) {
        json.put("success", false).put("errorReason", "invalid_payload");
        json.put("errorMessage", e.getMessage()).put("transaction", "").put("network", "");
      } else {
        json.put("isValid", false).put("invalidReason", "invalid_payload");
        json.put("invalidMessage", e.getMessage());
      }
      return new Answer(400, json);
    }
  }

  private ObjectNode supported() {
    ObjectNode json = Json.object();
    ArrayNode kinds = json.putArray("kinds");
    Map<String, Boolean> said = new HashMap<>();
    for (Facilitator.Kind kind : facilitator.kinds()) {
      if (said.putIfAbsent(kind.name() + " " + kind.network(), true) == null) {
        kinds.add(kind(2, kind, kind.network()));
        if (kind.name().equals("exact")) {
          dev.gridtie.x402.wire.Networks.v1Name(kind.network())
              .ifPresent(name -> kinds.add(kind(1, kind, name)));
        }
      }
    }
    ArrayNode known = json.putArray("extensions");
    extensions.forEach(known::add);
    ObjectNode by = json.putObject("signers");
    new TreeMap<>(signers)
        .forEach(
            (network, addresses) -> {
              ArrayNode list = by.putArray(network);
              addresses.forEach(list::add);
            });
    return json;
  }

  private static ObjectNode kind(int version, Facilitator.Kind kind, String network) {
    ObjectNode json = Json.object();
    json.put("x402Version", version);
    json.put("scheme", kind.name());
    json.put("network", network);
    if (!kind.extra().isEmpty()) {
      json.set("extra", kind.extra());
    }
    return json;
  }

  private Answer resources(MultiMap query) {
    try {
      return new Answer(
          200,
          bazaar.page(
              or(query.get("type"), ""),
              Integer.parseInt(or(query.get("limit"), "20")),
              Integer.parseInt(or(query.get("offset"), "0"))));
    } catch (IllegalArgumentException e) {
      return error(400, "limit must be from 1 to 100, and offset not negative");
    }
  }

  private static String or(@Nullable String value, String usual) {
    return value == null ? usual : value;
  }

  /** Ends; what is being settled is found again at the next start. */
  @Override
  public void close() {
    try {
      var unused =
          vertx
              .close()
              .toCompletionStage()
              .toCompletableFuture()
              .get(START_PATIENCE.toSeconds(), TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      System.err.println("x402 facilitator: stopping: " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    threads.shutdownNow();
  }
}
