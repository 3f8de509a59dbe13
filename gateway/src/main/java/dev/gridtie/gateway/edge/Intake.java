package dev.gridtie.gateway.edge;

import dev.gridtie.gateway.watch.Aside;
import dev.gridtie.wire.ApiError;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Function;
import tools.jackson.databind.node.ObjectNode;

/**
 * Takes requests in within their bounds (how many at once, how large, how slow) and serves each
 * that is whole on a virtual thread of its own. What comes from a client's socket passes here and
 * nowhere else. State: permits and bytes of what is being served, safe for use by many threads.
 */
final class Intake implements AutoCloseable {
  /** All bodies in flight together: a body read and understood takes several times its size. */
  private static final long BODY_BYTES_TOTAL_MAX =
      Math.max(8L * 1024 * 1024, Runtime.getRuntime().maxMemory() / 16);

  private final Vertx vertx;
  private final Services services;
  private final EdgeServer.Limits limits;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final Semaphore concurrent;

  /** Bytes of all bodies that are being served. */
  private final AtomicLong bodyBytes = new AtomicLong();

  Intake(Vertx vertx, Services services, EdgeServer.Limits limits) {
    this.vertx = vertx;
    this.services = services;
    this.limits = limits;
    this.concurrent = new Semaphore(limits.concurrentMax());
  }

  /** The answer to a request, which is counted and noted when it is over. */
  Reply reply(HttpServerRequest request, Function<ApiError, ObjectNode> errorForm) {
    Reply reply = new Reply(new Out.Http(request.response()), errorForm);
    long received = System.nanoTime();
    reply.whenOver(
        () -> {
          services.metrics().answered(reply.status());
          if (!reply.isNoted()) {
            Duration took = Duration.ofNanos(System.nanoTime() - received);
            services
                .watch()
                .aside(
                    new Aside(
                        services.clock().instant().minus(took),
                        request.method().name(),
                        String.valueOf(request.path()),
                        reply.status(),
                        reply.refusedWith(),
                        took.toMillis()));
          }
        });
    return reply;
  }

  /** Answers without having taken anything in. */
  void refuse(HttpServerRequest request, Reply reply, ApiError error) {
    request.resume();
    threads.execute(() -> reply.error(error));
  }

  /** Serves a request without a body. */
  void get(HttpServerRequest request, Reply reply, Consumer<Reply> handler) {
    if (request.method() != HttpMethod.GET) {
      refuse(request, reply, notAllowed("GET"));
    } else if (!concurrent.tryAcquire()) {
      refuse(request, reply, busy());
    } else {
      reply.whenOver(concurrent::release);
      serve(() -> handler.accept(reply), reply);
    }
  }

  /** A gateway that is busy is well, and says so. */
  void health(HttpServerRequest request, Reply reply, Consumer<Reply> handler) {
    reply.noted(); // asked for all the time, by machines
    if (request.method() != HttpMethod.GET) {
      refuse(request, reply, notAllowed("GET"));
    } else {
      threads.execute(() -> handler.accept(reply));
    }
  }

  private static ApiError notAllowed(String method) {
    return ApiError.of(
        ApiError.Kind.METHOD_NOT_ALLOWED, "method_not_allowed", "Use " + method + " here.");
  }

  private static ApiError busy() {
    return ApiError.of(
        ApiError.Kind.RATE_LIMITED,
        "too_many_requests",
        "Too many requests are being served; come again in a second.");
  }

  /** Receives a body and serves it on a thread of its own. */
  void post(HttpServerRequest request, Reply reply, Consumer<byte[]> handler) {
    receive(request, reply, body -> serve(() -> handler.accept(body), reply));
  }

  /** Receives a body and hands it on, on the event loop. */
  void receive(HttpServerRequest request, Reply reply, Consumer<byte[]> handler) {
    String type = request.getHeader("Content-Type");
    boolean post = request.method() == HttpMethod.POST;
    if (post
        && (type == null
            || !type.toLowerCase(java.util.Locale.ROOT).matches("application/json\\s*(;.*)?"))) {
      refuse(
          request,
          reply,
          ApiError.of(
              ApiError.Kind.UNSUPPORTED_MEDIA_TYPE,
              "unsupported_media_type",
              "The body must be JSON and say so: Content-Type: application/json."));
      return;
    }
    receiveAny(request, reply, handler);
  }

