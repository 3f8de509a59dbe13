package dev.gridtie.gateway.edge;

import dev.gridtie.grid.link.Protocol;
import dev.gridtie.wire.ApiError;
import io.vertx.core.Handler;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.ServerWebSocket;
import java.io.IOException;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import tools.jackson.databind.node.ObjectNode;

/**
 * A port that speaks HTTP/1.1 and nothing else: no upgrade to HTTP/2, which a proxy that passes
 * Upgrade on would tunnel past its own rules. State: the hosts under which it is asked, set before
 * it listens.
 */
final class Listener {
  private static final int HEADER_BYTES_MAX = 64 * 1024;
  private static final int LINE_BYTES_MAX = 8 * 1024;

  private final HttpServer server;
  private final Intake intake;
  private volatile Hosts hosts = new Hosts(false, java.util.Set.of());

  /**
   * Where it listens.
   *
   * @param publicUrl under which clients reach it; empty for the address itself
   * @param hosts further names that requests may give as their Host
   */
  public record Address(String host, int port, String publicUrl, List<String> hosts) {
    /** The hosts that requests may name. */
    Hosts taken() throws IOException {
      try {
        return Hosts.of(
            host,
            publicUrl.isEmpty() ? Optional.empty() : Optional.of(URI.create(publicUrl)),
            hosts);
      } catch (UnknownHostException e) {
        throw new IOException("cannot listen on " + host + ": there is no such address", e);
      }
    }
  }

  Listener(Vertx vertx, Intake intake) {
    this.intake = intake;
    this.server =
        vertx.createHttpServer(
            new HttpServerOptions()
                .setHttp2ClearTextEnabled(false)
                .setMaxHeaderSize(HEADER_BYTES_MAX)
                .setMaxInitialLineLength(LINE_BYTES_MAX)
                // A connection's time is Connections' to watch: an answer may be silent for long.
                .setIdleTimeout(0)
                .setHandle100ContinueAutomatically(true)
                .setPerMessageWebSocketCompressionSupported(false)
                .setPerFrameWebSocketCompressionSupported(false)
                .setMaxWebSocketFrameSize(Protocol.FROM_NODE_BYTES_MAX)
                .setMaxWebSocketMessageSize(Protocol.FROM_NODE_BYTES_MAX)
                .setTcpNoDelay(true));
  }

  /** Lets WebSockets in at one path, from programs: web pages have no business there. */
  void webSockets(String path, Handler<ServerWebSocket> door) {
    server.webSocketHandshakeHandler(
        handshake -> {
          boolean well =
              HttpRules.refusal(false, handshake.uri(), handshake.headers(), hosts).isEmpty();
          boolean here = path.equals(handshake.path()) && handshake.headers().get("Origin") == null;
          var unused = well && here ? handshake.accept() : handshake.reject(well ? 404 : 400);
        });
    server.webSocketHandler(
        socket -> {
          intake.connections().upgraded(socket.remoteAddress());
          door.handle(socket);
        });
  }

  /** Whether a web page is this listener's own, as the request's Host names it. */
  boolean isOwn(String origin, HttpServerRequest request) {
    String authority = request.getHeader("Host");
    return authority != null && hosts.isOwn(origin, authority);
  }

  /**
   * Refuses what breaks the rules of HTTP.
   *
   * @param form how errors look where it was asked
   * @return whether it was refused
   */
  boolean refuses(HttpServerRequest request, Function<ApiError, ObjectNode> form) {
    Optional<ApiError> why = HttpRules.refusal(request, hosts);
    if (why.isEmpty()) {
      return false;
    }
    Reply reply = intake.reply(request, form);
    if (why.get().kind() == ApiError.Kind.PERMISSION) {
      intake.refuse(request, reply, why.get());
    } else {
      intake.giveUp(request, reply, why.get()); // where it ends may be in doubt: so does all else
    }
    return true;
  }

  /**
   * Listens.
   *
   * @return the port, for where 0 was asked
   * @throws IOException where the port cannot be had
   */
  int listen(Address address, Handler<HttpServerRequest> route) throws IOException {
    String where = address.host() + ":" + address.port();
    hosts = address.taken();
    server.requestHandler(route);
    server.connectionHandler(intake.connections()::opened);
    try {
      return server
          .listen(address.port(), address.host())
          .toCompletionStage()
          .toCompletableFuture()
          .get(30, TimeUnit.SECONDS)
          .actualPort();
    } catch (ExecutionException e) {
      throw new IOException("cannot listen on " + where + ": " + e.getMessage(), e);
    } catch (TimeoutException e) {
      throw new IOException("cannot listen on " + where + ": no answer from the system", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted");
    }
  }

  /** Takes no more; lets what is being served come to its end, where that is soon. */
  void close() {
    try {
      var unused =
          server.close().toCompletionStage().toCompletableFuture().get(2, TimeUnit.SECONDS);
      intake.close();
    } catch (ExecutionException | TimeoutException e) {
      intake.closeNow();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
