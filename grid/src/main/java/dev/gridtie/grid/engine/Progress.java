package dev.gridtie.grid.engine;

import java.util.concurrent.atomic.AtomicLong;

/**
 * How far a child has come: a count that grows with each step, each node of a computation and each
 * piece of a model that is loaded, and whether there is work at all.
 */
final class Progress {
  private final AtomicLong steps = new AtomicLong();
  private volatile boolean working;

  void step() {
    steps.incrementAndGet();
  }

  /** Whether something is being computed or loaded; written by the thread that does it. */
  void working(boolean now) {
    working = now;
  }

  boolean isWorking() {
    return working;
  }

  long steps() {
    return steps.get();
  }

  /** For llama.cpp's {@code ggml_abort_callback}: false, which is to go on. */
  @SuppressWarnings("UnusedVariable")
  boolean computing(java.lang.foreign.MemorySegment data) {
    steps.incrementAndGet();
    return false;
  }

  /** For llama.cpp's {@code llama_progress_callback}: true, which is to go on. */
  @SuppressWarnings("UnusedVariable")
  boolean loading(float part, java.lang.foreign.MemorySegment data) {
    steps.incrementAndGet();
    return true;
  }
}
