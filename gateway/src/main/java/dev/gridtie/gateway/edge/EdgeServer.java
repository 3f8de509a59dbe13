package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.account.Account;
import dev.gridtie.gateway.watch.Aside;
import dev.gridtie.grid.link.Protocol;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.ErrorEnvelope;
import io.vertx.core.Context;
import io.vertx.core.MultiMap;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import tools.jackson.databind.node.ObjectNode;

/**
 * The HTTP side. Bytes move on Vert.x's event loop; each request that is whole is served on a
 * virtual thread of its own.
 */
public final class EdgeServer implements AutoCloseable {
  private static final int HEADER_BYTES_MAX = 64 * 1024;
  private static final int LINE_BYTES_MAX = 8 * 1024;

  /** All bodies in flight together: a body read and understood takes several times its size. */
  private static final long BODY_BYTES_TOTAL_MAX =
      Math.max(8L * 1024 * 1024, Runtime.getRuntime().maxMemory() / 16);

  private final Vertx vertx;
  private final HttpServer server;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final Semaphore concurrent;

  /** Bytes of all bodies that are being served. */
  private final AtomicLong bodyBytes = new AtomicLong();

  private final Limits limits;
  private final Origins origins;
  private final Services services;
  private final Listings listings;
  private final AccountPages accounts;
  private final CreditPages credits;
  private final Map<String, BooleanSupplier> health;
  private volatile ChatHandler chat;
  private volatile ChannelPage channels;
  private final LogPages logPages;
  private final Optional<GridPages> grid;
  private volatile McpServer mcp;
  private volatile A2aServer a2a;

  /**
   * What one client, and all together, may take.
   *
   * @param bodyBytesMax of a request
   * @param bodyPatience from a request's headers to its last byte
   * @param concurrentMax requests served at once; more are told to come again
   * @param idle how long a connection may be silent between requests
   */
  public record Limits(int bodyBytesMax, Duration bodyPatience, int concurrentMax, Duration idle) {
    public static Limits defaults() {
      return new Limits(1024 * 1024, Duration.ofSeconds(15), 256, Duration.ofSeconds(120));
    }
  }

  /**
   * @param origins whose web pages may call it
   * @param health what must be well for a paid request to succeed, by name
   */
  public EdgeServer(
      Vertx vertx,
      Services services,
      Limits limits,
      Origins origins,
      Map<String, BooleanSupplier> health) {
    this.origins = origins;
    this.services = services;
    this.listings = new Listings(services.catalog());
    this.credits = new CreditPages(services);
    this.accounts = new AccountPages(services.database(), services.keys());
    this.limits = limits;
    this.health = Map.copyOf(health);
    this.concurrent = new Semaphore(limits.concurrentMax());
    this.vertx = vertx;
    this.server =
        vertx.createHttpServer(
            new HttpServerOptions()
                .setMaxHeaderSize(HEADER_BYTES_MAX)
                .setMaxInitialLineLength(LINE_BYTES_MAX)
                .setIdleTimeoutUnit(TimeUnit.SECONDS)
                .setReadIdleTimeout(0)
                .setIdleTimeout((int) limits.idle().toSeconds())
                .setHandle100ContinueAutomatically(true)
                .setPerMessageWebSocketCompressionSupported(false)
                .setPerFrameWebSocketCompressionSupported(false)
                .setMaxWebSocketFrameSize(Protocol.FROM_NODE_BYTES_MAX)
                .setMaxWebSocketMessageSize(Protocol.FROM_NODE_BYTES_MAX)
                .setTcpNoDelay(true));
    this.chat = new ChatHandler(services, "");
    this.channels = new ChannelPage(services, "");
    this.logPages = new LogPages(services.log(), services.witness());
    this.grid = services.grid().map(GridPages::new);
    InnerChat inner = new InnerChat(chat);
    this.mcp = new McpServer(inner, listings);
    this.a2a = new A2aServer(services, inner, "");
  }

