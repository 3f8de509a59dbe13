package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.base.Secret;
import dev.gridtie.gateway.edge.Origins;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.ApiError.Kind;
import dev.gridtie.wire.openai.ErrorEnvelope;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.SpendingCaps;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpConnection;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A local endpoint that pays for its clients. Bytes move on Vert.x's event loop, with a deadline
 * for each of a request's parts; only a request that is whole takes a place and a virtual thread,
 * on which it is paid. State: the connections, each with the timer of what it must do next.
 */
final class PayingProxy implements AutoCloseable {
  /**
   * What its clients may take.
   *
   * @param connectionsMax at once; the newest is closed
   * @param concurrentMax whole requests at once; more are told to come again
   * @param bodyBytesMax of a request
   * @param headPatience for a connection's next request, from its opening or its last answer
   * @param bodyPatience from a request's head to its last byte
   * @param writePatience for a client to take a piece of an answer
   */
  record Limits(
      int connectionsMax,
      int concurrentMax,
      int bodyBytesMax,
      Duration headPatience,
      Duration bodyPatience,
      Duration writePatience) {
    static final Limits USUAL =
        new Limits(
            128,
            64,
            1024 * 1024,
            Duration.ofSeconds(60),
            Duration.ofSeconds(15),
            Duration.ofSeconds(30));
  }

  private static final int HEADER_BYTES_MAX = 32 * 1024;
  private static final int LINE_BYTES_MAX = 8 * 1024;
  private static final int PIECE_BYTES = 16 * 1024;

  private static final List<String> NOT_RETURNED =
      List.of(
          "content-length",
          "transfer-encoding",
          "connection",
          "keep-alive",
          "set-cookie",
          ":status");

  private final Vertx vertx;
  private final PayingClient client;
  private final URI gateway;
  private final Optional<Secret> token;
  private final Origins origins;
  private final Limits limits;
  private final Semaphore places;
  private final AtomicInteger connections = new AtomicInteger();
  private final Map<HttpConnection, Long> timers = new ConcurrentHashMap<>();
  private final HttpServer server;
  private volatile int port;

  private PayingProxy(
      Vertx vertx,
      PayingClient client,
      URI gateway,
      Optional<Secret> token,
      Origins origins,
      Limits limits) {
    this.vertx = vertx;
    this.client = client;
    this.gateway = gateway;
    this.token = token;
    this.origins = origins;
    this.limits = limits;
    this.places = new Semaphore(limits.concurrentMax());
    this.server =
        vertx.createHttpServer(
            new HttpServerOptions()
                .setMaxHeaderSize(HEADER_BYTES_MAX)
                .setMaxInitialLineLength(LINE_BYTES_MAX)
                .setHttp2ClearTextEnabled(false)
                .setHandle100ContinueAutomatically(true)
                .setTcpNoDelay(true));
  }

  /**
   * Starts one in front of a gateway, on 127.0.0.1.
   *
   * @param port 0 takes a free one
   * @param token that clients send as their API key; empty lets in all of this machine
   * @param origins whose web pages may use it
   * @throws IOException where the port cannot be had
   */
  static PayingProxy start(
      int port,
      URI gateway,
      PayingClient client,
      Optional<Secret> token,
      Origins origins,
      Limits limits)
      throws IOException {
    Vertx vertx = Vertx.vertx(new VertxOptions().setEventLoopPoolSize(2));
    PayingProxy proxy = new PayingProxy(vertx, client, gateway, token, origins, limits);
    try {
      proxy.listen(port);
      return proxy;
    } catch (IOException e) {
      proxy.close();
      throw e;
    }
  }

