package dev.gridtie.app;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.openai.ErrorEnvelope;
import dev.gridtie.x402.client.FilePaymentJournal;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.SpendingCaps;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpResponse;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code gridtie proxy}: a local endpoint that pays for clients that know nothing of x402. */
@Command(
    name = "proxy",
    mixinStandardHelpOptions = true,
    description = {
      "A local endpoint that pays, from the buyer's wallet, for any client that knows nothing of x402: point its base URL"
          + " here and give it any API key.",
      "It refuses what would exceed a cap, with status 402, and pays nothing then."
    })
final class ProxyCommand implements Callable<Integer> {
  private static final int BODY_BYTES_MAX = 1024 * 1024;
  private static final int CONCURRENT_MAX = 64;

  /** Headers that belong to one connection, to the client's own credentials, or to the payment. */
  private static final List<String> NOT_FORWARDED =
      List.of(
          "host",
          "connection",
          "content-length",
          "transfer-encoding",
          "upgrade",
          "expect",
          "http2-settings",
          "te",
          "trailer",
          "keep-alive",
          "proxy-authorization",
          "authorization",
          "payment-signature",
          "x-payment",
          "accept-encoding");

  private static final List<String> NOT_RETURNED =
      List.of("content-length", "transfer-encoding", "connection", "keep-alive", ":status");

  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(
      names = "--port",
      paramLabel = "PORT",
      defaultValue = "4022",
      description = "On 127.0.0.1; 0 takes a free one (default: ${DEFAULT-VALUE}).")
  private int port;

  @Option(
      names = "--max-usd",
      paramLabel = "USD",
      defaultValue = "0.10",
      description = "The most that is paid for one request (default: ${DEFAULT-VALUE}).")
  private String maxUsd = "";

  @Option(
      names = "--max-usd-day",
      paramLabel = "USD",
      defaultValue = "1",
      description =
          "The most that is paid on one day, UTC, restarts included (default: ${DEFAULT-VALUE}).")
  private String maxUsdDay = "";

  @Override
  public Integer call() throws Exception {
    UpFile up = UpFile.read(home.get());
    SpendingCaps caps =
        new SpendingCaps(
            UpFile.pico("--max-usd", maxUsd),
            UpFile.pico("--max-usd-day", maxUsdDay),
            home.get().path().resolve("proxy-spending.json"),
            InstantSource.system());
    HttpServer server =
        start(
            port,
            up.gateway(),
            up.payingClient(
                caps, new FilePaymentJournal(home.get().path().resolve("payments.json"))));
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  server.stop(0);
                  stopped.countDown();
                }));
    System.out.println("ready http://127.0.0.1:" + server.getAddress().getPort() + "/v1");
    System.out.println(
        "pays at most $"
            + maxUsd
            + " for a request and $"
            + maxUsdDay
            + " on a day, from "
            + up.buyer());
    System.out.flush();
    stopped.await();
    return 0;
  }

  /** Starts the endpoint in front of a gateway. */
  static HttpServer start(int port, URI gateway, PayingClient client) throws IOException {
    HttpServer server;
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 64);
    } catch (IOException e) {
      throw new IOException(
          "cannot listen on 127.0.0.1:" + port + ": " + e.getMessage() + "; choose another --port");
    }
    Semaphore concurrent = new Semaphore(CONCURRENT_MAX);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext(
        "/",
        exchange -> {
          try (exchange) {
            if (!concurrent.tryAcquire()) {
              refuse(
                  exchange,
                  ApiError.of(
                      ApiError.Kind.RATE_LIMITED, "too_many_requests", "Come again in a second."));
              return;
            }
            try {
              forward(exchange, gateway, client);
            } finally {
              concurrent.release();
            }
          }
        });
    server.start();
    return server;
  }

  private static void forward(HttpExchange exchange, URI gateway, PayingClient client)
      throws IOException {
    byte[] body = exchange.getRequestBody().readNBytes(BODY_BYTES_MAX + 1);
    if (body.length > BODY_BYTES_MAX) {
      refuse(
          exchange,
          ApiError.of(
              ApiError.Kind.TOO_LARGE,
              "request_too_large",
              "The body exceeds " + BODY_BYTES_MAX + " bytes."));
      return;
    }
    Map<String, String> headers = new HashMap<>();
    exchange
        .getRequestHeaders()
        .forEach(
            (name, values) -> {
              if (!NOT_FORWARDED.contains(name.toLowerCase(Locale.ROOT))) {
                headers.put(name, values.getFirst());
              }
            });
    URI url = gateway.resolve(exchange.getRequestURI().toString());
    try {
      switch (client.send(exchange.getRequestMethod(), url, headers, body)) {
        case PayingClient.Result.Answered answered -> giveBack(exchange, answered.response());
        case PayingClient.Result.NotPaid notPaid ->
            refuse(
                exchange,
                ApiError.of(
                    ApiError.Kind.PAYMENT_REQUIRED,
                    notPaid.why().code(),
                    "The proxy did not pay: " + notPaid.why().message() + "."));
        case PayingClient.Result.Lost lost ->
            refuse(
                exchange,
                ApiError.of(
                    ApiError.Kind.BAD_GATEWAY,
                    "answer_lost",
                    "The proxy paid and got no answer: "
                        + lost.why()
                        + ". Send the same request again: the proxy uses the same payment."));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (SpendingCaps.UnavailableException e) {
      refuse(
          exchange,
          ApiError.of(
              ApiError.Kind.UNAVAILABLE, "spending_unknown", String.valueOf(e.getMessage())));
    } catch (IOException e) {
      if (exchange.getResponseCode() < 0) {
        refuse(
            exchange,
            ApiError.of(
                ApiError.Kind.BAD_GATEWAY,
                "gateway_unreachable",
                "No gateway answers at " + gateway + "; nothing was paid."));
      } else {
        throw e; // the client hung up, or the gateway broke off: either way this answer must not
        // look whole
      }
    }
  }

  private static void giveBack(HttpExchange exchange, HttpResponse<InputStream> response)
      throws IOException {
    response
        .headers()
        .map()
        .forEach(
            (name, values) -> {
              if (!NOT_RETURNED.contains(name.toLowerCase(Locale.ROOT))) {
                exchange.getResponseHeaders().set(name, values.getFirst());
              }
            });
    try (InputStream in = response.body()) {
      exchange.sendResponseHeaders(response.statusCode(), 0);
      OutputStream out = exchange.getResponseBody();
      byte[] buffer = new byte[16 * 1024];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        out.write(buffer, 0, n);
        out.flush();
      }
    }
  }

  private static void refuse(HttpExchange exchange, ApiError error) throws IOException {
    byte[] body = Json.writeBytes(ErrorEnvelope.of(error));
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    exchange.sendResponseHeaders(error.kind().status(), body.length);
    exchange.getResponseBody().write(body);
  }
}
