package dev.gridtie.grid.engine;

import dev.gridtie.grid.engine.Engine.EngineException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Counts prompts by a model's vocabulary and template, without its weights: a child process like
 * {@link Engine}'s, which is started when it is first needed. Safe for use by many threads.
 */
public final class Tokenizer implements AutoCloseable {
  /** One that cannot be started is not tried again sooner. */
  private static final Duration PAUSE = Duration.ofSeconds(30);

  private final Engine.Config config;
  private final LongSupplier nanos;
  private @Nullable Engine engine;
  private long failedAt;
  private boolean failed;
  private boolean closed;

  /**
   * @param libraries the folder with llama.cpp's libraries
   * @param model a GGUF
   * @param log where the child's errors go
   */
  public Tokenizer(Path libraries, Path model, Path log, LongSupplier nanos) {
    this.config = new Engine.Config(libraries, model, 0, 0, 1, log);
    this.nanos = nanos;
  }

  /**
   * How many tokens the prompt of a conversation has; may block.
   *
   * @throws EngineException where it cannot be counted now, or the template refuses it
   */
  public int count(List<Turn> turns) throws EngineException {
    return started().count(turns);
  }

  private synchronized Engine started() throws EngineException {
    Engine running = engine;
    if (running != null) {
      return running;
    }
    boolean pausing = failed && nanos.getAsLong() - failedAt < PAUSE.toNanos();
    if (closed || pausing) {
      throw new EngineException(EngineFailure.unavailable());
    }
    try {
      running = Engine.start(config);
      engine = running;
      return running;
    } catch (IOException e) {
      failed = true;
      failedAt = nanos.getAsLong();
      System.err.println(
          "gridtie: prompts for "
              + config.model().getFileName()
              + " are counted by its nodes: "
              + e.getMessage());
      throw new EngineException(EngineFailure.unavailable());
    }
  }

  @Override
  public synchronized void close() {
    closed = true;
    Engine running = engine;
    if (running != null) {
      running.close();
    }
  }
}
