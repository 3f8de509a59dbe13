package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Secret;
import dev.gridtie.gateway.edge.Origins;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.ApiError.Kind;
import io.vertx.core.MultiMap;
import java.net.URI;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Who may have a paying proxy spend money, and on what: clients of this machine that have its
 * token, and one gateway's origin. A browser's request is refused unless its page's origin was
 * allowed: any page that its owner opens can reach this machine's ports. Pure.
 *
 * @param port that the proxy listens on
 * @param token that clients send as their API key; empty where the owner wants none
 */
record ProxyGate(URI gateway, int port, Optional<Secret> token, Origins origins) {
  /** A path and a query (RFC 3986 §3.3, §3.4), and nothing that could be taken for a host. */
  private static final Pattern ORIGIN_FORM =
      Pattern.compile("/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*");

  private static final Pattern BROKEN_PERCENT = Pattern.compile("%(?![0-9A-Fa-f]{2})");

  private static final Set<String> METHODS = Set.of("GET", "HEAD", "POST", "DELETE");

  /** Where clients send their API key. */
  private static final List<String> KEY_HEADERS = List.of("x-api-key", "x-goog-api-key", "api-key");

  private static final String KEY_PARAMETER = "key";

  /** What came of looking at a request's head. */
  sealed interface Verdict {
    /** It may be sent to the gateway, there. */
    record Admitted(URI url) implements Verdict {}

    /** It is not sent. */
    record Refused(ApiError why) implements Verdict {}
  }

  /**
   * Looks at a request's head.
   *
   * @param target as it stood in the request line
   */
  Verdict look(String method, String target, MultiMap headers) {
    if (!METHODS.contains(method)) {
      return refused(
          Kind.METHOD_NOT_ALLOWED, "method_not_allowed", "This proxy takes " + METHODS + ".");
    }
    if (!ORIGIN_FORM.matcher(target).matches() || BROKEN_PERCENT.matcher(target).find()) {
      return refused(
          Kind.INVALID_REQUEST,
          "invalid_target",
          "The request's target must be a path that begins with one /, and a query. This proxy pays "
              + gateway
              + " alone, so set your client's base URL to http://127.0.0.1:"
              + port
              + "/v1.");
    }
    List<String> hosts = headers.getAll("Host");
    if (hosts.size() != 1 || !isOurs(hosts.getFirst())) {
      return refused(
          Kind.INVALID_REQUEST,
          "invalid_host",
          "There must be one Host header, and it must name this proxy: 127.0.0.1:" + port + ".");
    }
    return fromBrowser(headers)
        .or(() -> unreadable(method, headers))
        .or(() -> withoutToken(target, headers))
        .<Verdict>map(Verdict.Refused::new)
        .orElseGet(() -> admitted(target));
  }

  private static Verdict refused(Kind kind, String code, String message) {
    return new Verdict.Refused(ApiError.of(kind, code, message));
  }

  private boolean isOurs(String host) {
    String lower = host.toLowerCase(Locale.ROOT);
    return List.of("127.0.0.1", "localhost", "[::1]").stream()
        .anyMatch(name -> lower.equals(name + ":" + port) || (port == 80 && lower.equals(name)));
  }

  /** Browsers say on every request from where it comes, and pages cannot keep them from it. */
  private Optional<ApiError> fromBrowser(MultiMap headers) {
    List<String> from = headers.getAll("Origin");
    boolean allowed = from.size() == 1 && origins.allows(from.getFirst());
    boolean browser = !from.isEmpty() || headers.contains("Sec-Fetch-Site");
    return browser && !allowed
        ? Optional.of(
            ApiError.of(
                Kind.PERMISSION,
                "origin_not_allowed",
                "Requests of web pages are refused, as any page could spend this wallet's money. Allow a page's origin with"
                    + " --origin."))
        : Optional.empty();
  }

  /** What forms can post without asking first is no client's request. */
  private static Optional<ApiError> unreadable(String method, MultiMap headers) {
    if (!method.equals("POST")) {
      return Optional.empty();
    }
    String type = String.valueOf(headers.get("Content-Type")).toLowerCase(Locale.ROOT);
    boolean json = type.matches("application/(?:[a-z0-9.-]+\\+)?json\\s*(?:;.*)?");
    return json
        ? Optional.empty()
        : Optional.of(
            ApiError.of(
                Kind.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Content-Type must be application/json."));
  }

  private Optional<ApiError> withoutToken(String target, MultiMap headers) {
    if (token.isEmpty()) {
      return Optional.empty();
    }
    byte[] wanted = token.get().reveal().getBytes(UTF_8);
    boolean has = false;
    for (String key : keys(target, headers)) {
      has |= MessageDigest.isEqual(wanted, key.getBytes(UTF_8));
    }
    return has
        ? Optional.empty()
        : Optional.of(
            ApiError.of(
                Kind.AUTHENTICATION,
                "invalid_proxy_token",
                "Give your client the proxy's token as its API key: the proxy printed it at its start, and keeps it in a file"
                    + " of its home."));
  }

  private static List<String> keys(String target, MultiMap headers) {
    List<String> keys = new ArrayList<>();
    for (String name : KEY_HEADERS) {
      keys.addAll(headers.getAll(name));
    }
    for (String value : headers.getAll("Authorization")) {
      if (value.regionMatches(true, 0, "Bearer ", 0, 7)) {
        keys.add(value.substring(7).strip());
      }
    }
    for (String parameter : parameters(target)) {
      if (parameter.startsWith(KEY_PARAMETER + "=")) {
        keys.add(parameter.substring(KEY_PARAMETER.length() + 1));
      }
    }
    return keys;
  }

  private static List<String> parameters(String target) {
    int query = target.indexOf('?');
    return query < 0 ? List.of() : List.of(target.substring(query + 1).split("&", -1));
  }

  /** The gateway's own origin, and the path as it came; keys stay here. */
  private Verdict admitted(String target) {
    int query = target.indexOf('?');
    String path = query < 0 ? target : target.substring(0, query);
    List<String> kept =
        parameters(target).stream()
            .filter(p -> !p.startsWith(KEY_PARAMETER + "=") && !p.equals(KEY_PARAMETER))
            .toList();
    String origin = gateway.getScheme() + "://" + gateway.getRawAuthority();
    URI url = URI.create(origin + path + (kept.isEmpty() ? "" : "?" + String.join("&", kept)));
    if (!origin.equals(url.getScheme() + "://" + url.getRawAuthority())) {
      throw new IllegalStateException("a path named another host"); // ORIGIN_FORM lets none
    }
    return new Verdict.Admitted(url);
  }

  /** Headers that belong to one connection, to a browser, to the client's key, or to payments. */
  private static final Set<String> NOT_FORWARDED =
      Set.of(
          "host",
          "connection",
          "content-length",
          "transfer-encoding",
          "upgrade",
          "expect",
          "http2-settings",
          "te",
          "trailer",
          "keep-alive",
          "proxy-authorization",
          "proxy-connection",
          "authorization",
          "x-api-key",
          "x-goog-api-key",
          "api-key",
          "cookie",
          "origin",
          "referer",
          "payment-signature",
          "x-payment",
          "sign-in-with-x",
          "accept-encoding");

  /** Whether a client's header goes to the gateway. */
  static boolean isForwarded(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    return !NOT_FORWARDED.contains(lower) && !lower.startsWith("sec-");
  }
}
