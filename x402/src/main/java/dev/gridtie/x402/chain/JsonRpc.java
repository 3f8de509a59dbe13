package dev.gridtie.x402.chain;

import dev.gridtie.base.Json;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** A JSON-RPC 2.0 server behind HTTP. Safe for use by many threads. */
public final class JsonRpc {
  /** The server understood the call and answered with an error. */
  public static final class ErrorException extends Exception {
    private static final long serialVersionUID = 1L;

    ErrorException(String message) {
      super(message);
    }
  }

  /** How the methods begin that change nothing, and so may be asked once more. */
  private static final List<String> READING =
      List.of("eth_get", "eth_call", "eth_estimate", "eth_chainId", "eth_max", "get", "simulate");

  /** The largest answer that is read, in bytes. */
  private static final int ANSWER_BYTES_MAX = 4 * 1024 * 1024;

  private final URI url;
  private final Duration timeout;
  private final HttpClient http;
  private final AtomicLong ids = new AtomicLong();

  /** Whether the server takes several calls in one request, as far as is known. */
  private volatile boolean batches = true;

  /**
   * A call to be made.
   *
   * @param params texts, booleans or JSON nodes
   */
  public record Call(String method, Object... params) {}

  /** What a call has come to. */
  public sealed interface Answered {
    /**
     * @param result may be JSON's null
     */
    record Result(JsonNode result) implements Answered {}

    record Error(ErrorException why) implements Answered {}

    /** The result, or the error thrown. */
    default JsonNode orThrow() throws ErrorException {
      return switch (this) {
        case Result r -> r.result();
        case Error e -> throw e.why();
      };
    }
  }

  /**
   * @param timeout for one call, from connecting to the last byte
   */
  public JsonRpc(URI url, Duration timeout) {
    this.url = url;
    this.timeout = timeout;
    this.http =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(timeout)
            .build();
  }

  /**
   * One call.
   *
   * @param params texts, booleans or JSON nodes
   * @return its result, which may be JSON's null
   */
  public JsonNode ask(String method, Object... params) throws UnreachableException, ErrorException {
    return ask(new Call(method, params)).orThrow();
  }

  /**
   * Several calls in one request (JSON-RPC 2.0 §6); one after another where the server takes no
   * such requests, which is asked once only.
   *
   * @return their answers, in the calls' order
   */
  public List<Answered> askAll(List<Call> calls) throws UnreachableException {
    if (batches) {
      Optional<List<Answered>> together = together(calls);
      if (together.isPresent()) {
        return together.get();
      }
    }
    List<Answered> answers = new ArrayList<>();
    for (Call call : calls) {
      answers.add(ask(call));
    }
    batches &= calls.size() < 2; // it answers one by one, and did not together
    return answers;
  }

  private Answered ask(Call call) throws UnreachableException {
    return answered(call, post(call.method(), Json.writeBytes(request(call))));
  }

  /** Empty where the server did not answer each of them. */
  private Optional<List<Answered>> together(List<Call> calls) throws UnreachableException {
    ArrayNode batch = Json.array();
    Map<Long, Integer> places = new HashMap<>();
    for (Call call : calls) {
      ObjectNode request = request(call);
      places.put(request.path("id").longValue(), batch.size());
      batch.add(request);
    }
    Exchanged exchanged = exchange(calls.getFirst().method(), Json.writeBytes(batch));
    JsonNode all;
    try {
      all = exchanged.status() / 100 == 2 ? Json.parse(exchanged.body()) : Json.array();
    } catch (Json.MalformedJsonException e) {
      return Optional.empty();
    }
    Answered[] answers = new Answered[calls.size()];
    for (JsonNode one : all) {
      Integer place = places.remove(one.path("id").asLong(-1)); // they may come in any order
      if (place != null) {
        answers[place] = answered(calls.get(place), one);
      }
    }
    return places.isEmpty() ? Optional.of(List.of(answers)) : Optional.empty();
  }

  private ObjectNode request(Call call) {
    ObjectNode request = Json.object();
    request.put("jsonrpc", "2.0");
    request.put("id", ids.incrementAndGet());
    request.put("method", call.method());
    ArrayNode list = request.putArray("params");
    for (Object param : call.params()) {
      switch (param) {
        case String text -> list.add(text);
        case Boolean bool -> list.add(bool);
        case JsonNode node -> list.add(node);
        default -> throw new IllegalArgumentException("no JSON-RPC parameter: " + param.getClass());
      }
    }
    return request;
  }

  private static Answered answered(Call call, JsonNode answer) throws UnreachableException {
    JsonNode error = answer.path("error");
    if (error.isObject()) {
      return new Answered.Error(
          new ErrorException(
              call.method() + ": " + error.path("message").asString("refused without a reason")));
    }
    if (!answer.has("result")) {
      throw new UnreachableException(call.method() + ": the answer has neither result nor error");
    }
    return new Answered.Result(answer.path("result"));
  }

  private JsonNode post(String method, byte[] body) throws UnreachableException {
    Exchanged exchanged = exchange(method, body);
    if (exchanged.status() / 100 != 2) {
      throw new UnreachableException(method + ": HTTP status " + exchanged.status());
    }
    try {
      return Json.parse(exchanged.body());
    } catch (Json.MalformedJsonException e) {
      throw new UnreachableException(method + ": the answer is " + e.getMessage());
    }
  }

  /** What the server has answered, whatever it means. */
  private record Exchanged(int status, byte[] body) {}

  /**
   * Asks once more where the connection broke before an answer came, as one does that the server
   * has just closed for its age; but only what changes nothing: whoever brings something to the
   * chain has to know that it may have arrived.
   */
  private Exchanged exchange(String method, byte[] body) throws UnreachableException {
    try {
      return exchangeOnce(method, body);
    } catch (BrokenException e) {
      if (READING.stream().noneMatch(method::startsWith)) {
        throw new UnreachableException(String.valueOf(e.getMessage()));
      }
    }
    try {
      return exchangeOnce(method, body);
    } catch (BrokenException e) {
      throw new UnreachableException(String.valueOf(e.getMessage()));
    }
  }

  /** The connection could not be made, or broke. */
  private static final class BrokenException extends Exception {
    private static final long serialVersionUID = 1L;

    BrokenException(String message) {
      super(message);
    }
  }

  private Exchanged exchangeOnce(String method, byte[] body)
      throws UnreachableException, BrokenException {
    HttpRequest request =
        HttpRequest.newBuilder(url)
            .timeout(timeout)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofByteArray(body))
            .build();
    try {
      HttpResponse<InputStream> response =
          http.send(request, HttpResponse.BodyHandlers.ofInputStream());
      try (InputStream in = response.body()) {
        byte[] bytes = in.readNBytes(ANSWER_BYTES_MAX + 1);
        if (bytes.length > ANSWER_BYTES_MAX) {
          throw new UnreachableException(
              method + ": the answer exceeds " + ANSWER_BYTES_MAX + " bytes");
        }
        return new Exchanged(response.statusCode(), bytes);
      }
    } catch (HttpTimeoutException e) {
      throw new UnreachableException(method + ": " + e.getMessage());
    } catch (IOException e) {
      String why = e.getMessage();
      throw new BrokenException(method + ": " + (why == null ? e.getClass().getSimpleName() : why));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new UnreachableException(method + ": interrupted");
    }
  }
}
