package dev.gridtie.wire;

import dev.gridtie.base.Json;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * What another server's refusal means to our client. Its words are repeated only where they are
 * about the client's own request, clipped, and without anything that looks like a secret.
 */
public final class UpstreamErrors {
  private static final int MESSAGE_MAX = 400;

  /** How much of a server's words is looked at: a server may send a megabyte of them. */
  private static final int READ_MAX = 4 * MESSAGE_MAX;

  /** Keys as vendors form them: a prefix and many letters and digits without a space. */
  private static final Pattern SECRET =
      Pattern.compile(
          "(?i)(sk|gt|key|pk|rk|xai|gsk|aiza)[-_a-z0-9*.…]{8,}|bearer\\s+\\S+|[A-Za-z0-9+/_=-]{40,}");

  private UpstreamErrors() {}

  /** The body as JSON; an empty object where it is none. */
  public static JsonNode json(byte[] body) {
    try {
      JsonNode json = Json.parse(body);
      return json.isArray() && !json.isEmpty() ? json.path(0) : json;
    } catch (Json.MalformedJsonException e) {
      return Json.object();
    }
  }

  /**
   * An error before an answer began.
   *
   * @param code the server's own name of it; may be empty
   */
  public static ApiError of(int status, String code, String message, @Nullable String parameter) {
    return switch (status) {
      // Our key, our bill, our wiring: nothing the client did, and nothing it may read of it.
      case 401, 402, 403 ->
          ApiError.of(
              ApiError.Kind.BAD_GATEWAY,
              "upstream_refused_us",
              "The model's server did not accept this gateway's credentials. The operator has to see to it.");
      case 404 ->
          ApiError.of(
              ApiError.Kind.BAD_GATEWAY,
              "upstream_model_missing",
              "The model's server does not know the model. The operator has to see to it.");
      case 408, 504, 524 ->
          ApiError.of(
              ApiError.Kind.TIMEOUT, "upstream_timeout", "The model's server took too long.");
      case 413 ->
          ApiError.of(
              ApiError.Kind.TOO_LARGE,
              "request_too_large",
              "The request is too large for the model's server.");
      case 429 ->
          ApiError.of(
              ApiError.Kind.RATE_LIMITED,
              "upstream_rate_limited",
              "The model's server takes no more requests at the moment; try again soon.");
      case 503, 529 ->
          ApiError.of(
              ApiError.Kind.UNAVAILABLE,
              "upstream_overloaded",
              "The model's server is overloaded.");
      default ->
          status >= 500
              ? ApiError.of(
                  ApiError.Kind.BAD_GATEWAY,
                  "upstream_failed",
                  "The model's server failed (" + status + ").")
              : new ApiError(
                  ApiError.Kind.INVALID_REQUEST,
                  code.isEmpty() ? "upstream_invalid_request" : clip(code, 64),
                  "The model's server refuses the request: " + harmless(message),
                  parameter);
    };
  }

  /** An error in the middle of an answer. */
  public static ApiError streamed(String message) {
    return ApiError.of(
        ApiError.Kind.BAD_GATEWAY,
        "upstream_failed",
        "The model's server broke the answer off: " + harmless(message));
  }

  private static String harmless(String message) {
    String text = message.isEmpty() ? "it does not say why." : message;
    return clip(SECRET.matcher(begin(text)).replaceAll("[…]"), MESSAGE_MAX);
  }

  private static String clip(String text, int max) {
    String line = text.replace('\n', ' ').strip();
    return line.length() <= max ? line : line.substring(0, max) + "…";
  }

  /** As much as is looked at; of a word that is cut there nothing, for it may be half a secret. */
  private static String begin(String text) {
    if (text.length() <= READ_MAX) {
      return text;
    }
    int end = READ_MAX;
    while (end > 0 && !Character.isWhitespace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(0, end) + "…";
  }
}
