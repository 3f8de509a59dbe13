package dev.gridtie.grid.engine;

import java.util.List;

/**
 * An answer that is wanted of a generator.
 *
 * @param maxTokens of the whole answer; 0 for as many as the context has room for
 * @param said the answer's first tokens, where another generator has said them already: what is
 *     generated goes on from there, and they are not said again
 * @param priority of whoever asks, where there is a choice: 0 to 10
 */
public record Ask(
    List<Turn> turns, Sampling sampling, int maxTokens, List<Integer> said, int priority) {
  public Ask {
    turns = List.copyOf(turns);
    said = List.copyOf(said);
    if (maxTokens < 0) {
      throw new IllegalArgumentException("maxTokens is not negative");
    }
  }

  /** An answer from its beginning. */
  public Ask(List<Turn> turns, Sampling sampling, int maxTokens) {
    this(turns, sampling, maxTokens, List.of(), 0);
  }

  /** The same, its first tokens having been said. */
  public Ask goingOnFrom(List<Integer> newSaid) {
    return new Ask(turns, sampling, maxTokens, newSaid, priority);
  }

  /** The same for somebody else. */
  public Ask withPriority(int newPriority) {
    return new Ask(turns, sampling, maxTokens, said, newPriority);
  }
}
