package dev.gridtie.gateway.relay;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.chat.Translator.Head;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Who may answer a request, best first.
 *
 * @param hedge whether a second may be asked where the first is slow
 * @param heads writes what an answer says of itself, once it is known whose it is
 */
public record Plan(List<Leg> legs, boolean hedge, Heads heads) {
  public Plan {
    legs = List.copyOf(legs);
  }

  /** Writes what an answer says of itself; empty where nobody here could read its request. */
  public interface Heads {
    Optional<Head> head(Leg leg);
  }

  public Plan withHeads(Heads newHeads) {
    return new Plan(legs, hedge, newHeads);
  }

  public Leg first() {
    return legs.getFirst();
  }

  /** Whether nobody who may answer charges anything. */
  public boolean isFree() {
    return legs.stream().allMatch(l -> l.endpoint().prices().isFree());
  }

  /** The most that any of them can charge. */
  public PicoUsd bound(long promptTokens, long maxTokens) {
    return legs.stream()
        .map(l -> l.endpoint().prices().bound(promptTokens, maxTokens))
        .max(PicoUsd::compareTo)
        .orElse(PicoUsd.ZERO);
  }

  public Set<String> providers() {
    return legs.stream().map(l -> l.endpoint().provider()).collect(Collectors.toSet());
  }
}
