package dev.gridtie.gateway.catalog;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.relay.AnswerSource;
import java.math.BigInteger;

/**
 * A model that can be asked.
 *
 * @param id what clients call it
 * @param promptPrice of one token sent
 * @param completionPrice of one token received
 * @param contextTokens prompt and answer together
 * @param defaultMaxTokens of an answer, where the client names no limit
 * @param quantization of the weights, such as {@code Q8_0}
 * @param build the SHA-256 of the model's file, hexadecimal
 * @param created Unix seconds
 * @param source answers
 */
public record ModelOffer(
    String id,
    PicoUsd promptPrice,
    PicoUsd completionPrice,
    int contextTokens,
    int defaultMaxTokens,
    String quantization,
    String build,
    long created,
    AnswerSource source) {

  /** Whether nothing is charged for it, and so no payment asked. */
  public boolean isFree() {
    return promptPrice.isZero() && completionPrice.isZero();
  }

  /** What tokens cost: each times its price, added up exactly. */
  public PicoUsd price(long promptTokens, long completionTokens) {
    return promptPrice.times(promptTokens).plus(completionPrice.times(completionTokens));
  }

  /**
   * The upper bound of a request's price in a token's atomic units, rounded up; at least one unit.
   */
  public BigInteger quote(long promptTokens, long maxTokens, int decimals) {
    return price(promptTokens, maxTokens).toAtomicRoundedUp(decimals).max(BigInteger.ONE);
  }
}
