package dev.gridtie.gateway.answer;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.chat.Usage;
import java.time.Duration;
import java.util.Optional;

/**
 * Why a source gave no answer, or only a part of one.
 *
 * @param kind decides whether and where to try again
 * @param error for the client, if it comes to that
 * @param retryAfter what the source asked for
 * @param usage what it reported before
 */
public record Failure(Kind kind, ApiError error, Optional<Duration> retryAfter, Usage usage) {
  /** Classes of failures. */
  public enum Kind {
    /** The request is at fault: nobody will take it. */
    REQUEST,
    /** This source cannot express the request; another may. */
    UNFIT,
    /** Our key is refused: another key may do, at once. */
    KEY,
    /** Too much was asked of this key: another, or this one later. */
    RATE,
    /**
     * This source has all it can do, and would not have it wait: another may, and nobody is to
     * blame.
     */
    BUSY,
    /** The source is unwell, or out of reach: another, or the same a little later. */
    TRANSIENT,
    /** This gateway is short of something: nobody else is better off. */
    OURS
  }

  public static Failure of(Kind kind, ApiError error) {
    return new Failure(kind, error, Optional.empty(), Usage.NONE);
  }

  /** Something is wrong with this gateway. */
  public static Failure internal() {
    return of(
        Kind.OURS,
        ApiError.of(ApiError.Kind.INTERNAL, "internal_error", "Something went wrong on our side."));
  }

  public Failure with(Usage newUsage) {
    return new Failure(kind, error, retryAfter, newUsage);
  }
}