  /**
   * Listens.
   *
   * @param publicUrl under which clients reach this gateway; empty for the address it listens on
   * @return the port, for where 0 was asked
   * @throws IOException where the port cannot be had
   */
  public int listen(String host, int port, String publicUrl) throws IOException {
    server.requestHandler(this::route);
    grid.ifPresent(this::admitNodes);
    try {
      int actual =
          server
              .listen(port, host)
              .toCompletionStage()
              .toCompletableFuture()
              .get(30, TimeUnit.SECONDS)
              .actualPort();
      String url = publicUrl.isEmpty() ? "http://" + host + ":" + actual : publicUrl;
      chat = new ChatHandler(services, url);
      channels = new ChannelPage(services, url);
      InnerChat inner = new InnerChat(chat);
      mcp = new McpServer(inner, listings);
      a2a = new A2aServer(services, inner, url);
      return actual;
    } catch (ExecutionException e) {
      throw new IOException("cannot listen on " + host + ":" + port + ": " + e.getMessage(), e);
    } catch (TimeoutException e) {
      throw new IOException(
          "cannot listen on " + host + ":" + port + ": no answer from the system", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted");
    }
  }

  /** Nodes come in by a WebSocket at one path, and nothing else does. */
  private void admitNodes(GridPages pages) {
    NodeDoor door = new NodeDoor(vertx, pages.grid());
    server.webSocketHandshakeHandler(
        handshake -> {
          boolean here =
              Protocol.PATH.equals(handshake.path()) && handshake.headers().get("Origin") == null;
          var unused = here ? handshake.accept() : handshake.reject(404);
        });
    server.webSocketHandler(door::open);
  }

  // On the event loop

  /** The answer to a request, which is counted and noted when it is over. */
  private Reply reply(HttpServerRequest request, Function<ApiError, ObjectNode> errorForm) {
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

  private void route(HttpServerRequest request) {
    if (origins.answer(request)) {
      return;
    }
    String path = request.path() == null ? "" : request.path();
    Optional<Inbound> inbound = Inbound.at(path, request.query());
    if (inbound.isPresent()) {
      Inbound door = inbound.get();
      Reply reply =
          reply(request, door.openRouter() ? OpenRouterErrors::of : door.translator()::writeError);
      long received = System.nanoTime();
      Context context = vertx.getOrCreateContext();
      ChatHandler handlers = chat;
      receive(
          request,
          reply,
          body -> {
            Asked asked =
                new Asked(door, request.headers(), request.query(), body, reply, context, received);
            if (!handlers.handleAtOnce(asked)) {
              serve(() -> handlers.handle(asked), reply);
            }
          });
      return;
    }
    if (aside(request, path)) {
      return;
    }
    if (path.startsWith("/api/v1/")) {
      openRouter(request, path.substring("/api/v1".length()));
    } else if (path.startsWith("/v1beta/models")) {
      gemini(request, path.substring("/v1beta/models".length()));
    } else {
      page(request, path);
    }
  }

  /** Requests that only count; whether this was one. */
  private boolean aside(HttpServerRequest request, String path) {
    ChatHandler handlers = chat;
    switch (path) {
      case McpServer.PATH -> {
        McpServer server = mcp;
        agents(
            request,
            (headers, body, context, reply) -> server.handle(headers, body, context, reply));
        return true;
      }
      case A2aServer.PATH -> {
        A2aServer server = a2a;
        agents(
            request,
            (headers, body, context, reply) -> server.handle(headers, body, context, reply));
        return true;
      }
      case "/v1/messages/count_tokens" -> {
        Reply reply = reply(request, new AnthropicTranslator()::writeError);
        post(request, reply, body -> handlers.counts().anthropic(body, reply));
        return true;
      }
      default -> {
        return asideGemini(request, path);
      }
    }
  }

  /** Another protocol's door. */
  private interface Door {
    void handle(MultiMap headers, byte[] body, Context context, Reply reply);
  }

  /**
   * A web page that nobody allowed must not reach agents' doors, not even by a trick with names.
   */
  private void agents(HttpServerRequest request, Door door) {
    Reply reply = reply(request, ErrorEnvelope::of);
    String origin = request.getHeader("Origin");
    if (origin != null && !origins.allows(origin)) {
      refuse(
          request,
          reply,
          ApiError.of(
              ApiError.Kind.PERMISSION,
              "origin_not_allowed",
              "Web pages of " + origin + " may not ask here; the operator names those that may."));
      return;
    }
    Context context = vertx.getOrCreateContext();
    post(request, reply, body -> door.handle(request.headers(), body, context, reply));
  }

  private boolean asideGemini(HttpServerRequest request, String path) {
    Optional<Inbound.GeminiPath> asked = Inbound.GeminiPath.of(path);
    if (asked.isEmpty()) {
      return false;
    }
    Reply reply = reply(request, new GeminiTranslator(false)::writeError);
    ChatHandler handlers = chat;
    String model = asked.get().model();
    post(request, reply, body -> handlers.counts().gemini(model, body, reply));
    return true;
  }

  private void page(HttpServerRequest request, String path) {
    Reply reply = reply(request, ErrorEnvelope::of);
    switch (path) {
      case "/v1/models" -> get(request, reply, r -> models(request, r));
      case ChannelPage.PATH -> {
        ChannelPage page = channels;
        get(request, reply, r -> page.handle(request.headers(), r));
      }
      case A2aServer.CARD -> get(request, reply, r -> r.sendQuietly(200, a2a.card()));
      case "/metrics" -> metrics(request, reply);
      case "/sdk/gridtie.js" -> get(request, reply, EdgeServer::sdk);
      case LogPages.WITNESS ->
          receiveAny(
              request, reply, body -> serve(() -> logPages.addCheckpoint(body, reply), reply));
      case String p when p.startsWith(LogPages.PREFIX) -> {
        String rest = p.substring(LogPages.PREFIX.length());
        boolean local = isLocal(request);
        get(request, reply, r -> logPages.handle(rest, local, r));
      }
      case String p when p.startsWith(CreditPages.PREFIX) ->
          credits(request, p.substring(CreditPages.PREFIX.length()), reply);
      case String p when p.startsWith(GridPages.PREFIX) && grid.isPresent() ->
          grid(request, grid.get(), p.substring(GridPages.PREFIX.length()), reply);
      case "/health/live" ->
          health(request, reply, r -> r.sendQuietly(200, Json.object().put("status", "ok")));
      case "/health/ready" -> health(request, reply, this::ready);
      case String p when p.startsWith("/v1/receipts/") ->
          get(request, reply, r -> receipt(p.substring("/v1/receipts/".length()), r));
      case String p when p.startsWith("/v1/models/") ->
          get(request, reply, r -> model(p.substring("/v1/models/".length()), r));
      default -> refuse(request, reply, nothingHere());
    }
  }

  private void grid(HttpServerRequest request, GridPages pages, String page, Reply reply) {
    if (GridPages.isFile(page)) {
      get(request, reply, r -> pages.file(GridPages.fileOf(page), request.headers(), r));
      return;
    }
    boolean local = isLocal(request);
    get(
        request,
        reply,
        r -> {
          String pool =
              Credentials.key(request.headers(), request.query())
                  .flatMap(services.keys()::open)
                  .flatMap(a -> a.key().limits().pool())
                  .orElse(local ? GridFeed.ALL : "");
          if (!pages.handle(page, pool, r)) {
            r.error(nothingHere());
          }
        });
  }

  private void credits(HttpServerRequest request, String page, Reply reply) {
    switch (page) {
      case "quote" ->
          get(
              request,
              reply,
              r -> credits.quote(request.getParam("usd"), request.getParam("credits"), r));
      case "supply" -> get(request, reply, credits::supply);
      case "statement" ->
          get(
              request,
              reply,
              r ->
                  Credentials.key(request.headers(), request.query())
                      .flatMap(services.keys()::open)
                      .ifPresentOrElse(
                          a -> credits.statement(a, r), () -> r.error(ChatHandler.unknownKey())));
      case "transfer" ->
          post(
              request,
              reply,
              body -> credits.transfer(request.headers(), request.query(), body, reply));
      default -> refuse(request, reply, nothingHere());
    }
  }

  /** What a web page asks with: a module that any page may load. */
  private static void sdk(Reply reply) {
    try (InputStream in = EdgeServer.class.getResourceAsStream("gridtie.js")) {
      if (in == null) {
        reply.error(nothingHere());
        return;
      }
      reply.header("Access-Control-Allow-Origin", "*").header("Cache-Control", "max-age=3600");
      reply.sendWhole(200, "text/javascript; charset=utf-8", Buffer.buffer(in.readAllBytes()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** For this machine alone: what is earned and spent is nobody else's business. */
  private void metrics(HttpServerRequest request, Reply reply) {
    if (!isLocal(request)) {
      refuse(request, reply, nothingHere());
      return;
    }
    health(
        request,
        reply,
        r ->
            r.sendWhole(
                200,
                "text/plain; version=0.0.4; charset=utf-8",
                Buffer.buffer(services.metrics().scrape())));
  }

  /** Whether this machine asks, and for nobody behind it. */
  private static boolean isLocal(HttpServerRequest request) {
    String from = request.remoteAddress() == null ? "" : request.remoteAddress().hostAddress();
    boolean local = from.startsWith("127.") || from.equals("0:0:0:0:0:0:0:1") || from.equals("::1");
    return local && request.getHeader("X-Forwarded-For") == null;
  }

  private static ApiError nothingHere() {
    return ApiError.of(
        ApiError.Kind.NOT_FOUND,
        "not_found",
        "There is nothing here. Try POST /v1/chat/completions, /v1/responses, /v1/messages or"
            + " /v1beta/models/MODEL:generateContent, GET /v1/models or GET /v1/receipts/{id}.");
  }

  /** OpenRouter's pages, but for conversations. */
  private void openRouter(HttpServerRequest request, String path) {
    Reply reply = reply(request, OpenRouterErrors::of);
    switch (path) {
      case "/models" -> get(request, reply, r -> r.sendQuietly(200, listings.openRouter()));
      case "/providers" -> get(request, reply, r -> r.sendQuietly(200, listings.providers()));
      case "/key", "/auth/key" -> account(request, reply, a -> Optional.of(accounts.key(a)));
      case "/credits" -> account(request, reply, a -> Optional.of(accounts.credits(a)));
      case "/generation" ->
          account(
              request, reply, a -> accounts.generation(a, String.valueOf(request.getParam("id"))));
      case String p when p.startsWith("/models/") && p.endsWith("/endpoints") -> {
        String id = p.substring("/models/".length(), p.length() - "/endpoints".length());
        get(request, reply, r -> found(r, listings.endpoints(decoded(id)), NO_MODEL));
      }
      default -> refuse(request, reply, nothingHere());
    }
  }

  private void gemini(HttpServerRequest request, String path) {
    Reply reply = reply(request, new GeminiTranslator(false)::writeError);
    if (path.isEmpty() || path.equals("/")) {
      get(request, reply, r -> r.sendQuietly(200, listings.gemini()));
    } else {
      get(request, reply, r -> found(r, listings.gemini(decoded(path.substring(1))), NO_MODEL));
    }
  }

  private static final ApiError NO_MODEL =
      ApiError.of(
          ApiError.Kind.NOT_FOUND,
          "model_not_found",
          "There is no such model. GET /v1/models lists all.");

  private static void found(Reply reply, Optional<ObjectNode> page, ApiError otherwise) {
    if (page.isPresent()) {
      reply.sendQuietly(200, page.get());
    } else {
      reply.error(otherwise);
    }
  }

  private static String decoded(String path) {
    try {
      return java.net.URLDecoder.decode(path, java.nio.charset.StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      return path;
    }
  }

  /** A page about the key that asks for it. */
  private void account(
      HttpServerRequest request, Reply reply, Function<Account, Optional<ObjectNode>> page) {
    get(
        request,
        reply,
        r -> {
          Optional<Account> account =
              Credentials.key(request.headers(), request.query()).flatMap(services.keys()::open);
          if (account.isEmpty()) {
            r.error(ChatHandler.unknownKey());
          } else {
            found(
                r,
                page.apply(account.get()),
                ApiError.of(
                    ApiError.Kind.NOT_FOUND,
                    "generation_not_found",
                    "There is no such generation of this key. It is written down a moment after its answer."));
          }
        });
  }

  private void refuse(HttpServerRequest request, Reply reply, ApiError error) {
    request.resume();
    threads.execute(() -> reply.error(error));
  }

  private void get(HttpServerRequest request, Reply reply, Consumer<Reply> handler) {
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
  private void health(HttpServerRequest request, Reply reply, Consumer<Reply> handler) {
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
  private void post(HttpServerRequest request, Reply reply, Consumer<byte[]> handler) {
    receive(request, reply, body -> serve(() -> handler.accept(body), reply));
  }

  /** Receives a body and hands it on, on the event loop. */
  private void receive(HttpServerRequest request, Reply reply, Consumer<byte[]> handler) {
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
  private void receiveAny(HttpServerRequest request, Reply reply, Consumer<byte[]> handler) {
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
  private void giveUp(HttpServerRequest request, Reply reply, ApiError error) {
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
  private void serve(Runnable handler, Reply reply) {
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

  // On threads of their own

  private void ready(Reply reply) {
    ObjectNode json = Json.object();
    boolean all = true;
    for (var each : health.entrySet()) {
      boolean well = each.getValue().getAsBoolean();
      json.put(each.getKey(), well ? "ok" : "down");
      all &= well;
    }
    json.put("status", all ? "ready" : "not ready");
    reply.sendQuietly(all ? 200 : 503, json);
  }

  /** Anthropic's clients say who they are by a header. */
  private void models(HttpServerRequest request, Reply reply) {
    boolean anthropic = request.getHeader("anthropic-version") != null;
    reply.sendQuietly(200, anthropic ? listings.anthropic() : listings.openAi());
  }

  private void model(String id, Reply reply) {
    found(reply, listings.openAi(decoded(id)), NO_MODEL);
  }

  private void receipt(String id, Reply reply) {
    Optional<String> receipt = services.desk().receipt(id);
    if (receipt.isEmpty()) {
      reply.error(
          ApiError.of(
              ApiError.Kind.NOT_FOUND,
              "receipt_not_found",
              "There is no such receipt. A receipt is written when its answer has been delivered."));
      return;
    }
    try {
      reply.send(
          200, "application/json", receipt.get().getBytes(java.nio.charset.StandardCharsets.UTF_8));
    } catch (Reply.GoneException e) {
      // Nobody is there to be told.
    }
  }

  @Override
  public void close() {
    try {
      var unused =
          server.close().toCompletionStage().toCompletableFuture().get(2, TimeUnit.SECONDS);
      threads.shutdown();
    } catch (ExecutionException | TimeoutException e) {
      threads.shutdownNow();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
