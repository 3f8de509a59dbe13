package dev.gridtie.gateway.edge;

import dev.gridtie.base.http.Connections.Exchange;
import dev.gridtie.gateway.answer.Room;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;

/** Where an answer goes: to a client by HTTP, or to whoever asked from within. */
interface Out {
  void header(String name, String value);

  void status(int status);

  int status();

  /** The answer will be written in parts. */
  void chunked();

  Future<Void> write(Buffer bytes);

  Future<Void> end(Buffer bytes);

  /** Whether something was written already. */
  boolean isBegun();

  boolean isEnded();

  /** Whether nobody can be written to any more. */
  boolean isClosed();

  /** Whether whoever takes it is behind. */
  boolean isFull();

  /** Runs once whoever takes it has caught up. */
  void whenDrained(Runnable action);

  long bytesWritten();

  /** Breaks it off, so that what was written cannot be taken for whole. */
  void reset();

  /**
   * What is to be done when writing fails, when all is written, and when nobody is there any more.
   */
  void watch(Runnable failed, Runnable ended, Runnable closed);

  /**
   * A client by HTTP.
   *
   * @param exchange is told when the answer was taken whole, or cannot be any more
   */
  record Http(HttpServerResponse response, Exchange exchange) implements Out {
    @Override
    public void header(String name, String value) {
      response.putHeader(name, value);
    }

    @Override
    public void status(int status) {
      response.setStatusCode(status);
    }

    @Override
    public int status() {
      return response.getStatusCode();
    }

    @Override
    public void chunked() {
      response.setChunked(true);
    }

    @Override
    public Future<Void> write(Buffer bytes) {
      Room.OF_PROCESS.take(bytes.length());
      return response.write(bytes).onComplete(done -> Room.OF_PROCESS.give(bytes.length()));
    }

    @Override
    public Future<Void> end(Buffer bytes) {
      Room.OF_PROCESS.take(bytes.length());
      return response
          .end(bytes)
          .onComplete(
              done -> {
                Room.OF_PROCESS.give(bytes.length());
                exchange.over();
              });
    }

    @Override
    public boolean isBegun() {
      return response.headWritten();
    }

    @Override
    public boolean isEnded() {
      return response.ended();
    }

    @Override
    public boolean isClosed() {
      return response.closed();
    }

    @Override
    public boolean isFull() {
      return response.writeQueueFull();
    }

    @Override
    public void whenDrained(Runnable action) {
      response.drainHandler(v -> action.run());
    }

    @Override
    public long bytesWritten() {
      return response.bytesWritten();
    }

    @Override
    public void reset() {
      Future<Void> unused = response.reset();
    }

    @Override
    public void watch(Runnable failed, Runnable ended, Runnable closed) {
      response.exceptionHandler(e -> failed.run());
      response.endHandler(v -> ended.run());
      response.closeHandler(v -> closed.run());
    }
  }
}
