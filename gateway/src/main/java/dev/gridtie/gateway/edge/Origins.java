package dev.gridtie.gateway.edge;

import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Whose web pages may call this gateway from a reader's browser (CORS, Fetch §3.2). None unless the
 * operator names them. Cookies are never asked for, and keys travel in headers only.
 *
 * @param allowed origins such as {@code https://example.com}; {@code *} allows all
 */
public record Origins(List<String> allowed) {
  private static final String EXPOSED =
      "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, X-Gridtie-Receipt, X-Generation-Id, X-Gridtie-Provider,"
          + " X-Gridtie-Dropped, Retry-After, Date, request-id, x-request-id";

  /** What may be sent, where the browser does not ask for more. */
  private static final String ACCEPTED =
      "Content-Type, Authorization, PAYMENT-SIGNATURE, X-PAYMENT, SIGN-IN-WITH-X, x-api-key, x-goog-api-key,"
          + " anthropic-version, anthropic-beta";

  /** How many characters a browser's list of headers may have; a longer one is not granted. */
  private static final int ASKED_CHARS_MAX = 2048;

  /** Names of headers (RFC 9110 §5.1), separated by commas. */
  private static final Pattern ASKED =
      Pattern.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \\t]*,[ \\t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*");

  private static final String REMEMBERED_SECONDS = "600";

  public static final Origins NONE = new Origins(List.of());

  /**
   * As browsers write them: a scheme, a host, a port that is not the scheme's own; nothing behind.
   */
  private static final Pattern ORIGIN =
      Pattern.compile("https?://(?:[a-z0-9.-]{1,253}|\\[[0-9a-f:.]{2,45}])(?::[0-9]{1,5})?");

  /**
   * @throws IllegalArgumentException if one is not an origin
   */
  public Origins {
    allowed = List.copyOf(allowed);
    for (String one : allowed) {
      if (!one.equals("*") && !ORIGIN.matcher(one).matches()) {
        throw new IllegalArgumentException(
            "an origin is scheme, host and port in small letters without anything behind, such as https://example.com, not "
                + one);
      }
    }
  }

  /** Whether pages of an origin may ask. */
  public boolean allows(String origin) {
    return allowed.contains("*") || allowed.contains(origin);
  }

  /**
   * Says on an answer whether a page may read it; whether that was all that was asked.
   *
   * @return whether the request was a browser's question beforehand, which is answered
   */
  public boolean answer(HttpServerRequest request) {
    String origin = request.getHeader("Origin");
    if (origin == null || !allows(origin)) {
      return false;
    }
    HttpServerResponse response = request.response();
    response.putHeader("Access-Control-Allow-Origin", allowed.contains("*") ? "*" : origin);
    response.putHeader("Vary", "Origin, Access-Control-Request-Headers");
    response.putHeader("Access-Control-Expose-Headers", EXPOSED);
    if (request.method() != HttpMethod.OPTIONS) {
      return false;
    }
    response.putHeader("Access-Control-Allow-Methods", "GET, POST");
    response.putHeader("Access-Control-Allow-Headers", granted(request));
    response.putHeader("Access-Control-Max-Age", REMEMBERED_SECONDS);
    var unused = response.setStatusCode(204).end();
    return true;
  }

  /**
   * What a page of an allowed origin may send: what its client asks for, as official clients send
   * headers of their own ({@code x-stainless-os} and the like).
   */
  private static String granted(HttpServerRequest request) {
    String asked = request.getHeader("Access-Control-Request-Headers");
    return asked != null && asked.length() <= ASKED_CHARS_MAX && ASKED.matcher(asked).matches()
        ? asked
        : ACCEPTED;
  }
}
