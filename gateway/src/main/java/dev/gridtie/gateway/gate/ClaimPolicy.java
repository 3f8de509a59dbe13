package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import java.math.BigInteger;
import java.time.Duration;

/**
 * When what vouchers have promised is claimed. Whatever it says, a payer on its way out is claimed
 * from at once.
 *
 * @param amount claim once all channels of a coin owe so much together
 * @param age claim once the oldest charge is so old
 * @param gasMaxWei while a unit of gas costs more, wait for a cheaper moment; until twice the age
 * @param withdrawDelay of the channels: how often they are looked at follows from it
 * @param every how often it is decided
 */
public record ClaimPolicy(
    PicoUsd amount, Duration age, BigInteger gasMaxWei, Duration withdrawDelay, Duration every) {

  /** A payer that leaves is noticed after this part of its delay at the latest. */
  private static final int LOOKS_PER_DELAY = 6;

  /** How long what the chain said of a channel is taken for true, at most. */
  private static final Duration FRESH_MAX = Duration.ofMinutes(2);

  /** For how long what the chain said of a channel holds. */
  Duration fresh() {
    Duration part = withdrawDelay.dividedBy(LOOKS_PER_DELAY);
    return part.compareTo(FRESH_MAX) < 0 ? part : FRESH_MAX;
  }

  /**
   * Whether it is time.
   *
   * @param owed by all channels of a coin together
   * @param oldest the age of the oldest charge
   */
  boolean isTime(PicoUsd owed, Duration oldest, BigInteger gasWei) {
    boolean due = owed.compareTo(amount) >= 0 || oldest.compareTo(age) >= 0;
    boolean cheap = gasWei.compareTo(gasMaxWei) <= 0;
    return due && (cheap || oldest.compareTo(age.multipliedBy(2)) >= 0);
  }
}
