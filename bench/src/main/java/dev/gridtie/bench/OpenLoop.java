package dev.gridtie.bench;

import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.http.RequestOptions;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Sends requests at a fixed rate whether or not earlier ones have been answered, and measures each
 * from the instant at which it was due: a server that stalls is charged for everybody who would
 * have come meanwhile (no coordinated omission).
 */
final class OpenLoop {
  private static final int CONNECTIONS_MAX = 4096;

  /** How many failures of a run are told in words. */
  private static final int SHOWN_MAX = 5;

  private final Vertx vertx;

  OpenLoop(Vertx vertx) {
    this.vertx = vertx;
  }

  /**
   * What a run measured, in nanoseconds, but for the counts.
   *
   * @param failed answers that were not 200, or not whole
   */
  record Result(Samples firstByte, Samples whole, Samples gap, int sent, int failed) {}

  /**
   * Runs for a while.
   *
   * @param perSecond requests due in a second
   */
  Result run(int port, Case what, int perSecond, int seconds) throws InterruptedException {
    Buffer body = what.body();
    int total = perSecond * seconds;
    long interval = TimeUnit.SECONDS.toNanos(1) / perSecond;
    Samples firstByte = new Samples(total);
    Samples whole = new Samples(total);
    Samples gap = new Samples(1 << 20);
    java.util.concurrent.atomic.AtomicInteger failed =
        new java.util.concurrent.atomic.AtomicInteger();
    CountDownLatch done = new CountDownLatch(total);
    HttpClient client =
        vertx.createHttpClient(
            new HttpClientOptions().setTcpNoDelay(true),
            new PoolOptions().setHttp1MaxSize(CONNECTIONS_MAX));
    RequestOptions target =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost("127.0.0.1")
            .setPort(port)
            .setURI(what.path())
            .putHeader("Content-Type", "application/json");
    what.headers().forEach(target::putHeader);
    long start = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(50);
    for (int i = 0; i < total; i++) {
      long due = start + i * interval;
      for (long left = due - System.nanoTime(); left > 0; left = due - System.nanoTime()) {
        LockSupport.parkNanos(left);
      }
      new Call(what.end(), due, firstByte, whole, gap, failed, done).send(client, target, body);
    }
    boolean all = done.await(60, TimeUnit.SECONDS);
    var unused = client.close();
    return new Result(
        firstByte, whole, gap, total, failed.get() + (all ? 0 : (int) done.getCount()));
  }

  /** One request; everything after sending happens on one event loop. */
  private static final class Call {
    private final String mark;
    private final long due;
    private final Samples firstByte;
    private final Samples whole;
    private final Samples gap;
    private final java.util.concurrent.atomic.AtomicInteger failed;
    private final CountDownLatch done;
    private long last;
    private boolean ended;
    private Buffer tail = Buffer.buffer();

    Call(
        String mark,
        long due,
        Samples firstByte,
        Samples whole,
        Samples gap,
        java.util.concurrent.atomic.AtomicInteger failed,
        CountDownLatch done) {
      this.mark = mark;
      this.due = due;
      this.firstByte = firstByte;
      this.whole = whole;
      this.gap = gap;
      this.failed = failed;
      this.done = done;
    }

    void send(HttpClient client, RequestOptions target, Buffer body) {
      client
          .request(target)
          .onFailure(e -> fail("not sent: " + e))
          .onSuccess(
              request -> {
                request.response().onFailure(e -> fail("broke off: " + e)).onSuccess(this::receive);
                var unused = request.end(body);
              });
    }

    private void receive(HttpClientResponse response) {
      response.exceptionHandler(e -> fail("broke off: " + e));
      response.handler(this::bytes);
      response.endHandler(
          v -> {
            if (response.statusCode() == 200 && tail.toString().contains(mark)) {
              end(true);
            } else {
              fail("status " + response.statusCode() + ", ending in " + tail);
            }
          });
    }

    private void bytes(Buffer buffer) {
      long now = System.nanoTime();
      if (last == 0) {
        firstByte.add(now - due);
      } else {
        gap.add(now - last);
      }
      last = now;
      tail =
          buffer.length() > 64
              ? buffer.getBuffer(buffer.length() - 64, buffer.length())
              : tail.copy().appendBuffer(buffer);
    }

    /** Says why, for the first few: a failure is a finding, not a number. */
    private void fail(String why) {
      if (!ended && failed.get() < SHOWN_MAX) {
        System.err.println(System.lineSeparator() + "failed: " + why);
      }
      end(false);
    }

    private void end(boolean well) {
      if (ended) {
        return;
      }
      ended = true;
      if (well) {
        whole.add(System.nanoTime() - due);
      } else {
        failed.incrementAndGet();
      }
      done.countDown();
    }
  }
}
