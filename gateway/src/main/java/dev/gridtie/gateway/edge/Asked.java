package dev.gridtie.gateway.edge;

import dev.gridtie.gateway.provider.Upstream;
import io.vertx.core.Context;
import io.vertx.core.MultiMap;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A request that has come in whole.
 *
 * @param context the event loop of its connection
 * @param receivedNanos {@link System#nanoTime()} as its headers came
 */
record Asked(
    Inbound inbound,
    MultiMap headers,
    @Nullable String query,
    byte[] body,
    Reply reply,
    Context context,
    long receivedNanos) {

  /** The client's headers that its own dialect's servers understand. */
  Map<String, String> dialectHeaders() {
    Map<String, String> kept = new LinkedHashMap<>();
    for (var header : headers) {
      String name = header.getKey().toLowerCase(Locale.ROOT);
      if (Upstream.CLIENT_HEADERS.contains(name)) {
        kept.put(name, header.getValue());
      }
    }
    return kept;
  }

  /** Runs something on the event loop of the connection: at once, where this is it. */
  void onLoop(Runnable action) {
    if (io.vertx.core.Vertx.currentContext() == context) {
      action.run();
    } else {
      context.runOnContext(v -> action.run());
    }
  }

  /** The account key that came with it, wherever its dialect puts one; empty for any other text. */
  Optional<String> key() {
    return Credentials.key(headers, query);
  }
}
