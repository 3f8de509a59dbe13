package dev.gridtie.gateway.edge;

import dev.gridtie.base.http.Bodies;
import dev.gridtie.base.http.Connections;
import dev.gridtie.gateway.answer.Room;
import dev.gridtie.gateway.watch.Aside;
import dev.gridtie.gateway.watch.Watchdog;
import dev.gridtie.wire.ApiError;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;
import java.util.function.Function;
import tools.jackson.databind.node.ObjectNode;

/**
 * Takes requests in within their bounds (how many at once, how large, how slow) and serves each
 * that is whole on a virtual thread of its own. What comes from a client's socket passes here and
 * nowhere else. A permit is taken when a request is whole, so that half of one keeps out no other.
 * State: permits of what is being served, safe for use by many threads.
 */
final class Intake implements AutoCloseable {
  private final Vertx vertx;
  private final Watchdog watchdog;
  private final Services services;
  private final EdgeServer.Limits limits;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final Semaphore concurrent;
  private final Connections connections;
  private final Bodies bodies;

  Intake(Vertx vertx, Services services, EdgeServer.Limits limits, Watchdog watchdog) {
    this.vertx = vertx;
    this.watchdog = watchdog;
    this.services = services;
    this.limits = limits;
    this.connections = new Connections(limits.bounds(), System::nanoTime);
    connections.watch(vertx);
    this.concurrent = new Semaphore(limits.concurrentMax());
    this.bodies = new Bodies(limits.bounds(), System::nanoTime);
    bodies.watch(vertx);
  }

  /** The connections that requests come by. */
  Connections connections() {
    return connections;
  }

  /** The answer to a request, which is counted and noted when it is over. */
  Reply reply(HttpServerRequest request, Function<ApiError, ObjectNode> errorForm) {
    Reply reply =
        new Reply(new Out.Http(request.response(), connections.begin(request)), errorForm);
    long received = System.nanoTime();
    long timer =
        vertx.setTimer(limits.answerPatience().toMillis(), id -> reply.expire(answerTimeout()));
    reply.whenOver(
        () -> {
          boolean unused = vertx.cancelTimer(timer);
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
    bodies.receive(
        request,
        new Bodies.Receiver() {
          @Override
          public void whole(Bodies.Body body) {
            reply.whenOver(body::release);
            if (Room.OF_PROCESS.isScarce()) {
              threads.execute(() -> reply.error(noMemory()));
            } else if (concurrent.tryAcquire()) {
              reply.whenOver(concurrent::release);
              guarded(() -> handler.accept(body.content()), reply);
            } else {
              threads.execute(() -> reply.error(busy()));
            }
          }

          @Override
          public void refused(Bodies.Refusal why) {
            giveUp(
                request,
                reply,
                switch (why) {
                  case TOO_LARGE -> tooLarge();
                  case TOO_SLOW -> slow();
                  case TOO_MANY_OF_ADDRESS -> tooManyOfAddress();
                  case NO_ROOM -> busy();
                });
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
        "The body came too slowly: whole within "
            + limits.bounds().bodyPatience().toSeconds()
            + " s, and at least "
            + limits.bounds().bodyBytesPerSecond()
            + " bytes a second.");
  }

  private ApiError answerTimeout() {
    return ApiError.of(
        ApiError.Kind.UNAVAILABLE,
        "answer_timeout",
        "The answer did not begin within "
            + limits.answerPatience().toSeconds()
            + " s; send the same request again, or ask for a stream.");
  }

  private static ApiError noMemory() {
    return ApiError.of(
        ApiError.Kind.UNAVAILABLE,
        "answers_full",
        "The answers under way take all the memory there is for them; come again in a second.");
  }

  private static ApiError tooManyOfAddress() {
    return ApiError.of(
        ApiError.Kind.RATE_LIMITED,
        "too_many_uploads",
        "Too many requests of your address are only half sent; finish or close some of them.");
  }

  private ApiError tooLarge() {
    return ApiError.of(
        ApiError.Kind.TOO_LARGE,
        "request_too_large",
        "The body exceeds " + limits.bounds().bodyBytes() + " bytes.");
  }

  /** Runs a handler on a thread of its own. */
  void serve(Runnable handler, Reply reply) {
    threads.execute(
        () -> {
          try (Watchdog.Request watched = watchdog.begin()) {
            guarded(handler, reply);
          }
        });
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
