package dev.gridtie.grid.engine;

import dev.gridtie.grid.engine.Engine.EngineException;
import java.util.List;

/** Whatever generates answers token by token with our sampler: an engine here, or the grid. */
public interface Generator {
  /**
   * How many tokens the prompt of a conversation has; may block.
   *
   * @throws EngineException where nobody can count now, or the template refuses the conversation
   */
  int count(List<Turn> turns) throws EngineException;

  /**
   * What a text is like; may block.
   *
   * @throws EngineException where nobody can say now, or the text does not fit
   */
  Engine.Embedded embed(String text) throws EngineException;

  /**
   * Starts generating an answer; does not block.
   *
   * @throws EngineException where it cannot be begun; the listener is not called then
   */
  Engine.Generation generate(Ask ask, Engine.Listener listener) throws EngineException;

  /** Whether it would begin an answer now. */
  boolean isReady();

  /** Why it is not ready, for people; empty where it is, or where nothing is known. */
  default String why() {
    return "";
  }

  /** Tokens a second of all its machines together; 0 where there is but one, which is ours. */
  default long capacity() {
    return 0;
  }
}
