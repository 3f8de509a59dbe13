package dev.gridtie.x402.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SpendingCapsTest {
  @TempDir Path directory;
  private final AtomicReference<Instant> now =
      new AtomicReference<>(Instant.parse("2027-01-15T23:59:00Z"));

  private SpendingCaps caps(long perRequest, long perDay) throws Exception {
    return new SpendingCaps(
        BigInteger.valueOf(perRequest),
        BigInteger.valueOf(perDay),
        directory.resolve("s.json"),
        now::get);
  }

  private static BigInteger of(long n) {
    return BigInteger.valueOf(n);
  }

  @Test
  void aRequestAboveItsCapReservesNothing() throws Exception {
    SpendingCaps caps = caps(10, 100);
    assertThat(caps.reserve(of(11))).isFalse();
    assertThat(caps.spentToday()).isZero();
  }

  @Test
  void theDayEndsAtMidnightUtcAndNotWithTheProcess() throws Exception {
    assertThat(caps(10, 15).reserve(of(10))).isTrue();
    assertThat(caps(10, 15).reserve(of(10))).isFalse();
    now.set(Instant.parse("2027-01-16T00:00:01Z"));
    assertThat(caps(10, 15).reserve(of(10))).isTrue();
  }

  @Test
  void whatWasNotPaidIsGivenBack() throws Exception {
    SpendingCaps caps = caps(10, 10);
    assertThat(caps.reserve(of(10))).isTrue();
    caps.release(of(10));
    assertThat(caps.reserve(of(10))).isTrue();
  }

  @Test
  void requestsAtTheSameTimeNeverExceedTheDayTogether() throws Exception {
    SpendingCaps caps = caps(10, 100);
    List<Callable<Boolean>> calls = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      calls.add(() -> caps.reserve(of(7)));
    }
    int reserved = 0;
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (var result : threads.invokeAll(calls)) {
        reserved += result.get() ? 1 : 0;
      }
    }
    assertThat(reserved).isEqualTo(14);
    assertThat(caps.spentToday()).isEqualTo(98);
  }

  @Test
  void aSumThatCannotBeReadStopsSpending() throws Exception {
    Files.writeString(directory.resolve("s.json"), "{\"day\":");
    assertThatThrownBy(() -> caps(1, 1)).hasMessageContaining("mend or remove");
  }
}
