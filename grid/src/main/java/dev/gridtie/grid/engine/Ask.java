package dev.gridtie.grid.engine;

import java.util.List;

/**
 * An answer that is wanted of a generator.
 *
 * @param maxTokens of the whole answer; 0 for as many as the context has room for
 * @param said the answer's first tokens, where another generator has said them already: what is
 *     generated goes on from there, and they are not said again
 * @param place among those that wait, where there is a choice
 */
public record Ask(
    List<Turn> turns, Sampling sampling, int maxTokens, List<Integer> said, Place place) {
  public Ask {
    turns = List.copyOf(turns);
    said = List.copyOf(said);
    if (maxTokens < 0) {
      throw new IllegalArgumentException("maxTokens is not negative");
    }
  }

  /** An answer that another has begun, of no priority. */
  public Ask(List<Turn> turns, Sampling sampling, int maxTokens, List<Integer> said) {
    this(turns, sampling, maxTokens, said, Place.LAST);
  }

  /** An answer from its beginning. */
  public Ask(List<Turn> turns, Sampling sampling, int maxTokens) {
    this(turns, sampling, maxTokens, List.of());
  }

  /** The same, its first tokens having been said. */
  public Ask goingOnFrom(List<Integer> newSaid) {
    return new Ask(turns, sampling, maxTokens, newSaid, place);
  }

  /** The same for somebody else. */
  public Ask at(Place newPlace) {
    return new Ask(turns, sampling, maxTokens, said, newPlace);
  }
}
