package dev.gridtie.gateway.edge;

import dev.gridtie.wire.ApiError;
import io.vertx.core.MultiMap;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpVersion;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What HTTP demands of a request before anything in it is looked at: one host (RFC 9112 §3.2), a
 * target of a known form, whole percent-encodings, one transfer coding. What two servers might read
 * differently is refused, and so is a host that is not this listener's.
 */
final class HttpRules {
  private static final Pattern ABSOLUTE = Pattern.compile("(?i)https?://([^/?#]*)(?:[/?].*)?");

  private HttpRules() {}

  /** Why a request is not served; empty where it may be. */
  static Optional<ApiError> refusal(HttpServerRequest request, Hosts hosts) {
    if (request.version() == null) {
      return malformed("This server speaks HTTP/1.1.");
    }
    List<String> codings = request.headers().getAll("Transfer-Encoding");
    if (codings.size() > 1
        || codings.stream().anyMatch(c -> !c.strip().toLowerCase(Locale.ROOT).equals("chunked"))) {
      return malformed("The only Transfer-Encoding that is taken is chunked.");
    }
    boolean old = request.version() == HttpVersion.HTTP_1_0;
    return refusal(old, request.uri(), request.headers(), hosts);
  }

  /**
   * Why a target and its headers are not taken.
   *
   * @param hostless whether a request may lack a Host, as those of HTTP/1.0 may
   */
  static Optional<ApiError> refusal(
      boolean hostless, @Nullable String target, MultiMap headers, Hosts hosts) {
    String asked = target == null ? "" : target;
    if (!isPercentEncoded(asked)) {
      return malformed("The URL has a '%' without two hexadecimal digits behind it.");
    }
    List<String> named = headers.getAll("Host");
    if (named.size() > 1 || (named.isEmpty() && !hostless)) {
      return malformed("A request has one Host header, and this one has " + named.size() + ".");
    }
    Optional<String> host = named.stream().findFirst().flatMap(Hosts::host);
    if (!named.isEmpty() && host.isEmpty()) {
      return malformed("The Host header is not HOST or HOST:PORT.");
    }
    if (!asked.startsWith("/") && !asked.equals("*")) {
      Matcher absolute = ABSOLUTE.matcher(asked);
      host = absolute.matches() ? Hosts.host(absolute.group(1)) : Optional.empty();
      if (host.isEmpty()) { // what it names goes before the header (RFC 9112 §3.2.2)
        return malformed("The target of a request is a path, or a URL with a host.");
      }
    }
    return host.filter(h -> !hosts.takes(h)).map(HttpRules::notHere);
  }

  private static ApiError notHere(String host) {
    return ApiError.of(
        ApiError.Kind.PERMISSION,
        "host_not_allowed",
        "This gateway is not asked under the host "
            + host
            + ". It takes loopback names, the host of publicUrl, and what its operator lists under"
            + " hosts.");
  }

  private static boolean isPercentEncoded(String text) {
    for (int at = text.indexOf('%'); at >= 0; at = text.indexOf('%', at + 1)) {
      if (at + 2 >= text.length()
          || Character.digit(text.charAt(at + 1), 16) < 0
          || Character.digit(text.charAt(at + 2), 16) < 0) {
        return false;
      }
    }
    return true;
  }

  private static Optional<ApiError> malformed(String why) {
    return Optional.of(ApiError.of(ApiError.Kind.INVALID_REQUEST, "malformed_request", why));
  }
}
