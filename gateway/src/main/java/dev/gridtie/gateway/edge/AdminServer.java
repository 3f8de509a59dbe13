package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Secret;
import dev.gridtie.base.ready.Readiness;
import dev.gridtie.gateway.watch.Watchdog;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.openai.ErrorEnvelope;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServerRequest;
import java.io.IOException;
import java.security.MessageDigest;
import java.util.List;
import java.util.Optional;

/**
 * The operator's pages, on a port of their own that no client has to reach: metrics, who paid what,
 * all pools' nodes, health. On a loopback address whoever can connect is the operator; elsewhere a
 * token says so.
 */
public final class AdminServer implements AutoCloseable {
  private static final String BEARER = "Bearer ";

  private final Intake intake;
  private final Listener listener;
  private final Pages pages;
  private final Optional<Secret> token;

  /**
   * @param token that a request must bring; empty on a loopback address where none is wanted
   * @param watchdog is told of every request that a thread works on
   */
  public AdminServer(
      Vertx vertx,
      Services services,
      EdgeServer.Limits limits,
      Readiness readiness,
      Optional<Secret> token,
      Watchdog watchdog) {
    // Permits of its own: the operator sees what happens while clients are turned away.
    this.intake = new Intake(vertx, services, limits, watchdog);
    this.listener = new Listener(vertx, intake);
    this.pages =
        new Pages(
            services,
            intake,
            new Listings(services.catalog()),
            services.grid().map(GridPages::new),
            readiness);
    this.token = token;
  }

  /**
   * Listens.
   *
   * @return the port, for where 0 was asked
   * @throws IOException where the port cannot be had
   */
  public int listen(String host, int port) throws IOException {
    return listener.listen(new Listener.Address(host, port, "", List.of()), this::route);
  }

  private void route(HttpServerRequest request) {
    if (listener.refuses(request, ErrorEnvelope::of)) {
      return;
    }
    if (isOfWebPage(request)) {
      refuse(
          request,
          ApiError.of(
              ApiError.Kind.PERMISSION,
              "origin_not_allowed",
              "Web pages may not ask here: these pages are for the operator's programs."));
    } else if (!isAllowed(request)) {
      refuse(
          request,
          ApiError.of(
              ApiError.Kind.AUTHENTICATION,
              "invalid_admin_token",
              "Send the gateway's adminToken: Authorization: Bearer TOKEN."));
    } else {
      pages.operator(request, request.path() == null ? "" : request.path());
    }
  }

  private void refuse(HttpServerRequest request, ApiError error) {
    intake.refuse(request, intake.reply(request, ErrorEnvelope::of), error);
  }

  /** Browsers say so of every request that a page makes (Fetch §3.2, Fetch Metadata). */
  private static boolean isOfWebPage(HttpServerRequest request) {
    String site = request.getHeader("Sec-Fetch-Site");
    return request.getHeader("Origin") != null || (site != null && !site.equals("none"));
  }

  private boolean isAllowed(HttpServerRequest request) {
    if (token.isEmpty()) {
      return true;
    }
    String given = request.getHeader("Authorization");
    return given != null
        && given.regionMatches(true, 0, BEARER, 0, BEARER.length())
        && MessageDigest.isEqual( // in a time that does not depend on where they differ
            given.substring(BEARER.length()).strip().getBytes(UTF_8),
            token.get().reveal().getBytes(UTF_8));
  }

  @Override
  public void close() {
    listener.close();
  }
}