  /** Receives a body of any type. */
  void receiveAny(HttpServerRequest request, Reply reply, Consumer<byte[]> handler) {
    if (request.method() != HttpMethod.POST) {
      refuse(request, reply, notAllowed("POST"));
      return;
    }
    if (!concurrent.tryAcquire()) {
      refuse(request, reply, busy());
      return;
    }
    AtomicLong mine = new AtomicLong();
    reply.whenOver(
        () -> {
          concurrent.release();
          bodyBytes.addAndGet(-mine.get());
        });
    readBody(request, reply, handler, mine);
  }

  /**
   * Collects the body within its bounds of size and time, and then serves the request. Holds a
   * permit, which goes back when the answer is over.
   */
  private void readBody(
      HttpServerRequest request, Reply reply, Consumer<byte[]> handler, AtomicLong mine) {
    Buffer body = Buffer.buffer();
    AtomicBoolean over = new AtomicBoolean();
    long timer =
        vertx.setTimer(
            limits.bodyPatience().toMillis(),
            id -> {
              if (over.compareAndSet(false, true)) {
                giveUp(request, reply, slow());
              }
            });
    request.exceptionHandler(
        e -> {
          if (over.compareAndSet(false, true)) {
            vertx.cancelTimer(timer);
          }
        });
    request.handler(
        part -> {
          if (over.get()) {
            return;
          }
          mine.addAndGet(part.length());
          boolean full = bodyBytes.addAndGet(part.length()) > BODY_BYTES_TOTAL_MAX;
          if (full || body.length() + part.length() > limits.bodyBytesMax()) {
            over.set(true);
            vertx.cancelTimer(timer);
            giveUp(request, reply, full ? busy() : tooLarge());
          } else {
            body.appendBuffer(part);
          }
        });
    request.endHandler(
        v -> {
          if (over.compareAndSet(false, true)) {
            vertx.cancelTimer(timer);
            guarded(() -> handler.accept(body.getBytes()), reply);
          }
        });
  }

  /** Answers in the middle of a request, whose rest is not wanted: the connection ends with it. */
  void giveUp(HttpServerRequest request, Reply reply, ApiError error) {
    reply.header("Connection", "close");
    threads.execute(
        () -> {
          reply.error(error);
          var unused = request.connection().close();
        });
  }

  private ApiError slow() {
    return ApiError.of(
        ApiError.Kind.TIMEOUT,
        "request_timeout",
        "The body did not come whole within " + limits.bodyPatience().toSeconds() + " s.");
  }

  private ApiError tooLarge() {
    return ApiError.of(
        ApiError.Kind.TOO_LARGE,
        "request_too_large",
        "The body exceeds " + limits.bodyBytesMax() + " bytes.");
  }

  /** Runs a handler on a thread of its own. */
  void serve(Runnable handler, Reply reply) {
    threads.execute(() -> guarded(handler, reply));
  }

  /** Runs a handler; a bug in it must not leave the client waiting, on whichever thread. */
  private static void guarded(Runnable handler, Reply reply) {
    try {
      handler.run();
    } catch (RuntimeException e) {
      System.err.println("gridtie: serving a request: " + e + where(e));
      reply.error(
          ApiError.of(
              ApiError.Kind.INTERNAL, "internal_error", "Something went wrong on our side."));
    }
  }

  /** The place of a bug, for whoever has to find it; never what was being served. */
  private static String where(RuntimeException e) {
    StackTraceElement[] trace = e.getStackTrace();
    return trace.length == 0 ? "" : " at " + trace[0];
  }

  /** Lets what is being served come to its end, if it does so by itself. */
  @Override
  public void close() {
    threads.shutdown();
  }

  void closeNow() {
    threads.shutdownNow();
  }
}
