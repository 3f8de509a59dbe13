package dev.gridtie.gateway.cache;

import java.time.Duration;

/**
 * What is kept and what it costs.
 *
 * @param kept how long an answer may be given again; zero keeps none
 * @param bytesMax of all answers together
 * @param pricePercent of the price that a hit costs
 * @param shared whether one account's answers are given to another: only where the operator says so
 */
public record CachePolicy(Duration kept, long bytesMax, int pricePercent, boolean shared) {
  public static final CachePolicy OFF = new CachePolicy(Duration.ZERO, 0, 0, false);

  public CachePolicy {
    if (pricePercent < 0 || pricePercent > 100) {
      throw new IllegalArgumentException("a hit costs 0 to 100 percent of the price");
    }
  }

  public boolean isOn() {
    return kept.isPositive();
  }
}
