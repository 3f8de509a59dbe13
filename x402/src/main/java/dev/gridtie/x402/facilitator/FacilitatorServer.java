package dev.gridtie.x402.facilitator;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Json;
import dev.gridtie.x402.facilitator.FacilitatorDesk.Question;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A facilitator's HTTP side (x402 v2 §7): {@code POST /verify}, {@code POST /settle}, {@code GET
 * /supported}, {@code GET /discovery/resources}.
 */
public final class FacilitatorServer implements AutoCloseable {
  /** The largest body that is read, in bytes. */
  private static final int BODY_BYTES_MAX = 64 * 1024;

  /** How many requests are worked on at once. */
  private static final int AT_ONCE_MAX = 512;

  private final FacilitatorDesk desk;
  private final Facilitator facilitator;
  private final Bazaar bazaar;
  private final Map<String, List<String>> signers;
  private final HttpServer server;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final Semaphore atOnce = new Semaphore(AT_ONCE_MAX);

  /**
   * Listens.
   *
   * @param signers the keys' addresses, by network
   * @param port 0 for any
   * @throws IOException where the port cannot be had
   */
  public FacilitatorServer(
      FacilitatorDesk desk,
      Facilitator facilitator,
      Bazaar bazaar,
      Map<String, List<String>> signers,
      String host,
      int port)
      throws IOException {
    this.desk = desk;
    this.facilitator = facilitator;
    this.bazaar = bazaar;
    this.signers = Map.copyOf(signers);
    this.server = HttpServer.create(new InetSocketAddress(host, port), 0);
    server.setExecutor(threads);
    server.createContext("/", this::serve);
    server.start();
  }

  public int port() {
    return server.getAddress().getPort();
  }

  /** An answer of HTTP. */
  private record Answer(int status, ObjectNode body) {}

  private void serve(HttpExchange exchange) throws IOException {
    try (exchange) {
      Answer answer;
      if (!atOnce.tryAcquire()) {
        answer = error(503, "too many requests are being worked on; come again");
      } else {
        try {
          answer = answer(exchange);
        } catch (RuntimeException e) {
          System.err.println("x402 facilitator: " + e);
          answer = error(500, "something went wrong here; the same payment can be sent again");
        } finally {
          atOnce.release();
        }
      }
      byte[] body = Json.writeBytes(answer.body());
      exchange.getResponseHeaders().set("Content-Type", "application/json");
      exchange.getResponseHeaders().set("Cache-Control", "no-store");
      exchange.sendResponseHeaders(answer.status(), body.length);
      try (OutputStream out = exchange.getResponseBody()) {
        out.write(body);
      }
    }
  }

  private Answer answer(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    boolean post = exchange.getRequestMethod().equals("POST");
    boolean get = exchange.getRequestMethod().equals("GET");
    return switch (path) {
      case "/verify", "/settle" ->
          post ? asked(exchange, path.equals("/settle")) : error(405, "use POST here");
      case "/supported" -> get ? new Answer(200, supported()) : error(405, "use GET here");
      case "/discovery/resources" ->
          get ? resources(exchange.getRequestURI()) : error(405, "use GET here");
      case "/health" -> new Answer(200, Json.object().put("status", "ok"));
      default ->
          error(
              404,
              "there is nothing here; POST /verify and /settle, GET /supported and /discovery/resources");
    };
  }

  private static Answer error(int status, String message) {
    return new Answer(status, Json.object().put("error", message));
  }

  private Answer asked(HttpExchange exchange, boolean settle) throws IOException {
    byte[] body;
    try (InputStream in = exchange.getRequestBody()) {
      body = in.readNBytes(BODY_BYTES_MAX + 1);
    }
    if (body.length > BODY_BYTES_MAX) {
      return error(413, "the body exceeds " + BODY_BYTES_MAX + " bytes");
    }
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
    ArrayNode extensions = json.putArray("extensions");
    extensions.add("eip2612GasSponsoring").add("erc20ApprovalGasSponsoring").add("bazaar");
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

  private Answer resources(URI uri) {
    Map<String, String> query = query(uri);
    try {
      return new Answer(
          200,
          bazaar.page(
              query.getOrDefault("type", ""),
              Integer.parseInt(query.getOrDefault("limit", "20")),
              Integer.parseInt(query.getOrDefault("offset", "0"))));
    } catch (IllegalArgumentException e) {
      return error(400, "limit must be from 1 to 100, and offset not negative");
    }
  }

  private static Map<String, String> query(URI uri) {
    Map<String, String> query = new HashMap<>();
    String text = uri.getQuery();
    if (text != null) {
      for (String pair : text.split("&", -1)) {
        int at = pair.indexOf('=');
        if (at > 0) {
          query.put(pair.substring(0, at), pair.substring(at + 1));
        }
      }
    }
    return query;
  }

  /** Ends; what is being settled is found again at the next start. */
  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }

  /** What is on offer, as far as those who sell it have said so (extension bazaar). */
  public static final class Bazaar {
    /** How many resources are known; the one that was paid longest ago goes first. */
    private static final int RESOURCES_MAX = 10_000;

    private static final int PAGE_MAX = 100;

    private final java.time.InstantSource clock;
    private final java.util.LinkedHashMap<String, ObjectNode> byUrl =
        new java.util.LinkedHashMap<>();

    public Bazaar(java.time.InstantSource clock) {
      this.clock = clock;
    }

    /** Notes the resource of a settled payment, where its server wants it to be found. */
    synchronized void settled(PaymentPayload payment) {
      JsonNode resource = payment.raw().path("resource");
      String url = Json.text(resource, "url");
      JsonNode wanted = payment.raw().path("extensions").path("bazaar");
      if (url == null || !wanted.isObject() || payment.accepted().isEmpty()) {
        return;
      }
      ObjectNode item = Json.object();
      item.put("resource", url);
      item.put("type", "http");
      item.put("x402Version", payment.version());
      item.putArray("accepts").add(payment.accepted().get().toJson());
      item.put("lastUpdated", clock.instant().toString());
      ObjectNode metadata = item.putObject("metadata");
      String description = Json.text(resource, "description");
      if (description != null) {
        metadata.put("description", description);
      }
      metadata.set("bazaar", wanted.path("info"));
      byUrl.remove(url);
      byUrl.put(url, item);
      if (byUrl.size() > RESOURCES_MAX) {
        var oldest = byUrl.keySet().iterator();
        oldest.next();
        oldest.remove();
      }
    }

    /** A page (x402 v2, discovery): the latest first. */
    synchronized ObjectNode page(String type, int limit, int offset) {
      if (limit < 1 || limit > PAGE_MAX || offset < 0) {
        throw new IllegalArgumentException("page");
      }
      List<ObjectNode> all =
          byUrl.sequencedValues().reversed().stream()
              .filter(i -> type.isEmpty() || type.equals(Json.text(i, "type")))
              .toList();
      ObjectNode json = Json.object();
      json.put("x402Version", 2);
      ArrayNode items = json.putArray("items");
      all.stream().skip(offset).limit(limit).forEach(items::add);
      json.putObject("pagination")
          .put("limit", limit)
          .put("offset", offset)
          .put("total", all.size());
      return json;
    }
  }
}
