package dev.gridtie.gateway.account;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;

/**
 * A rate limit: so many a minute, refilled steadily. May be overdrawn by what turns out to be more
 * than was thought; then nothing passes until that is made up. Guarded by its owner.
 */
final class Bucket {
  private static final double MINUTE_MS = Duration.ofMinutes(1).toMillis();

  private final InstantSource clock;
  private final int perMinute;
  private double level;
  private Instant since;

  Bucket(int perMinute, InstantSource clock) {
    this.clock = clock;
    this.perMinute = perMinute;
    this.level = perMinute;
    this.since = clock.instant();
  }

  private void refill() {
    Instant now = clock.instant();
    double ms = Math.max(0, Duration.between(since, now).toMillis());
    level = Math.min(perMinute, level + ms * perMinute / MINUTE_MS);
    since = now;
  }

  /** Whether so many may pass now; 0 a minute means no limit. */
  boolean allows(long amount) {
    if (perMinute == 0) {
      return true;
    }
    refill();
    return level >= Math.min(amount, perMinute);
  }

  void take(long amount) {
    level -= amount;
  }

  /** How long until one may pass. */
  Duration patience() {
    return Duration.ofMillis(
        (long) Math.max(1000, Math.ceil((1 - level) * MINUTE_MS / Math.max(1, perMinute))));
  }
}
