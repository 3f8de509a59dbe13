package dev.gridtie.grid.engine;

import java.util.List;

/**
 * How tokens are chosen.
 *
 * @param temperature 0 takes the likeliest token; otherwise the logits are divided by it
 * @param topK keep this many of the likeliest; 0 keeps all
 * @param topP keep the likeliest whose probabilities add up to this; 1 keeps all
 * @param minP keep those at least this fraction as likely as the likeliest; 0 keeps all
 * @param seed keys the choice: the same seed, position and logits give the same token
 * @param stop texts that end the answer, and are not part of it
 */
public record Sampling(
    double temperature, int topK, double topP, double minP, long seed, List<String> stop) {
  public Sampling {
    stop = List.copyOf(stop);
    if (!(temperature >= 0 && temperature <= 100)
        || topK < 0
        || !(topP > 0 && topP <= 1)
        || !(minP >= 0 && minP <= 1)) {
      throw new IllegalArgumentException("sampling out of range");
    }
  }

  public static Sampling greedy() {
    return new Sampling(0, 0, 1, 0, 0, List.of());
  }
}