  private void listen(int wanted) throws IOException {
    server.connectionHandler(this::connected);
    server.invalidRequestHandler(HttpServerRequest.DEFAULT_INVALID_REQUEST_HANDLER);
    server.requestHandler(this::receive);
    try {
      port =
          server
              .listen(wanted, "127.0.0.1")
              .toCompletionStage()
              .toCompletableFuture()
              .get(30, TimeUnit.SECONDS)
              .actualPort();
    } catch (ExecutionException | TimeoutException e) {
      throw new IOException(
          "cannot listen on 127.0.0.1:"
              + wanted
              + ": "
              + e.getMessage()
              + "; choose another --port",
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  int port() {
    return port;
  }

  // On the event loop

  private void connected(HttpConnection connection) {
    int now = connections.incrementAndGet();
    connection.closeHandler(
        v -> {
          connections.decrementAndGet();
          rest(connection);
        });
    if (now > limits.connectionsMax()) {
      var unused = connection.close();
      return;
    }
    expect(connection, limits.headPatience());
  }

  /** Closes a connection that does not do in time what it must do next. */
  private void expect(HttpConnection connection, Duration patience) {
    rest(connection);
    timers.put(connection, vertx.setTimer(patience.toMillis(), id -> connection.close()));
  }

  private void rest(HttpConnection connection) {
    Long timer = timers.remove(connection);
    if (timer != null) {
      vertx.cancelTimer(timer);
    }
  }

  private void receive(HttpServerRequest request) {
    HttpServerResponse response = request.response();
    response.endHandler(v -> expect(request.connection(), limits.headPatience()));
    response.exceptionHandler(e -> {});
    ProxyGate gate = new ProxyGate(gateway, port, token, origins);
    if (request.method().name().equals("OPTIONS")
        && request.headers().contains("Access-Control-Request-Method")
        && origins.answer(request)) {
      return;
    }
    switch (gate.look(request.method().name(), request.uri(), request.headers())) {
      case ProxyGate.Verdict.Refused refused -> {
        // What else may come of its body is not read.
        response.putHeader("Connection", "close");
        refuse(response, refused.why()).onComplete(v -> request.connection().close());
      }
      case ProxyGate.Verdict.Admitted admitted -> {
        origins.answer(request);
        readBody(request, admitted.url());
      }
    }
  }

  private void readBody(HttpServerRequest request, URI url) {
    expect(request.connection(), limits.bodyPatience());
    Buffer body = Buffer.buffer();
    request.exceptionHandler(e -> {}); // the client is gone
    request.handler(
        bytes -> {
          if (body.length() > limits.bodyBytesMax()) {
            return;
          }
          body.appendBuffer(bytes);
          if (body.length() > limits.bodyBytesMax()) {
            request.response().putHeader("Connection", "close");
            refuse(
                    request.response(),
                    ApiError.of(
                        Kind.TOO_LARGE,
                        "request_too_large",
                        "The body exceeds " + limits.bodyBytesMax() + " bytes."))
                .onComplete(v -> request.connection().close());
          }
        });
    request.endHandler(
        v -> {
          if (body.length() <= limits.bodyBytesMax()) {
            serve(request, url, body.getBytes());
          }
        });
  }

  private void serve(HttpServerRequest request, URI url, byte[] body) {
    rest(request.connection());
    if (!places.tryAcquire()) {
      request.response().putHeader("Retry-After", "1");
      var unused =
          refuse(
              request.response(),
              ApiError.of(Kind.RATE_LIMITED, "too_many_requests", "Come again in a second."));
      return;
    }
    String method = request.method().name();
    Map<String, String> headers = new HashMap<>();
    request
        .headers()
        .forEach(
            (name, value) -> {
              if (ProxyGate.isForwarded(name)) {
                headers.putIfAbsent(name, value);
              }
            });
    Thread.ofVirtual()
        .start(
            () -> {
              try {
                forward(request, method, url, headers, body);
              } finally {
                places.release();
              }
            });
  }

  private static Future<Void> refuse(HttpServerResponse response, ApiError error) {
    if (response.ended() || response.closed() || response.headWritten()) {
      return Future.succeededFuture();
    }
    return response
        .setStatusCode(error.kind().status())
        .putHeader("Content-Type", "application/json")
        .end(Buffer.buffer(Json.writeBytes(ErrorEnvelope.of(error))));
  }

  // On a request's virtual thread

  private void forward(
      HttpServerRequest request, String method, URI url, Map<String, String> headers, byte[] body) {
    HttpServerResponse response = request.response();
    try {
      switch (client.send(method, url, headers, body)) {
        case PayingClient.Result.Answered answered ->
            giveBack(response, answered.response(), method.equals("HEAD"));
        case PayingClient.Result.NotPaid notPaid ->
            refuseNow(
                response,
                Kind.PAYMENT_REQUIRED,
                notPaid.why().code(),
                "The proxy did not pay: " + notPaid.why().message() + ".");
        case PayingClient.Result.Lost lost ->
            refuseNow(
                response,
                Kind.BAD_GATEWAY,
                "answer_lost",
                "The proxy paid and got no answer: "
                    + lost.why()
                    + ". Send the same request again: the proxy uses the same payment.");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (SpendingCaps.UnavailableException e) {
      refuseNow(response, Kind.UNAVAILABLE, "spending_unknown", String.valueOf(e.getMessage()));
    } catch (IllegalArgumentException e) {
      refuseNow(
          response,
          Kind.INVALID_REQUEST,
          "invalid_header",
          "The request cannot be passed on: " + e.getMessage());
    } catch (IOException e) {
      if (response.headWritten()) {
        // The client hung up, or the gateway broke off: this answer must not look whole.
        var unused = request.connection().close();
      } else {
        refuseNow(
            response,
            Kind.BAD_GATEWAY,
            "gateway_unreachable",
            "No answer came from " + gateway + ": " + e.getMessage() + ".");
      }
    }
  }

  private static void refuseNow(
      HttpServerResponse response, Kind kind, String code, String message) {
    var unused = refuse(response, ApiError.of(kind, code, message));
  }

  private void giveBack(HttpServerResponse response, PayingClient.Answer answer, boolean head)
      throws IOException, InterruptedException {
    response.setStatusCode(answer.statusCode());
    answer
        .headers()
        .map()
        .forEach(
            (name, values) -> {
              String lower = name.toLowerCase(Locale.ROOT);
              if (!NOT_RETURNED.contains(lower) && !lower.startsWith("access-control-")) {
                response.putHeader(name, values.getFirst());
              }
            });
    try (InputStream in = answer.body()) {
      if (head || answer.statusCode() == 204 || answer.statusCode() == 304) {
        await(response.end());
        return;
      }
      response.setChunked(true);
      byte[] piece = new byte[PIECE_BYTES];
      for (int n = in.read(piece); n >= 0; n = in.read(piece)) {
        await(response.write(Buffer.buffer().appendBytes(piece, 0, n)));
      }
      await(response.end());
    }
  }

  /** Waits until a client has taken what was written: one that takes too long is let go. */
  private void await(Future<Void> written) throws IOException, InterruptedException {
    try {
      var unused =
          written
              .toCompletionStage()
              .toCompletableFuture()
              .get(limits.writePatience().toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException | TimeoutException e) {
      throw new IOException("the client does not take its answer", e);
    }
  }

  @Override
  public void close() {
    try {
      var unused = vertx.close().toCompletionStage().toCompletableFuture().get(5, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      System.err.println("gridtie: the proxy did not end cleanly: " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
