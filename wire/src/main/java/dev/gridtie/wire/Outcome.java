package dev.gridtie.wire;

import java.util.function.Function;

/** A value, or why there is none. */
public sealed interface Outcome<T> {
  record Ok<T>(T value) implements Outcome<T> {}

  record Refused<T>(ApiError error) implements Outcome<T> {}

  static <T> Outcome<T> ok(T value) {
    return new Ok<>(value);
  }

  static <T> Outcome<T> refused(ApiError error) {
    return new Refused<>(error);
  }

  /** Goes on with the value, where there is one. */
  default <R> Outcome<R> then(Function<T, Outcome<R>> next) {
    return switch (this) {
      case Ok<T> ok -> next.apply(ok.value());
      case Refused<T> refused -> new Refused<>(refused.error());
    };
  }
}
