package dev.gridtie.gateway.watch;

/** Hears of requests that are over. Called on event loops: must not block. */
public interface Watch {
  void over(Seen seen);

  /** Hears of a request that led to no answer of a model. */
  default void aside(Aside aside) {}
}
