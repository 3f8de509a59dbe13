package dev.gridtie.gateway.catalog;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class BreakerTest {
  private Instant now = Instant.ofEpochSecond(1_700_000_000);
  private final Breaker breaker = new Breaker(() -> now);

  private void fail(int times) {
    for (int i = 0; i < times; i++) {
      breaker.failed();
    }
  }

  @Test
  void severalFailuresInARowOpenItAndASuccessBetweenThemDoesNot() {
    fail(Breaker.FAILURES_MAX - 1);
    breaker.succeeded();
    fail(Breaker.FAILURES_MAX - 1);
    assertThat(breaker.tryPass()).isTrue();
    breaker.failed();
    assertThat(breaker.tryPass()).isFalse();
  }

  @Test
  void afterAWhileOneProbeGoesAndDecides() {
    fail(Breaker.FAILURES_MAX);
    now = now.plus(Breaker.OPEN);
    assertThat(breaker.state()).isEqualTo(Breaker.State.HALF_OPEN);
    assertThat(breaker.tryPass()).isTrue();
    assertThat(breaker.tryPass()).as("a second while the probe is out").isFalse();
    breaker.failed();
    assertThat(breaker.tryPass()).isFalse();
    now = now.plus(Breaker.OPEN);
    assertThat(breaker.tryPass()).isTrue();
    breaker.succeeded();
    assertThat(breaker.state()).isEqualTo(Breaker.State.CLOSED);
  }

  @Test
  void aProbeThatSaysNothingLetsAnotherGo() {
    fail(Breaker.FAILURES_MAX);
    now = now.plus(Breaker.OPEN);
    assertThat(breaker.tryPass()).isTrue();
    breaker.undecided();
    assertThat(breaker.tryPass()).isTrue();
  }

  @Test
  void itHoldsOffAsLongAsTheServerAsksAndKnowsWhy() {
    breaker.holdOff(Duration.ofSeconds(7));
    assertThat(breaker.isRateLimited()).isTrue();
    now = now.plusSeconds(6);
    assertThat(breaker.tryPass()).isFalse();
    now = now.plusSeconds(1);
    assertThat(breaker.tryPass()).isTrue();
    breaker.keyRefused();
    assertThat(breaker.isRateLimited()).isFalse();
  }
}
