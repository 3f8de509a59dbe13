package dev.gridtie.grid.fleet;

import dev.gridtie.grid.engine.Engine.EngineException;
import dev.gridtie.grid.engine.Turn;
import java.util.List;

/** Counts a prompt's tokens at the gateway, so that no node has to be believed. May block. */
public interface Counter {
  /**
   * How many tokens the prompt of a conversation has.
   *
   * @throws EngineException where it cannot be counted now, or the template refuses it
   */
  int count(List<Turn> turns) throws EngineException;
}
