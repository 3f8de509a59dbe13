package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Json;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import tools.jackson.databind.JsonNode;

/**
 * An OpenAI-compatible server that does what a test tells it, model by model. How the vendors' own
 * servers behave is what the strict servers in interop are for; this one only misbehaves.
 */
final class ScriptedServer implements AutoCloseable {
  private final HttpServer server;
  private final Map<String, Script> scripts = new ConcurrentHashMap<>();
  final List<Call> calls = new CopyOnWriteArrayList<>();

  /** What a request is answered with. */
  interface Script {
    void answer(Call call, Writer out) throws IOException, InterruptedException;
  }

  /** A request as it came. */
  record Call(String model, String path, String raw, JsonNode body, String key) {}

  /** Writes an answer piece by piece. */
  static final class Writer {
    private final HttpExchange exchange;

    Writer(HttpExchange exchange) {
      this.exchange = exchange;
    }

    void json(int status, String body) throws IOException {
      byte[] bytes = body.getBytes(UTF_8);
      exchange.getResponseHeaders().set("Content-Type", "application/json");
      exchange.sendResponseHeaders(status, bytes.length);
      exchange.getResponseBody().write(bytes);
      exchange.getResponseBody().close();
    }

    /** Begins a stream. */
    OutputStream events() throws IOException {
      return begin(200, "text/event-stream");
    }

    /** Begins a body of unknown length. */
    OutputStream begin(int status, String type) throws IOException {
      exchange.getResponseHeaders().set("Content-Type", type);
      exchange.sendResponseHeaders(status, 0);
      return exchange.getResponseBody();
    }
  }

  ScriptedServer() throws IOException {
    server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/v1/chat/completions", this::serve);
    server.createContext("/v1/embeddings", this::serve);
    server.createContext("/v1/messages", this::serve);
    server.createContext("/v1/responses", this::serve);
    server.createContext("/v1/models/", this::serve);
    server.start();
  }

  URI base() {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/v1");
  }

  ScriptedServer on(String model, Script script) {
    scripts.put(model, script);
    return this;
  }

  long calls(String model) {
    return calls.stream().filter(c -> c.model().equals(model)).count();
  }

  private void serve(HttpExchange exchange) throws IOException {
    try {
      String raw = new String(exchange.getRequestBody().readAllBytes(), UTF_8);
      JsonNode body = Json.parse(raw.getBytes(UTF_8));
      String inUrl = exchange.getRequestURI().getPath().replaceAll(".*/models/|:.*|/v1/.*", "");
      String model = inUrl.isEmpty() ? body.path("model").asString() : inUrl;
      String key = String.valueOf(exchange.getRequestHeaders().getFirst("Authorization"));
      Call call =
          new Call(
              model, exchange.getRequestURI().getPath(), raw, body, key.replace("Bearer ", ""));
      calls.add(call);
      scripts.get(model).answer(call, new Writer(exchange));
    } catch (Json.MalformedJsonException e) {
      throw new IOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      exchange.close();
    }
  }

  /** A chunk of a stream. */
  static byte[] chunk(String text) {
    return ("data:"
            + " {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
            + "\"delta\":{\"content\":"
            + Json.quote(text)
            + "},\"finish_reason\":null}]}\n\n")
        .getBytes(UTF_8);
  }

  static final String STOP =
      "data:"
          + " {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

  static final String USAGE =
      "data:"
          + " {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14}}\n\n";

  static final String DONE = "data: [DONE]\n\n";

  /** A whole answer, in whichever way it was asked for. */
  static Script well(String text) {
    return (call, out) -> {
      if (!call.body().path("stream").asBoolean(false)) {
        out.json(200, whole(text));
        return;
      }
      try (OutputStream events = out.events()) {
        for (String word : text.split("(?<= )")) {
          events.write(chunk(word));
          events.flush();
        }
        events.write(STOP.getBytes(UTF_8));
        if (call.body().path("stream_options").path("include_usage").asBoolean(false)) {
          events.write(USAGE.getBytes(UTF_8));
        }
        events.write(DONE.getBytes(UTF_8));
      }
    };
  }

  static String whole(String text) {
    return "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":"
        + "{\"role\":\"assistant\",\"content\":"
        + Json.quote(text)
        + "},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14}}";
  }

  /** Events as they are given, one after the other; then nothing, or what the test does. */
  static Script events(String... events) {
    return (call, out) -> {
      try (OutputStream stream = out.events()) {
        for (String event : events) {
          stream.write(event.getBytes(UTF_8));
          stream.flush();
        }
      }
    };
  }

  static Script fails(int status) {
    return (call, out) ->
        out.json(status, "{\"error\":{\"message\":\"no: " + call.key() + "\",\"type\":\"x\"}}");
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
