package dev.gridtie.gateway.watch;

/** Hears of requests that are over. Called on event loops: must not block. */
public interface Watch {
  void over(Seen seen);
}
