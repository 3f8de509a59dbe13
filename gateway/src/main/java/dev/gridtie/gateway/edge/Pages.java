package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.base.ready.Finding;
import dev.gridtie.base.ready.Readiness;
import dev.gridtie.base.ready.Report;
import dev.gridtie.gateway.account.Account;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.ErrorEnvelope;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Optional;
import java.util.function.Function;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Which page is at which path, and who may see it. */
final class Pages {
  private static final String HEALTH = "/health/";
  private static final int LOG = LogPages.PREFIX.length();

  private final Services services;
  private final Intake intake;
  private final Listings listings;
  private final AccountPages accounts;
  private final CreditPages credits;
  private final LogPages logPages;
  private final Optional<GridPages> grid;
  private final Readiness readiness;

  /**
   * @param readiness what must hold for a paid request to succeed
   */
  Pages(
      Services services,
      Intake intake,
      Listings listings,
      Optional<GridPages> grid,
      Readiness readiness) {
    this.services = services;
    this.intake = intake;
    this.listings = listings;
    this.grid = grid;
    this.readiness = readiness;
    this.accounts = new AccountPages(services.database(), services.keys());
    this.credits = new CreditPages(services);
    this.logPages = new LogPages(services.log(), services.witness());
  }

  /** Everything but conversations: what others, operators and machines look at. */
  void page(HttpServerRequest request, String path, EdgeServer.Handlers handlers) {
    Reply reply = intake.reply(request, ErrorEnvelope::of);
    switch (path) {
      case "/v1/models" -> intake.get(request, reply, r -> models(request, r));
      case ChannelPage.PATH -> {
        ChannelPage page = handlers.channels();
        intake.get(request, reply, r -> page.handle(request.headers(), r));
      }
      case A2aServer.CARD ->
          intake.get(request, reply, r -> r.sendQuietly(200, handlers.a2a().card()));
      case "/sdk/gridtie.js" -> intake.get(request, reply, Pages::sdk);
      case LogPages.WITNESS ->
          intake.receiveAny(
              request,
              reply,
              body -> intake.serve(() -> logPages.addCheckpoint(body, reply), reply));
      case String p when p.startsWith(LogPages.PREFIX) ->
          intake.get(request, reply, r -> logPages.handle(p.substring(LOG), false, r));
      case String p when p.startsWith(CreditPages.PREFIX) ->
          credits(request, p.substring(CreditPages.PREFIX.length()), reply);
      case String p when p.startsWith(GridPages.PREFIX) && grid.isPresent() ->
          grid(request, grid.get(), p.substring(GridPages.PREFIX.length()), reply);
      case String p when p.startsWith(HEALTH) -> health(request, p, reply);
      case String p when p.startsWith("/v1/receipts/") ->
          intake.get(request, reply, r -> receipt(p.substring("/v1/receipts/".length()), r));
      case String p when p.startsWith("/v1/models/") ->
          intake.get(request, reply, r -> model(p.substring("/v1/models/".length()), r));
      default -> intake.refuse(request, reply, nothingHere());
    }
  }

  /** What the operator alone may see, on a listener of its own. */
  void operator(HttpServerRequest request, String path) {
    Reply reply = intake.reply(request, ErrorEnvelope::of);
    switch (path) {
      case "/metrics" -> intake.health(request, reply, this::metrics);
      case String p when p.startsWith(LogPages.PREFIX) ->
          intake.get(request, reply, r -> logPages.handle(p.substring(LOG), true, r));
      case String p when p.startsWith(GridPages.PREFIX) && grid.isPresent() -> {
        String page = p.substring(GridPages.PREFIX.length());
        intake.get(
            request,
            reply,
            r -> {
              if (!grid.get().handle(page, GridFeed.ALL, r)) {
                r.error(nothingForOperators());
              }
            });
      }
      case String p when p.startsWith(HEALTH) -> health(request, p, reply);
      default -> intake.refuse(request, reply, nothingForOperators());
    }
  }

  private static ApiError nothingForOperators() {
    return ApiError.of(
        ApiError.Kind.NOT_FOUND,
        "not_found",
        "There is nothing here. The operator's pages are /metrics, /log/…, /v1/grid/nodes, models,"
            + " stats and events, /health/live and /health/ready.");
  }

  private void health(HttpServerRequest request, String path, Reply reply) {
    switch (path) {
      case HEALTH + "live" ->
          intake.health(request, reply, r -> r.sendQuietly(200, Json.object().put("status", "ok")));
      case HEALTH + "ready" -> intake.health(request, reply, this::ready);
      default -> intake.refuse(request, reply, nothingHere());
    }
  }

