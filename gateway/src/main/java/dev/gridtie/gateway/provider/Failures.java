package dev.gridtie.gateway.provider;

import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.chat.Usage;
import java.time.Duration;
import java.util.Optional;

/** What a server's failures mean for what to do next. */
final class Failures {
  private static final long RETRY_AFTER_SECONDS_MAX = 300;

  private Failures() {}

  /** The server answered with an error. */
  static Failure ofStatus(int status, ApiError error, Optional<String> retryAfter) {
    Failure.Kind kind =
        switch (status) {
          // A server that does not know the model is as little use as one that refuses the key.
          case 401, 402, 403, 404 -> Failure.Kind.KEY;
          case 429 -> Failure.Kind.RATE;
          case 408 -> Failure.Kind.TRANSIENT;
          default -> status >= 500 ? Failure.Kind.TRANSIENT : Failure.Kind.REQUEST;
        };
    return new Failure(kind, error, retryAfter.flatMap(Failures::seconds), Usage.NONE);
  }

  private static Optional<Duration> seconds(String header) {
    try {
      long seconds = Long.parseLong(header.strip());
      return Optional.of(Duration.ofSeconds(Math.clamp(seconds, 0, RETRY_AFTER_SECONDS_MAX)));
    } catch (NumberFormatException e) {
      return Optional.empty(); // a date: the breaker's own patience will do
    }
  }

  static Failure unreachable() {
    return transientFailure("upstream_unreachable", "The model's server cannot be reached.");
  }

  static Failure silent() {
    return Failure.of(
        Failure.Kind.TRANSIENT,
        ApiError.of(
            ApiError.Kind.TIMEOUT, "upstream_timeout", "The model's server said nothing in time."));
  }

  /** It was not the server's fault, and another would not help. */
  static Failure noRoom() {
    return Failure.of(
        Failure.Kind.OURS,
        ApiError.of(
            ApiError.Kind.UNAVAILABLE,
            "answers_full",
            "The answers under way take all the memory there is for them; come again in a second."));
  }

  static Failure malformed() {
    return transientFailure(
        "upstream_malformed", "The model's server sent an answer that cannot be read.");
  }

  static Failure cut(Usage usage) {
    return Failure.of(Failure.Kind.TRANSIENT, ApiError.cut()).with(usage);
  }

  static Failure transientFailure(String code, String message) {
    return Failure.of(
        Failure.Kind.TRANSIENT, ApiError.of(ApiError.Kind.BAD_GATEWAY, code, message));
  }
}
