package dev.gridtie.gateway.provider;

import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An engine's answer that survives the engine's end. The engine comes back, answers again with the
 * same seed, and so says the same; what was said before is not said twice. Should it not be the
 * same, the answer breaks off: nothing is spliced.
 */
final class ResumedGeneration implements Engine.Listener {
  /** How often one answer is begun again. */
  static final int RESUMES_MAX = 2;

  /** How long the engine may take to come back. */
  private static final Duration PATIENCE = Duration.ofSeconds(20);

  private static final Duration LOOK_EVERY = Duration.ofMillis(50);

  private final Engine engine;
  private final List<Turn> turns;
  private final Sampling sampling;
  private final int maxTokens;
  private final Engine.Listener listener;
  private final StringBuilder said = new StringBuilder();
  private final StringBuilder repeated = new StringBuilder();
  private int saidTokens;
  private int resumes;
  private boolean differs;
  private volatile boolean cancelled;
  private volatile Engine.@Nullable Generation generation;

  ResumedGeneration(
      Engine engine, List<Turn> turns, Sampling sampling, int maxTokens, Engine.Listener listener) {
    this.engine = engine;
    this.turns = turns;
    this.sampling = sampling;
    this.maxTokens = maxTokens;
    this.listener = listener;
  }

  /**
   * Begins the answer.
   *
   * @throws Engine.EngineException where the engine is not up or has too much to do
   */
  void begin() throws Engine.EngineException {
    Engine.Generation started = engine.generate(turns, sampling, maxTokens, this);
    generation = started;
    if (cancelled) {
      started.cancel();
    }
  }

  void cancel() {
    cancelled = true;
    Engine.Generation running = generation;
    if (running != null) {
      running.cancel();
    }
  }

  @Override
  public void started(int promptTokens) {
    if (resumes == 0) {
      listener.started(promptTokens);
    }
  }

  @Override
  public void text(String text, int completionTokens) {
    if (differs) {
      return;
    }
    if (repeated.length() < said.length()) {
      repeated.append(text);
      if (repeated.length() > said.length()
          || !said.substring(0, repeated.length()).contentEquals(repeated)) {
        differs = true;
        cancel();
        listener.failed(EngineFailure.crashed());
      }
      return;
    }
    said.append(text);
    repeated.append(text);
    saidTokens = completionTokens;
    listener.text(text, completionTokens);
  }

  @Override
  public void ended(EndReason reason, int promptTokens, int completionTokens) {
    if (!differs) {
      listener.ended(reason, promptTokens, completionTokens);
    }
  }

  @Override
  public void failed(EngineFailure failure) {
    boolean engineEnded = failure.code() == EngineFailure.Code.CRASHED;
    if (differs) {
      return;
    }
    // Before the first word another may do better than waiting for this one.
    if (!engineEnded || cancelled || saidTokens == 0 || resumes >= RESUMES_MAX) {
      listener.failed(failure);
      return;
    }
    resumes++;
    repeated.setLength(0);
    Thread.ofVirtual().name("resume").start(() -> resume(failure));
  }

  private void resume(EngineFailure failure) {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (System.nanoTime() < deadline && !cancelled) {
      try {
        if (engine.isReady()) {
          begin();
          return;
        }
        Thread.sleep(LOOK_EVERY);
      } catch (Engine.EngineException e) {
        // It went down again, or is busy; there is time yet.
      } catch (InterruptedException e) {
        break;
      }
    }
    listener.failed(failure);
  }
}
