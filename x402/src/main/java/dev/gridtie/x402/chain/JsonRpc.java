package dev.gridtie.x402.chain;

import dev.gridtie.base.Json;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
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

  /** The largest answer that is read, in bytes. */
  private static final int ANSWER_BYTES_MAX = 4 * 1024 * 1024;

  private final URI url;
  private final Duration timeout;
  private final HttpClient http;
  private final AtomicLong ids = new AtomicLong();

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
    ObjectNode request = Json.object();
    request.put("jsonrpc", "2.0");
    request.put("id", ids.incrementAndGet());
    request.put("method", method);
    ArrayNode list = request.putArray("params");
    for (Object param : params) {
      switch (param) {
        case String text -> list.add(text);
        case Boolean bool -> list.add(bool);
        case JsonNode node -> list.add(node);
        default -> throw new IllegalArgumentException("no JSON-RPC parameter: " + param.getClass());
      }
    }
    JsonNode answer = post(method, Json.writeBytes(request));
    JsonNode error = answer.path("error");
    if (error.isObject()) {
      throw new ErrorException(
          method + ": " + error.path("message").asString("refused without a reason"));
    }
    if (!answer.has("result")) {
      throw new UnreachableException(method + ": the answer has neither result nor error");
    }
    return answer.path("result");
  }

  private JsonNode post(String method, byte[] body) throws UnreachableException {
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
        if (response.statusCode() / 100 != 2) {
          throw new UnreachableException(method + ": HTTP status " + response.statusCode());
        }
        return Json.parse(bytes);
      }
    } catch (IOException e) {
      String why = e.getMessage();
      throw new UnreachableException(
          method + ": " + (why == null ? e.getClass().getSimpleName() : why));
    } catch (Json.MalformedJsonException e) {
      throw new UnreachableException(method + ": the answer is " + e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new UnreachableException(method + ": interrupted");
    }
  }
}
