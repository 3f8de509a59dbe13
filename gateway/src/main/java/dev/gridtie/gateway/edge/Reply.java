package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.answer.AnswerSource.Running;
import dev.gridtie.gateway.answer.Beginning;
import dev.gridtie.wire.ApiError;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
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

  private final Out out;
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
  Reply(Out out, Function<ApiError, ObjectNode> errorForm) {
    this.out = out;
    this.errorForm = errorForm;
    out.watch(
        () -> gone = true,
        this::over,
        () -> {
          Runnable action = whenGone;
          if (!out.isEnded()) {
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
      late = over || out.isEnded() || out.isClosed();
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
    if (out.isClosed() && !out.isEnded()) {
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
    return out.status();
  }

  long bytesWritten() {
    return out.bytesWritten();
  }

  /** Puts the headers that say who began the answer, and what was left out of the request. */
  Reply began(Beginning beginning) {
    if (!beginning.dropped().isEmpty()) {
      header("X-Gridtie-Dropped", String.join(", ", beginning.dropped()));
    }
    if (!beginning.node().isEmpty()) {
      header("X-Gridtie-Node", beginning.node());
    }
    return this;
  }

  Reply header(String name, String value) {
    out.header(name, value);
    return this;
  }

  // From a thread that may block

  /** Sends a whole answer. */
  void send(int status, String contentType, byte[] body) throws GoneException {
    out.status(status);
    out.header("Content-Type", contentType);
    await(out.end(Buffer.buffer(body)));
  }

  /** Writes a part of a stream and waits until it has gone out. */
  void write(Buffer bytes) throws GoneException {
    await(out.write(bytes));
  }

  void end(Buffer bytes) throws GoneException {
    await(out.end(bytes));
  }

  // From any thread

  /** Sends a whole answer, whether anybody is there or not. */
  void sendQuietly(int status, ObjectNode json) {
    sendWhole(status, "application/json", Buffer.buffer(Json.writeBytes(json)));
  }

  /** Sends a whole answer; never blocks. */
  void sendWhole(int status, String contentType, Buffer body) {
    if (!gone && !out.isEnded()) {
      out.status(status);
      out.header("Content-Type", contentType);
      Future<Void> unused = out.end(body);
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
    if (out.isBegun()) {
      breakOff();
      return;
    }
    headers.forEach(out::header);
    if (error.kind() == ApiError.Kind.RATE_LIMITED || error.kind() == ApiError.Kind.UNAVAILABLE) {
      out.header("Retry-After", "1");
    }
    out.header("Cache-Control", "no-store");
    sendQuietly(error.kind().status(), body);
  }

  /** Gives up on an answer that has not begun: its client is told, and its source is stopped. */
  void expire(ApiError error) {
    if (gone || out.isBegun() || out.isEnded()) {
      return;
    }
    error(error);
    gone = true;
    Runnable action = whenGone;
    if (action != null) {
      action.run();
    }
  }

  /** Begins a stream. */
  void beginStream(String contentType) {
    out.chunked();
    out.status(200);
    out.header("Content-Type", contentType);
    out.header("X-Accel-Buffering", "no");
  }

  /** Begins a part of a file (RFC 9110 §14). */
  void beginPart(long length, String range) {
    out.status(206);
    out.header("Content-Type", "application/octet-stream");
    out.header("Content-Length", Long.toString(length));
    out.header("Content-Range", range);
  }

  /** Writes an event to somebody who only looks on: dropped where they are behind. */
  void sendUnlessFull(Buffer bytes) {
    if (!gone && !out.isEnded() && !out.isFull()) {
      Future<Void> unused = out.write(bytes);
    }
  }

  /** Writes a part of a stream; where the client is slow, the source is asked to wait for it. */
  void send(Buffer bytes, Running source) {
    if (gone || bytes.length() == 0) {
      return;
    }
    Future<Void> unused = out.write(bytes);
    if (out.isFull()) {
      source.pause();
      out.whenDrained(source::resume);
    }
  }

  /** Writes the last part of a stream. */
  void endStream(Buffer bytes) {
    if (!gone) {
      Future<Void> unused = out.end(bytes);
    }
  }

  /** Breaks the connection, so that what was sent cannot be taken for whole. */
  private void breakOff() {
    gone = true;
    out.reset();
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
      out.reset();
      throw new GoneException();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new GoneException();
    }
  }
}
