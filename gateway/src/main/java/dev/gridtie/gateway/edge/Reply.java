package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.openai.ErrorEnvelope;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import tools.jackson.databind.node.ObjectNode;

/**
 * One HTTP answer, written from a thread that may block. What it says was written was taken by the
 * operating system; a client that takes nothing for too long counts as gone.
 */
final class Reply {
  /** How long a client may take no byte. */
  private static final Duration STALL_MAX = Duration.ofSeconds(30);

  private final HttpServerResponse response;
  private volatile boolean gone;

  /** The client is not there any more. */
  static final class GoneException extends Exception {
    private static final long serialVersionUID = 1L;
  }

  Reply(HttpServerResponse response) {
    this.response = response;
    response.exceptionHandler(e -> gone = true);
  }

  /** Runs {@code action} where the client goes away before the answer is written. */
  void whenGone(Runnable action) {
    response.closeHandler(
        v -> {
          if (!response.ended()) {
            gone = true;
            action.run();
          }
        });
    if (response.closed() && !response.ended()) {
      gone = true;
      action.run();
    }
  }

  boolean isGone() {
    return gone;
  }

  Reply header(String name, String value) {
    response.putHeader(name, value);
    return this;
  }

  /** Sends a whole answer. */
  void send(int status, String contentType, byte[] body) throws GoneException {
    response.setStatusCode(status).putHeader("Content-Type", contentType);
    await(response.end(Buffer.buffer(body)));
  }

  /** Sends a whole answer, whether anybody is there or not. */
  void sendQuietly(int status, ObjectNode json) {
    try {
      send(status, "application/json", Json.writeBytes(json));
    } catch (GoneException e) {
      // Nobody is there to be told.
    }
  }

  void error(ApiError error) {
    error(error, ErrorEnvelope.of(error), Map.of());
  }

  /**
   * Sends an error; where a part of another answer is out already, breaks the connection off
   * instead.
   */
  void error(ApiError error, ObjectNode body, Map<String, String> headers) {
    if (response.headWritten()) {
      breakOff();
      return;
    }
    headers.forEach(response::putHeader);
    if (error.kind() == ApiError.Kind.RATE_LIMITED || error.kind() == ApiError.Kind.UNAVAILABLE) {
      response.putHeader("Retry-After", "1");
    }
    response.putHeader("Cache-Control", "no-store");
    sendQuietly(error.kind().status(), body);
  }

  /** Begins a stream of server-sent events. */
  void beginEvents() {
    response
        .setChunked(true)
        .setStatusCode(200)
        .putHeader("Content-Type", "text/event-stream; charset=utf-8")
        .putHeader("X-Accel-Buffering", "no");
  }

  /** Writes a part of a stream and waits until it has gone out. */
  void write(String events) throws GoneException {
    await(response.write(Buffer.buffer(events)));
  }

  void end(String events) throws GoneException {
    await(response.end(Buffer.buffer(events)));
  }

  /** Breaks the connection, so that what was sent cannot be taken for whole. */
  private void breakOff() {
    gone = true;
    Future<Void> unused = response.reset();
  }

  private void await(Future<Void> written) throws GoneException {
    if (gone) {
      throw new GoneException();
    }
    try {
      var unused =
          written
              .toCompletionStage()
              .toCompletableFuture()
              .get(STALL_MAX.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException e) {
      gone = true;
      throw new GoneException();
    } catch (TimeoutException e) {
      gone = true;
      response.reset();
      throw new GoneException();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new GoneException();
    }
  }
}
