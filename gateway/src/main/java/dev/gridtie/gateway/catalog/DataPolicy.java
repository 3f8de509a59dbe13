package dev.gridtie.gateway.catalog;

/**
 * What a provider does with prompts and answers.
 *
 * @param collects whether it may store them for longer than it takes to answer, or train on them
 * @param zeroRetention whether it has agreed to keep nothing at all
 */
public record DataPolicy(boolean collects, boolean zeroRetention) {
  /** Our own machines: nothing leaves them. */
  public static final DataPolicy OWN = new DataPolicy(false, true);
}
