package dev.gridtie.grid.model;

import java.util.Optional;

/**
 * Which of a model's variants a machine runs: the finest whose weights, cache and margin fit its
 * memory with the context that is asked, in as many slots as fit too. Pure.
 *
 * @param variant what to run
 * @param slots how many answers at once
 * @param contextTokens of each
 * @param bytes that this takes
 */
public record Fit(Variant variant, int slots, int contextTokens, long bytes) {
  /** What the engine needs besides weights and cache, in per cent of the weights. */
  private static final int MARGIN_PERCENT = 10;

  /** And at least. */
  private static final long MARGIN_BYTES_MIN = 64L << 20;

  /**
   * The best that fits.
   *
   * @param memoryBytes that may be used
   * @param diskBytes that a file may take
   * @param contextTokens that an answer must have room for, prompt included
   * @param slotsMax more are not wanted
   * @param least the coarsest quantisation that is wanted; empty for any
   * @return empty where nothing fits
   */
  public static Optional<Fit> best(
      Manifest manifest,
      long memoryBytes,
      long diskBytes,
      int contextTokens,
      int slotsMax,
      String least) {
    int context = Math.min(contextTokens, manifest.contextTokens());
    for (Variant variant : manifest.variants()) { // finest first
      boolean wanted = least.isEmpty() || Precision.isAtLeast(variant.quantization(), least);
      if (!wanted || variant.bytes() > diskBytes) {
        continue;
      }
      long fixed = fixedBytes(variant);
      long perSlot = manifest.cacheBytesPerToken() * context;
      long slots = Math.min(slotsMax, (memoryBytes - fixed) / Math.max(1, perSlot));
      if (slots >= 1 && memoryBytes > fixed) {
        return Optional.of(new Fit(variant, (int) slots, context, fixed + slots * perSlot));
      }
    }
    return Optional.empty();
  }

  /** Weights and margin. */
  private static long fixedBytes(Variant variant) {
    return variant.bytes() + Math.max(MARGIN_BYTES_MIN, variant.bytes() / 100 * MARGIN_PERCENT);
  }
}
