package dev.gridtie.x402.client;

import dev.gridtie.x402.wire.PaymentRequirements;
import java.time.Duration;
import java.time.InstantSource;

/**
 * How long what is signed now may be settled: as long as the server asks, and never longer than the
 * payer allows.
 *
 * @param most whatever {@code maxTimeoutSeconds} says
 */
public record Validity(InstantSource clock, Duration most) {
  /** How long a payment is valid unless its payer says otherwise. */
  public static final Duration USUAL = Duration.ofSeconds(90);

  /** The usual length. */
  public static Validity usual(InstantSource clock) {
    return new Validity(clock, USUAL);
  }

  /** Unix seconds. */
  public long now() {
    return clock.instant().getEpochSecond();
  }

  /** Unix seconds at which a payment for these requirements, signed now, ends. */
  public long until(PaymentRequirements asked) {
    return now() + Math.min(asked.maxTimeoutSeconds(), most.toSeconds());
  }
}
