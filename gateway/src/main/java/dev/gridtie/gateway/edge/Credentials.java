package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.gateway.account.ApiKey;
import io.vertx.core.MultiMap;
import java.net.URLDecoder;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Where each dialect puts its key. */
final class Credentials {
  private static final String BEARER = "Bearer ";

  private Credentials() {}

  /**
   * An account's key. Whatever else stands there is not ours: clients that pay by the call must
   * send something, and send anything.
   */
  static Optional<String> key(MultiMap headers, @Nullable String query) {
    String authorization = headers.get("Authorization");
    if (authorization != null && authorization.regionMatches(true, 0, BEARER, 0, BEARER.length())) {
      String bearer = authorization.substring(BEARER.length()).strip();
      if (bearer.startsWith(ApiKey.PREFIX)) {
        return Optional.of(bearer);
      }
    }
    for (String name : new String[] {"x-api-key", "x-goog-api-key"}) {
      String value = headers.get(name);
      if (value != null && value.startsWith(ApiKey.PREFIX)) {
        return Optional.of(value.strip());
      }
    }
    return inQuery(query);
  }

  private static Optional<String> inQuery(@Nullable String query) {
    if (query == null) {
      return Optional.empty();
    }
    for (String pair : query.split("&", 32)) {
      if (pair.startsWith("key=" + ApiKey.PREFIX)) {
        return Optional.of(URLDecoder.decode(pair.substring("key=".length()), UTF_8));
      }
    }
    return Optional.empty();
  }
}
