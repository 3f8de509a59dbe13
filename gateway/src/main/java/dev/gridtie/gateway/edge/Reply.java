package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.answer.AnswerSource.Running;
import dev.gridtie.wire.ApiError;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * One HTTP answer. Written either from a thread that may block, and then what it says was written
 * was taken by the operating system; or piece by piece on the event loop, and then the source is
 * asked to wait while the client is slow. A client that takes nothing for too long counts as gone.
 */
final class Reply {
  /** How long a client may take no byte. */
  private static final Duration STALL_MAX = Duration.ofSeconds(30);

  private final HttpServerResponse response;
  private final Function<ApiError, ObjectNode> errorForm;
  private volatile boolean gone;
  private volatile @Nullable Runnable whenGone;
  private volatile boolean noted;
  private volatile @Nullable String refusedWith;
  private boolean over;

  /** What is to be done at the end; guarded by itself. */
  private final List<Runnable> whenOver = new ArrayList<>(2);

  /** The client is not there any more. */
  static final class GoneException extends Exception {
    private static final long serialVersionUID = 1L;
  }

  /**
   * @param errorForm how the client's dialect writes an error
   */
  Reply(HttpServerResponse response, Function<ApiError, ObjectNode> errorForm) {
    this.response = response;
    this.errorForm = errorForm;
    response.exceptionHandler(e -> gone = true);
    response.endHandler(v -> over());
    response.closeHandler(
        v -> {
          Runnable action = whenGone;
          if (!response.ended()) {
            gone = true;
            if (action != null) {
              action.run();
            }
          }
          over();
        });
  }

  private void over() {
    List<Runnable> actions;
    synchronized (whenOver) {
      over = true;
      actions = List.copyOf(whenOver);
      whenOver.clear();
    }
    actions.forEach(Runnable::run);
  }

  /** Runs {@code action} once, when the answer has been written or the client is gone. */
  void whenOver(Runnable action) {
    boolean late;
    synchronized (whenOver) {
      late = over || response.ended() || response.closed();
      if (!late) {
        whenOver.add(action);
      }
    }
    if (late) {
      action.run();
    }
  }

  /** Runs {@code action} where the client goes away before the answer is written. */
  void whenGone(Runnable action) {
    whenGone = action;
    if (response.closed() && !response.ended()) {
      gone = true;
      action.run();
    }
  }

  boolean isGone() {
    return gone;
  }

  /** Those who watch have been told what became of this request, or need not be. */
  void noted() {
    noted = true;
  }

  boolean isNoted() {
    return noted;
  }

  /** The code of the error that was sent; empty where none was. */
  String refusedWith() {
    String code = refusedWith;
    return code == null ? "" : code;
  }

  int status() {
    return response.getStatusCode();
  }

  long bytesWritten() {
    return response.bytesWritten();
  }

  Reply header(String name, String value) {
    response.putHeader(name, value);
    return this;
  }

  // From a thread that may block

  /** Sends a whole answer. */
  void send(int status, String contentType, byte[] body) throws GoneException {
    response.setStatusCode(status).putHeader("Content-Type", contentType);
    await(response.end(Buffer.buffer(body)));
  }

  /** Writes a part of a stream and waits until it has gone out. */
  void write(Buffer bytes) throws GoneException {
    await(response.write(bytes));
  }

  void end(Buffer bytes) throws GoneException {
    await(response.end(bytes));
  }

  // From any thread

  /** Sends a whole answer, whether anybody is there or not. */
  void sendQuietly(int status, ObjectNode json) {
    sendWhole(status, "application/json", Buffer.buffer(Json.writeBytes(json)));
  }

  /** Sends a whole answer; never blocks. */
  void sendWhole(int status, String contentType, Buffer body) {
    if (!gone && !response.ended()) {
      response.setStatusCode(status).putHeader("Content-Type", contentType);
      Future<Void> unused = response.end(body);
    }
  }

  void error(ApiError error) {
    error(error, errorBody(error), Map.of());
  }

  /** An error as the client's dialect writes it. */
  ObjectNode errorBody(ApiError error) {
    return errorForm.apply(error);
  }

  /**
   * Sends an error; where a part of another answer is out already, breaks the connection off
   * instead.
   */
  void error(ApiError error, ObjectNode body, Map<String, String> headers) {
    refusedWith = error.code();
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

  /** Begins a stream. */
  void beginStream(String contentType) {
    response
        .setChunked(true)
        .setStatusCode(200)
        .putHeader("Content-Type", contentType)
        .putHeader("X-Accel-Buffering", "no");
  }

  /** Writes a part of a stream; where the client is slow, the source is asked to wait for it. */
  void send(Buffer bytes, Running source) {
    if (gone || bytes.length() == 0) {
      return;
    }
    Future<Void> unused = response.write(bytes);
    if (response.writeQueueFull()) {
      source.pause();
      response.drainHandler(v -> source.resume());
    }
  }

  /** Writes the last part of a stream. */
  void endStream(Buffer bytes) {
    if (!gone) {
      Future<Void> unused = response.end(bytes);
    }
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