  private void grid(HttpServerRequest request, GridPages pages, String page, Reply reply) {
    if (GridPages.isFile(page)) {
      intake.get(request, reply, r -> pages.file(GridPages.fileOf(page), request.headers(), r));
      return;
    }
    intake.get(
        request,
        reply,
        r -> {
          String pool =
              Credentials.key(request.headers(), request.query())
                  .flatMap(services.keys()::open)
                  .flatMap(a -> a.key().limits().pool())
                  .orElse("");
          if (!pages.handle(page, pool, r)) {
            r.error(nothingHere());
          }
        });
  }

  private void credits(HttpServerRequest request, String page, Reply reply) {
    switch (page) {
      case "quote" ->
          intake.get(
              request,
              reply,
              r -> credits.quote(request.getParam("usd"), request.getParam("credits"), r));
      case "supply" -> intake.get(request, reply, credits::supply);
      case "statement" ->
          intake.get(
              request,
              reply,
              r ->
                  Credentials.key(request.headers(), request.query())
                      .flatMap(services.keys()::open)
                      .ifPresentOrElse(
                          a -> credits.statement(a, r), () -> r.error(ChatHandler.unknownKey())));
      case "transfer" ->
          intake.post(
              request,
              reply,
              body -> credits.transfer(request.headers(), request.query(), body, reply));
      default -> intake.refuse(request, reply, nothingHere());
    }
  }

  /** What a web page asks with: a module that any page may load. */
  private static void sdk(Reply reply) {
    try (InputStream in = Pages.class.getResourceAsStream("gridtie.js")) {
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

  private void metrics(Reply reply) {
    reply.sendWhole(
        200,
        "text/plain; version=0.0.4; charset=utf-8",
        Buffer.buffer(services.metrics().scrape()));
  }

  private static ApiError nothingHere() {
    return ApiError.of(
        ApiError.Kind.NOT_FOUND,
        "not_found",
        "There is nothing here. Try POST /v1/chat/completions, /v1/responses, /v1/messages or"
            + " /v1beta/models/MODEL:generateContent, GET /v1/models or GET /v1/receipts/{id}.");
  }

  /** OpenRouter's pages, but for conversations. */
  void openRouter(HttpServerRequest request, String path) {
    Reply reply = intake.reply(request, OpenRouterErrors::of);
    switch (path) {
      case "/models" -> intake.get(request, reply, r -> r.sendQuietly(200, listings.openRouter()));
      case "/providers" ->
          intake.get(request, reply, r -> r.sendQuietly(200, listings.providers()));
      case "/key", "/auth/key" -> account(request, reply, a -> Optional.of(accounts.key(a)));
      case "/credits" -> account(request, reply, a -> Optional.of(accounts.credits(a)));
      case "/generation" ->
          account(
              request, reply, a -> accounts.generation(a, String.valueOf(request.getParam("id"))));
      case String p when p.startsWith("/models/") && p.endsWith("/endpoints") -> {
        String id = p.substring("/models/".length(), p.length() - "/endpoints".length());
        intake.get(request, reply, r -> found(r, listings.endpoints(decoded(id)), NO_MODEL));
      }
      default -> intake.refuse(request, reply, nothingHere());
    }
  }

  /** Gemini's list of models. */
  void gemini(HttpServerRequest request, String path) {
    Reply reply = intake.reply(request, new GeminiTranslator(false)::writeError);
    if (path.isEmpty() || path.equals("/")) {
      intake.get(request, reply, r -> r.sendQuietly(200, listings.gemini()));
    } else {
      intake.get(
          request, reply, r -> found(r, listings.gemini(decoded(path.substring(1))), NO_MODEL));
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
    intake.get(
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

  /** What fails is named with its public reason; details and remedies are the operator's. */
  private void ready(Reply reply) {
    Report report = readiness.report();
    ObjectNode json = Json.object().put("status", report.isReady() ? "ready" : "not ready");
    ObjectNode checks = json.putObject("checks");
    ArrayNode failed = json.putArray("failed");
    for (Report.Result result : report.results()) {
      String name = result.check().name();
      switch (result.finding()) {
        case Finding.Ok ok -> checks.put(name, "ok");
        case Finding.Warning warning -> checks.put(name, "warning");
        case Finding.NotApplicable not -> checks.put(name, "not applicable");
        case Finding.Failed one -> {
          checks.put(name, "failed");
          failed.addObject().put("check", name).put("reason", one.reason());
        }
      }
    }
    reply.sendQuietly(report.isReady() ? 200 : 503, json);
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
}
