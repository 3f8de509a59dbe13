package dev.gridtie.gateway.provider;

import dev.gridtie.gateway.answer.AnswerSource;
import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Generator;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An engine's answer that survives the engine's end. The engine comes back and goes on from the
 * tokens it has said, with the same seed, and so says what it would have said.
 */
final class ResumedGeneration implements Engine.Listener, AnswerSource.Running {
  /** How often one answer is gone on with. */
  static final int RESUMES_MAX = 2;

  /** How long the engine may take to come back. */
  private static final Duration PATIENCE = Duration.ofSeconds(20);

  private static final Duration LOOK_EVERY = Duration.ofMillis(50);

  private final Generator engine;
  private final Ask ask;
  private final Engine.Listener listener;
  private final List<Integer> said = new ArrayList<>();
  private int resumes;
  private volatile boolean cancelled;
  private volatile Engine.@Nullable Generation generation;

  ResumedGeneration(Generator engine, Ask ask, Engine.Listener listener) {
    this.engine = engine;
    this.ask = ask;
    this.listener = listener;
  }

  /**
   * Begins the answer.
   *
   * @throws Engine.EngineException where the engine is not up or has too much to do
   */
  void begin() throws Engine.EngineException {
    Engine.Generation started = engine.generate(ask.goingOnFrom(said), this);
    generation = started;
    if (cancelled) {
      started.cancel();
    }
  }

  @Override
  public void cancel() {
    cancelled = true;
    Engine.Generation running = generation;
    if (running != null) {
      running.cancel();
    }
  }

  @Override
  public void pause() {
    Engine.Generation running = generation;
    if (running != null) {
      running.pause();
    }
  }

  @Override
  public void resume() {
    Engine.Generation running = generation;
    if (running != null) {
      running.resume();
    }
  }

  @Override
  public void by(String node) {
    listener.by(node);
  }

  @Override
  public void started(int promptTokens) {
    if (resumes == 0) {
      listener.started(promptTokens);
    }
  }

  @Override
  public void text(String text, List<Integer> tokens, int completionTokens) {
    said.addAll(tokens);
    listener.text(text, tokens, completionTokens);
  }

  @Override
  public void ended(EndReason reason, int promptTokens, int completionTokens) {
    listener.ended(reason, promptTokens, completionTokens);
  }

  @Override
  public void failed(EngineFailure failure) {
    boolean engineEnded = failure.code() == EngineFailure.Code.CRASHED;
    // Before the first word another may do better than waiting for this one.
    if (!engineEnded || cancelled || said.isEmpty() || resumes >= RESUMES_MAX) {
      listener.failed(failure);
      return;
    }
    resumes++;
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
