package dev.gridtie.testkit;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Json;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.StringJoiner;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/**
 * Stands between a program and a JSON-RPC server, sees every call, and does with it what a test
 * says.
 */
public final class FaultyProxy implements AutoCloseable {
  private static final Pattern METHOD = Pattern.compile("\"method\":\"([^\"]+)\"");

  private final HttpServer server;
  private final URI target;
  private final HttpClient http = HttpClient.newHttpClient();
  private final List<String> seen = new CopyOnWriteArrayList<>();
  private volatile Fault fault = (method, forward) -> forward.answer();

  /**
   * What to do with a call: answer with {@code forward.answer()}, with something else, or throw to
   * drop it.
   */
  public interface Fault {
    String on(String method, Forward forward) throws IOException, InterruptedException;
  }

  /** Asks the real server. */
  public interface Forward {
    String answer() throws IOException, InterruptedException;
  }

  public FaultyProxy(URI target) throws IOException {
    this.target = target;
    this.server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/", this::handle);
    server.start();
  }

  public URI url() {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
  }

  public void behave(Fault newFault) {
    this.fault = newFault;
  }

  /** Every call forwarded as it is. */
  public void behaveWell() {
    this.fault = (method, forward) -> forward.answer();
  }

  /** The methods called so far, in order. */
  public List<String> seen() {
    return seen;
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      String body = new String(exchange.getRequestBody().readAllBytes(), UTF_8);
      byte[] answer = (body.startsWith("[") ? each(body) : one(body)).getBytes(UTF_8);
      exchange.getResponseHeaders().add("Content-Type", "application/json");
      exchange.sendResponseHeaders(200, answer.length);
      exchange.getResponseBody().write(answer);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private String one(String body) throws IOException, InterruptedException {
    Matcher matcher = METHOD.matcher(body);
    String method = matcher.find() ? matcher.group(1) : "";
    seen.add(method);
    return fault.on(method, () -> forward(body));
  }

  /** A batch (JSON-RPC 2.0 §6): each of its calls for itself. */
  private String each(String batch) throws IOException, InterruptedException {
    StringJoiner answers = new StringJoiner(",", "[", "]");
    for (JsonNode call : Json.trusted(batch)) {
      answers.add(one(Json.write(call)));
    }
    return answers.toString();
  }

  private String forward(String body) throws IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(target)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    return http.send(request, HttpResponse.BodyHandlers.ofString()).body();
  }

  @Override
  public void close() {
    server.stop(0);
    http.close();
  }
}
