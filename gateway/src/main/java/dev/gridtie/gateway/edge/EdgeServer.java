package dev.gridtie.gateway.edge;

import dev.gridtie.base.http.Bounds;
import dev.gridtie.base.ready.Readiness;
import dev.gridtie.gateway.watch.Watchdog;
import dev.gridtie.grid.link.Protocol;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.ErrorEnvelope;
import io.vertx.core.Context;
import io.vertx.core.MultiMap;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServerRequest;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import tools.jackson.databind.node.ObjectNode;

/**
 * The HTTP side. Bytes move on Vert.x's event loop; each request that is whole is served on a
 * virtual thread of its own.
 */
public final class EdgeServer implements AutoCloseable {
  private final Vertx vertx;
  private final Listener listener;
  private final Bounds bounds;
  private final Intake intake;
  private final Pages pages;
  private final Origins origins;
  private final Services services;
  private final Listings listings;
  private final Optional<GridPages> grid;
  private volatile Handlers handlers;

  /** What has to know under which URL clients reach this gateway. */
  record Handlers(ChatHandler chat, ChannelPage channels, McpServer mcp, A2aServer a2a) {}

  /**
   * What one client, and all together, may take.
   *
   * @param bounds of connections and bodies, before anything is done for a request
   * @param concurrentMax requests served at once, each from when it is whole; more are told to come
   *     again
   * @param answerPatience how long an answer may take until its first byte; one that comes whole
   *     has no byte before its end
   */
  public record Limits(Bounds bounds, int concurrentMax, Duration answerPatience) {}

  /**
   * @param origins whose web pages may call it
   * @param readiness what must hold for a paid request to succeed
   * @param watchdog is told of every request that a thread works on
   */
  public EdgeServer(
      Vertx vertx,
      Services services,
      Limits limits,
      Origins origins,
      Readiness readiness,
      Watchdog watchdog) {
    this.origins = origins;
    this.services = services;
    this.listings = new Listings(services.catalog());
    this.grid = services.grid().map(GridPages::new);
    this.intake = new Intake(vertx, services, limits, watchdog);
    this.bounds = limits.bounds();
    this.pages = new Pages(services, intake, listings, grid, readiness);
    this.handlers = handlers(services, listings, "");
    this.vertx = vertx;
    this.listener = new Listener(vertx, intake);
  }

  private static Handlers handlers(Services services, Listings listings, String url) {
    ChatHandler chat = new ChatHandler(services, url);
    InnerChat inner = new InnerChat(chat);
    return new Handlers(
        chat,
        new ChannelPage(services, url),
        new McpServer(inner, listings),
        new A2aServer(services, inner, url));
  }

  /**
   * Listens.
   *
   * @param publicUrl under which clients reach this gateway; empty for the address it listens on
   * @param hosts further names that requests may give as their Host, where it listens on loopback
   * @return the port, for where 0 was asked
   * @throws IOException where the port cannot be had
   */
  public int listen(String host, int port, String publicUrl, List<String> hosts)
      throws IOException {
    // Nodes come in by a WebSocket at one path, and nothing else does.
    grid.ifPresent(
        nodes ->
            listener.webSockets(Protocol.PATH, new NodeDoor(vertx, nodes.grid(), bounds)::open));
    int actual = listener.listen(new Listener.Address(host, port, publicUrl, hosts), this::route);
    handlers =
        handlers(
            services, listings, publicUrl.isEmpty() ? "http://" + host + ":" + actual : publicUrl);
    return actual;
  }

  // On the event loop

  private void route(HttpServerRequest request) {
    String path = request.path() == null ? "" : request.path();
    Optional<Inbound> inbound = Inbound.at(path, request.query());
    Function<ApiError, ObjectNode> form = inbound.map(Inbound::errorForm).orElse(ErrorEnvelope::of);
    if (listener.refuses(request, form)) {
      return;
    }
    if (origins.answer(request)) {
      intake.connections().begin(request).over();
      return;
    }
    if (inbound.isPresent()) {
      Inbound door = inbound.get();
      Reply reply = intake.reply(request, form);
      long received = System.nanoTime();
      Context context = vertx.getOrCreateContext();
      ChatHandler chat = handlers.chat();
      intake.receive(
          request,
          reply,
          body -> {
            Asked asked =
                new Asked(door, request.headers(), request.query(), body, reply, context, received);
            if (!chat.handleAtOnce(asked)) {
              intake.serve(() -> chat.handle(asked), reply);
            }
          });
      return;
    }
    if (aside(request, path)) {
      return;
    }
    if (path.startsWith("/api/v1/")) {
      pages.openRouter(request, path.substring("/api/v1".length()));
    } else if (path.startsWith("/v1beta/models")) {
      pages.gemini(request, path.substring("/v1beta/models".length()));
    } else {
      pages.page(request, path, handlers);
    }
  }

  /** Requests that only count; whether this was one. */
  private boolean aside(HttpServerRequest request, String path) {
    Handlers now = handlers;
    switch (path) {
      case McpServer.PATH -> {
        agents(request, now.mcp()::handle);
        return true;
      }
      case A2aServer.PATH -> {
        agents(request, now.a2a()::handle);
        return true;
      }
      case "/v1/messages/count_tokens" -> {
        Reply reply = intake.reply(request, new AnthropicTranslator()::writeError);
        intake.post(request, reply, body -> now.chat().counts().anthropic(body, reply));
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
    Reply reply = intake.reply(request, ErrorEnvelope::of);
    String origin = request.getHeader("Origin");
    if (origin != null && !origins.allows(origin) && !listener.isOwn(origin, request)) {
      intake.refuse(
          request,
          reply,
          ApiError.of(
              ApiError.Kind.PERMISSION,
              "origin_not_allowed",
              "Web pages of " + origin + " may not ask here; the operator names those that may."));
      return;
    }
    Context context = vertx.getOrCreateContext();
    intake.post(request, reply, body -> door.handle(request.headers(), body, context, reply));
  }

  private boolean asideGemini(HttpServerRequest request, String path) {
    Optional<Inbound.GeminiPath> asked = Inbound.GeminiPath.of(path);
    if (asked.isEmpty()) {
      return false;
    }
    Reply reply = intake.reply(request, new GeminiTranslator(false)::writeError);
    ChatHandler chat = handlers.chat();
    String model = asked.get().model();
    intake.post(request, reply, body -> chat.counts().gemini(model, body, reply));
    return true;
  }

  @Override
  public void close() {
    listener.close();
  }
}
