package dev.gridtie.x402.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
        now::get,
        (nonce, until) -> fates.getOrDefault(nonce.value(), NonceWatch.Fate.OPEN));
  }

  private final Map<String, NonceWatch.Fate> fates = new HashMap<>();
  private int signed;

  private static final long VALID_SECONDS = 90;

  /** Reserves for a signature of 90 seconds, whose number is its nonce. */
  private boolean reserve(SpendingCaps caps, long pico) throws Exception {
    String number = Integer.toString(signed++);
    long until = now.get().getEpochSecond() + VALID_SECONDS;
    Nonce nonce = new Nonce(Nonce.Kind.EIP3009, "eip155:1", "0xa", "0xb", number);
    return caps.reserve(
        number, of(pico), of(pico), new Commitment(of(pico), until, Optional.of(nonce)));
  }

  private void pass(long seconds) {
    now.set(now.get().plusSeconds(seconds));
  }

  private static BigInteger of(long n) {
    return BigInteger.valueOf(n);
  }

  @Test
  void aRequestAboveItsCapReservesNothing() throws Exception {
    SpendingCaps caps = caps(10, 100);
    assertThat(reserve(caps, 11)).isFalse();
    assertThat(caps.spentToday()).isZero();
  }

  @Test
  void theDayEndsAtMidnightUtcAndNotWithTheProcess() throws Exception {
    now.set(Instant.parse("2027-01-15T12:00:00Z"));
    assertThat(reserve(caps(10, 15), 10)).isTrue();
    assertThat(reserve(caps(10, 15), 10)).isFalse();
    now.set(Instant.parse("2027-01-16T00:00:01Z"));
    assertThat(reserve(caps(10, 15), 10)).isTrue();
  }

  @Test
  void whatWasSignedBeforeMidnightCountsAfterItForAsLongAsItCanBeSettled() throws Exception {
    assertThat(reserve(caps(10, 15), 10)).isTrue();
    now.set(Instant.parse("2027-01-16T00:00:01Z"));
    assertThat(reserve(caps(10, 15), 10)).as("both could be settled today").isFalse();
    assertThat(caps(10, 15).spentToday()).isEqualTo(10);
    pass(VALID_SECONDS + Commitment.MARGIN_SECONDS);
    assertThat(caps(10, 15).spentToday()).isZero();
    assertThat(reserve(caps(10, 15), 10)).isTrue();
  }

  @Test
  void whatHasExpiredCountsForTheDayUnlessTheChainShowsThatItWasNotUsed() throws Exception {
    now.set(Instant.parse("2027-01-15T12:00:00Z"));
    assertThat(reserve(caps(10, 20), 10)).isTrue();
    assertThat(reserve(caps(10, 20), 10)).isTrue();
    fates.put("0", NonceWatch.Fate.VOID);
    assertThat(reserve(caps(10, 20), 10)).as("it has not expired for us").isFalse();
    pass(VALID_SECONDS + Commitment.MARGIN_SECONDS);
    fates.put("0", NonceWatch.Fate.OPEN);
    assertThat(reserve(caps(10, 20), 10)).as("the chain cannot be asked").isFalse();
    fates.put("0", NonceWatch.Fate.VOID);
    fates.put("1", NonceWatch.Fate.USED);
    assertThat(reserve(caps(10, 20), 10)).as("one was not used").isTrue();
    assertThat(reserve(caps(10, 20), 10)).as("and is given back once").isFalse();
    assertThat(caps(10, 20).spentToday()).isEqualTo(20);
  }

  @Test
  void whatWasNeverSentIsGivenBack() throws Exception {
    SpendingCaps caps = caps(10, 10);
    assertThat(reserve(caps, 10)).isTrue();
    caps.withdraw("0");
    assertThat(reserve(caps, 10)).isTrue();
  }

  @Test
  void aClockThatIsSetBackBeginsNoNewDay() throws Exception {
    assertThat(reserve(caps(10, 10), 10)).isTrue();
    now.set(Instant.parse("2027-01-14T12:00:00Z"));
    assertThat(reserve(caps(10, 10), 10)).isFalse();
  }

  @Test
  void requestsAtTheSameTimeNeverExceedTheDayTogether() throws Exception {
    SpendingCaps caps = caps(10, 100);
    List<Callable<Boolean>> calls = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      String id = "s" + i;
      calls.add(() -> caps.reserve(id, of(7), of(7), new Commitment(of(7), 0, Optional.empty())));
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
    Files.writeString(directory.resolve("s.json"), "{\"day\":\"tomorrow\",\"spentPico\":\"0\"}");
    assertThatThrownBy(() -> caps(1, 1)).hasMessageContaining("mend or remove");
  }
}
