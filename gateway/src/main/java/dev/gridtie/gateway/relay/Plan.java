package dev.gridtie.gateway.relay;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.chat.Translator.Head;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

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

  /** The most that each place can charge that a key's limits may name. */
  public Map<String, PicoUsd> placeBounds(long promptTokens, long maxTokens) {
    Map<String, PicoUsd> bounds = new HashMap<>();
    for (Leg leg : legs) {
      PicoUsd bound = leg.endpoint().prices().bound(promptTokens, maxTokens);
      leg.places().forEach(p -> bounds.merge(p, bound, (a, b) -> a.compareTo(b) >= 0 ? a : b));
    }
    return bounds;
  }
}
