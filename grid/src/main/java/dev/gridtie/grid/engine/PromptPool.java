package dev.gridtie.grid.engine;

import dev.gridtie.grid.engine.ChatTemplate.TemplateException;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * A few threads that render and tokenise prompts, beside the one that computes, so that a slow
 * template delays nothing but what waits for it. One that does not end in time is interrupted, left
 * to itself, and another takes its place; where too many have been left, the process ends.
 */
final class PromptPool implements AutoCloseable {
  /** How many prompts may wait. */
  static final int WAITING_MAX = 2048;

  private static final int THREADS = 2;

  /** A template may recurse, though not for long. */
  private static final long STACK_BYTES = 4L << 20;

  /** Past its own budget of time, a rendering has so much longer to notice. */
  static final long PATIENCE_NANOS = JinjaTemplate.NANOS_MAX + 5_000_000_000L;

  private static final int LOOK_MS = 500;
  private static final int LEFT_MAX = 3;

  private final BlockingQueue<Task> waiting = new LinkedBlockingQueue<>(WAITING_MAX);
  private final Set<Task> running = ConcurrentHashMap.newKeySet();
  private final LongSupplier nanos;
  private final Runnable tooManyLeft;
  private final Thread watcher;
  private volatile boolean closed;
  private int left;

  /** What a prompt came to. */
  sealed interface Result {
    record Tokens(int[] tokens) implements Result {}

    /**
     * @param code as {@link Batcher.Listener#refused} has it
     */
    record Refused(String code, String message) implements Result {}
  }

  /** Makes a prompt of something. */
  interface Work {
    int[] tokens() throws TemplateException;
  }

  private static final class Task {
    final Work work;
    final Consumer<Result> then;
    final AtomicBoolean answered = new AtomicBoolean();
    volatile long began;
    volatile Thread thread = Thread.currentThread();

    Task(Work work, Consumer<Result> then) {
      this.work = work;
      this.then = then;
    }

    /** False where it has been answered by another. */
    boolean answer(Result result) {
      boolean first = answered.compareAndSet(false, true);
      if (first) {
        then.accept(result);
      }
      return first;
    }
  }

  /**
   * @param tooManyLeft ends the process
   */
  PromptPool(LongSupplier nanos, Runnable tooManyLeft) {
    this.nanos = nanos;
    this.tooManyLeft = tooManyLeft;
    for (int i = 0; i < THREADS; i++) {
      startWorker();
    }
    this.watcher = Thread.ofPlatform().daemon(true).name("prompt-watch").start(this::watch);
  }

  /**
   * Takes on some work; false where too much waits.
   *
   * @param then hears what came of it, once, on another thread
   */
  boolean submit(Work work, Consumer<Result> then) {
    return waiting.offer(new Task(work, then));
  }

  private void startWorker() {
    Thread thread = new Thread(null, this::run, "prompt", STACK_BYTES);
    thread.setDaemon(true);
    thread.start();
  }

  private void run() {
    boolean going = true;
    while (going && !closed) {
      try {
        Task task = waiting.take();
        task.thread = Thread.currentThread();
        task.began = nanos.getAsLong();
        running.add(task);
        Result result = result(task.work);
        running.remove(task);
        going = task.answer(result);
      } catch (InterruptedException e) {
        going = !closed; // an interruption that came after its task had ended
      }
    }
  }

  private static Result result(Work work) {
    try {
      return new Result.Tokens(work.tokens());
    } catch (TemplateException e) {
      return new Result.Refused("invalid_messages", String.valueOf(e.getMessage()));
    } catch (RuntimeException | LinkageError | StackOverflowError e) {
      return new Result.Refused(
          "invalid_messages", "the model's chat template cannot render this: " + e);
    }
  }

  private void watch() {
    try {
      while (!closed) {
        Thread.sleep(LOOK_MS);
        look();
      }
    } catch (InterruptedException e) {
      // The pool is closed.
    }
  }

  /** Leaves what is over its time to itself. */
  void look() {
    long now = nanos.getAsLong();
    for (Task task : running) {
      if (now - task.began < PATIENCE_NANOS
          || !task.answer(
              new Result.Refused("overloaded", "the model's chat template does not end"))) {
        continue;
      }
      running.remove(task);
      task.thread.interrupt();
      left++;
      if (left > LEFT_MAX) {
        tooManyLeft.run();
      }
      startWorker();
    }
  }

  @Override
  public void close() {
    closed = true;
    watcher.interrupt();
  }
}
