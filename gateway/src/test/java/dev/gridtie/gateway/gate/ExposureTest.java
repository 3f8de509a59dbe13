package dev.gridtie.gateway.gate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.till.GasTallies;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Location;
import dev.gridtie.x402.facilitator.GasMemory.Addition;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What may be owed, and what is remembered of who did not pay. */
class ExposureTest {
  private static final Exposure.Caps CAPS =
      new Exposure.Caps(usd("0.10"), usd("5"), usd("100"), usd("1"));

  private Instant now = Instant.parse("2027-01-15T12:00:00Z");
  private final InstantSource clock = () -> now;

  private static PicoUsd usd(String dollars) {
    return PicoUsd.ofDollars(dollars);
  }

  @Test
  void manyNewAddressesTogetherOweNoMoreThanMayBeLostInADay() {
    Exposure exposure = new Exposure(CAPS, Histories.ofThisRun(), clock);
    int given = 0;
    for (int i = 0; i < 1000; i++) {
      given += exposure.tryOwe("p" + i, "payer" + i, usd("0.05")) ? 1 : 0;
    }
    assertThat(given).isEqualTo(20);
  }

  @Test
  void aNewAddressIsGivenLessTheMoreWasLostTodayAndWhoHasPaidIsNot() {
    Exposure exposure = new Exposure(CAPS, Histories.ofThisRun(), clock);
    exposure.paid("old", "known", usd("0.50"));
    for (int i = 0; i < 5; i++) {
      assertThat(exposure.tryOwe("p" + i, "payer" + i, usd("0.05"))).isTrue();
      exposure.defaulted("p" + i, "payer" + i, usd("0.05"));
      assertThat(exposure.capOf("payer" + i)).isEqualTo(PicoUsd.ZERO);
    }
    assertThat(exposure.capOf("fresh")).isEqualTo(usd("0.075"));
    assertThat(exposure.tryOwe("q", "known", usd("0.40"))).isTrue();
    now = now.plus(Duration.ofHours(25));
    assertThat(exposure.capOf("fresh")).isEqualTo(usd("0.10"));
  }

  @Test
  void afterTheDaysLossesNobodyIsGivenAnythingFirst() {
    Exposure exposure = new Exposure(CAPS, Histories.ofThisRun(), clock);
    exposure.paid("old", "known", usd("3"));
    assertThat(exposure.tryOwe("q", "known", usd("2"))).isTrue();
    exposure.defaulted("q", "known", usd("2"));
    exposure.paid("old", "another", usd("3"));
    assertThat(exposure.tryOwe("r", "another", usd("0.01"))).isFalse();
    now = now.plus(Duration.ofHours(25));
    assertThat(exposure.tryOwe("r", "another", usd("0.01"))).isTrue();
    assertThat(exposure.capOf("known")).isEqualTo(PicoUsd.ZERO);
  }

  @Test
  void historiesAndBarsSurviveARestart(@TempDir Path home) throws Exception {
    List<Addition> bar =
        List.of(
            new Addition("bar x", BigInteger.TWO, BigInteger.TEN, now.plus(Duration.ofHours(1))));
    try (Database database = Database.open(Location.in(home), List.of(GatewayTables.MIGRATIONS))) {
      Exposure exposure = new Exposure(CAPS, new StoredHistories(database), clock);
      exposure.paid("a", "known", usd("0.30"));
      exposure.defaulted("b", "bad", usd("0.25"));
      exposure.defaulted("b", "bad", usd("0.25"));
      GasTallies tallies = new GasTallies(database);
      for (int i = 0; i < 5; i++) {
        assertThat(tallies.tryAdd(bar, now)).isTrue();
      }
      assertThat(tallies.tryAdd(bar, now)).as("its bound").isFalse();
    }
    try (Database database = Database.open(Location.in(home), List.of(GatewayTables.MIGRATIONS))) {
      Exposure exposure = new Exposure(CAPS, new StoredHistories(database), clock);
      assertThat(exposure.capOf("bad")).isEqualTo(PicoUsd.ZERO);
      assertThat(exposure.capOf("fresh")).isEqualTo(usd("0.075"));
      assertThat(exposure.capOf("known")).isEqualTo(usd("0.375"));
      GasTallies tallies = new GasTallies(database);
      assertThat(tallies.find("bar x", now).orElseThrow().amount()).isEqualTo(BigInteger.TEN);
      now = now.plus(Duration.ofHours(2));
      assertThat(tallies.find("bar x", now)).isEmpty();
      assertThat(tallies.tryAdd(bar, now)).isTrue();
    }
  }
}
