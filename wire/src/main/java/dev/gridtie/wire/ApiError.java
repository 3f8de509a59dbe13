package dev.gridtie.wire;

import org.jspecify.annotations.Nullable;

/**
 * A refusal towards a client, before it takes a dialect's form.
 *
 * @param kind decides status and type in each dialect
 * @param code a stable name of what was wrong
 * @param message one or two sentences: what was wrong, and what to do
 * @param parameter the request's field that is to blame, if one is
 */
public record ApiError(Kind kind, String code, String message, @Nullable String parameter) {
  /** Classes of errors, each with its HTTP status and OpenAI's name of the type. */
  public enum Kind {
    INVALID_REQUEST(400, "invalid_request_error"),
    AUTHENTICATION(401, "authentication_error"),
    PAYMENT_REQUIRED(402, "payment_required"),
    PERMISSION(403, "permission_error"),
    NOT_FOUND(404, "invalid_request_error"),
    METHOD_NOT_ALLOWED(405, "invalid_request_error"),
    TIMEOUT(408, "timeout_error"),
    CONFLICT(409, "invalid_request_error"),
    TOO_LARGE(413, "invalid_request_error"),
    UNSUPPORTED_MEDIA_TYPE(415, "invalid_request_error"),
    RATE_LIMITED(429, "rate_limit_error"),
    INTERNAL(500, "server_error"),
    BAD_GATEWAY(502, "server_error"),
    UNAVAILABLE(503, "server_error"),
    OVERLOADED(529, "server_error");

    private final int status;
    private final String openAiType;

    Kind(int status, String openAiType) {
      this.status = status;
      this.openAiType = openAiType;
    }

    /** The HTTP status. */
    public int status() {
      return status;
    }

    /** OpenAI's {@code error.type}. */
    public String openAiType() {
      return openAiType;
    }
  }

  /** The class of error that a status of another server stands for. */
  public static Kind kindOf(int status) {
    for (Kind kind : Kind.values()) {
      if (kind.status == status) {
        return kind;
      }
    }
    return status >= 500 ? Kind.BAD_GATEWAY : Kind.INVALID_REQUEST;
  }

  /** Whether the same request may do better a moment later, or elsewhere. */
  public boolean isRetryable() {
    return switch (kind) {
      case TIMEOUT, RATE_LIMITED, INTERNAL, BAD_GATEWAY, UNAVAILABLE, OVERLOADED -> true;
      default -> false;
    };
  }

  /** An answer's stream ended before the answer did: what was sent stands, the rest never came. */
  public static ApiError cut() {
    return of(
        Kind.BAD_GATEWAY,
        "upstream_cut",
        "The answer broke off: the model's server ended the stream early. Only what you received is charged; try again.");
  }

  public static ApiError invalid(String code, String message, @Nullable String parameter) {
    return new ApiError(Kind.INVALID_REQUEST, code, message, parameter);
  }

  public static ApiError of(Kind kind, String code, String message) {
    return new ApiError(kind, code, message, null);
  }
}
