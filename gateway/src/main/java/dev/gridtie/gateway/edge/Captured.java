package dev.gridtie.gateway.edge;

import io.vertx.core.Future;
import io.vertx.core.MultiMap;
import io.vertx.core.buffer.Buffer;

/**
 * An answer that is kept, for a door that wraps it into another protocol. Whole answers only.
 * State: what was written; guarded by its own monitor.
 */
final class Captured implements Out {
  private final MultiMap headers = MultiMap.caseInsensitiveMultiMap();
  private final Buffer body = Buffer.buffer();
  private int status = 200;
  private boolean begun;
  private boolean ended;
  private boolean closed;
  private Runnable whenEnded = () -> {};
  private Runnable whenClosed = () -> {};

  synchronized MultiMap headers() {
    return headers;
  }

  synchronized byte[] body() {
    return body.getBytes();
  }

  /** Whoever asked is gone. */
  void leave() {
    Runnable action;
    synchronized (this) {
      if (ended || closed) {
        return;
      }
      closed = true;
      action = whenClosed;
    }
    action.run();
  }

  @Override
  public synchronized void header(String name, String value) {
    headers.set(name, value);
  }

  @Override
  public synchronized void status(int newStatus) {
    status = newStatus;
  }

  @Override
  public synchronized int status() {
    return status;
  }

  @Override
  public void chunked() {}

  @Override
  public synchronized Future<Void> write(Buffer bytes) {
    begun = true;
    body.appendBuffer(bytes);
    return Future.succeededFuture();
  }

  @Override
  public Future<Void> end(Buffer bytes) {
    Runnable action;
    synchronized (this) {
      begun = true;
      ended = true;
      body.appendBuffer(bytes);
      action = whenEnded;
    }
    action.run();
    return Future.succeededFuture();
  }

  @Override
  public synchronized boolean isBegun() {
    return begun;
  }

  @Override
  public synchronized boolean isEnded() {
    return ended;
  }

  @Override
  public synchronized boolean isClosed() {
    return closed;
  }

  @Override
  public boolean isFull() {
    return false;
  }

  @Override
  public void whenDrained(Runnable action) {
    action.run();
  }

  @Override
  public synchronized long bytesWritten() {
    return body.length();
  }

  @Override
  public void reset() {
    leave();
  }

  @Override
  public synchronized void watch(Runnable failed, Runnable newEnded, Runnable newClosed) {
    whenEnded = newEnded;
    whenClosed = newClosed;
  }
}
