package dev.gridtie.gateway.till;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.base.Secret;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Expiry;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.testkit.LocalPostgres;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@ParameterizedClass
@ValueSource(booleans = {false, true})
class CreditsTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final LocalDate TODAY = LocalDate.parse("2027-01-15");
  private static final String EVIDENCE = "ab".repeat(32);

  @Parameter boolean onPostgres;

  @TempDir Path home;

  private Location where;
  private Database database;

  @BeforeEach
  void open() {
    where =
        onPostgres
            ? new Location.OnPostgres(
                LocalPostgres.url(LocalPostgres.newDatabase()),
                LocalPostgres.USER,
                new Secret(LocalPostgres.PASSWORD),
                home.resolve("head"))
            : Location.in(home);
    database = Database.open(where, List.of(GatewayTables.MIGRATIONS));
  }

  @AfterEach
  void close() {
    database.close();
    assertThat(Verifier.verify(where, ignored -> {})).isInstanceOf(Verifier.Report.Sound.class);
  }

  private BigInteger mint(String id, String holder, String flop) throws RefusedException {
    Credits.VerifiedWork work =
        new Credits.VerifiedWork(id, holder, new BigInteger(flop), EVIDENCE);
    return database.writeOrRefuse((c, log) -> Credits.mint(c, log, work, NOW));
  }

  private void transfer(String id, String from, String to, long micro) throws RefusedException {
    boolean unused =
        database.writeOrRefuse(
            (c, log) -> {
              Credits.transfer(c, log, id, from, to, BigInteger.valueOf(micro), NOW);
              return true;
            });
  }

  private BigInteger balance(String holder) {
    return database.read(c -> Credits.balance(new LedgerReader(c), holder));
  }

  private Credits.Supply supply() {
    return database.read(c -> Credits.supply(c, TODAY));
  }

  @Test
  void aCreditIsTheWorkOfAMillionTokensOfLlama70b() throws Exception {
    // 2 · 70e9 parameters · 1e6 tokens = 1.4e17 FLOP
    assertThat(mint("w1", "ann", "140000000000000000")).isEqualTo(1_000_000);
    assertThat(Credits.written(balance("ann"))).isEqualTo("1.000000");
    assertThat(mint("w2", "ann", "139999999999")).isZero();
    assertThat(mint("w3", "ann", "279999999999")).isOne();
  }

  @Test
  void workIsPaidOnceAndNotToTwo() throws Exception {
    mint("w1", "ann", "140000000000000000");
    mint("w1", "ann", "140000000000000000");
    assertThat(balance("ann")).isEqualTo(1_000_000);
    assertThat(supply().minted()).isEqualTo(1_000_000);
    assertThatThrownBy(() -> mint("w1", "bob", "140000000000000000"))
        .hasMessageContaining("ID_USED_DIFFERENTLY");
    assertThatThrownBy(
            () ->
                database.writeOrRefuse(
                    (c, log) ->
                        Credits.mint(
                            c,
                            log,
                            new Credits.VerifiedWork(
                                "w1", "ann", new BigInteger("140000000000000000"), "cd".repeat(32)),
                            NOW)))
        .hasMessageContaining("ID_USED_DIFFERENTLY");
    assertThat(balance("bob")).isZero();
  }

  @Test
  void whatIsInEscrowIsNobodysUntilItIsVerified() throws Exception {
    BigInteger flop = new BigInteger("140000000000000000");
    for (String id : List.of("w1", "w2")) {
      BigInteger micro =
          database.writeOrRefuse((c, log) -> Credits.escrow(log, id, "ann", flop, NOW));
      assertThat(micro).isEqualTo(1_000_000);
    }
    assertThat(balance("ann")).isZero();
    assertThat(supply().minted()).isZero();
    assertThat(Credits.hold(database, "a1", "ann", BigInteger.ONE, NOW)).isFalse();
    // Half of the first was good, and nothing of the second.
    for (int again = 0; again < 2; again++) {
      assertThat(mintEscrow("w1", flop.divide(BigInteger.TWO))).isEqualTo(500_000);
      assertThat(mintEscrow("w2", BigInteger.ZERO)).isZero();
    }
    assertThat(balance("ann")).isEqualTo(500_000);
    assertThat(supply().minted()).isEqualTo(500_000);
    assertThatThrownBy(() -> mintEscrow("w3", flop)).hasMessageContaining("HOLD_NOT_FOUND");
    assertThatThrownBy(() -> mint("w1", "ann", "140000000000000000"))
        .hasMessageContaining("ID_USED_DIFFERENTLY");
  }

  private BigInteger mintEscrow(String id, BigInteger flop) throws RefusedException {
    Credits.VerifiedWork work = new Credits.VerifiedWork(id, "ann", flop, EVIDENCE);
    return database.writeOrRefuse((c, log) -> Credits.mintEscrow(c, log, work, NOW));
  }

  @Test
  void whatIsHeldIsSpentOnceAndTheRestIsFreeAgain() throws Exception {
    mint("w1", "ann", "140000000000000000");
    assertThat(Credits.hold(database, "a1", "ann", BigInteger.valueOf(600_000), NOW)).isTrue();
    assertThat(Credits.hold(database, "a2", "ann", BigInteger.valueOf(600_000), NOW)).isFalse();
    for (int i = 0; i < 2; i++) {
      boolean unused =
          database.write(
              (c, log) -> {
                Credits.spend(c, log, "a1", BigInteger.valueOf(100_000), NOW);
                return true;
              });
    }
    assertThat(balance("ann")).isEqualTo(900_000);
    assertThat(supply())
        .isEqualTo(
            new Credits.Supply(
                BigInteger.valueOf(1_000_000),
                BigInteger.valueOf(100_000),
                BigInteger.valueOf(900_000),
                BigInteger.ZERO,
                BigInteger.valueOf(100_000)));
  }

  @Test
  void aHoldThatNobodyEndedExpires() throws Exception {
    mint("w1", "ann", "140000000000000000");
    assertThat(Credits.hold(database, "a1", "ann", BigInteger.valueOf(600_000), NOW)).isTrue();
    assertThat(balance("ann")).isEqualTo(400_000);
    assertThat(Expiry.sweep(database, NOW.plus(Credits.HOLD_EXPIRES))).isOne();
    assertThat(balance("ann")).isEqualTo(1_000_000);
    boolean unused =
        database.write(
            (c, log) -> {
              Credits.spend(c, log, "a1", BigInteger.valueOf(100_000), NOW.plusSeconds(9999));
              return true;
            });
    assertThat(balance("ann")).isEqualTo(1_000_000);
  }

  @Test
  void whatCouldNotBeSpentInTimeIsTheHoldersAgain() throws Exception {
    mint("w1", "ann", "140000000000000000");
    assertThat(Credits.hold(database, "a1", "ann", BigInteger.valueOf(600_000), NOW)).isTrue();
    for (int again = 0; again < 2; again++) {
      boolean unused =
          database.write(
              (c, log) -> {
                Instant late = NOW.plus(Credits.HOLD_EXPIRES);
                Credits.spend(c, log, "a1", BigInteger.valueOf(100_000), late);
                return true;
              });
    }
    assertThat(balance("ann")).isEqualTo(1_000_000);
    assertThat(Expiry.sweep(database, NOW.plus(Credits.HOLD_EXPIRES))).isZero();
  }

  @Test
  void nobodyGivesMoreThanTheyHave() throws Exception {
    mint("w1", "ann", "140000000000000000");
    transfer("t1", "ann", "bob", 400_000);
    transfer("t1", "ann", "bob", 400_000);
    assertThat(balance("bob")).isEqualTo(400_000);
    assertThatThrownBy(() -> transfer("t2", "ann", "bob", 600_001))
        .hasMessageContaining("EXCEEDS_CREDITS");
    assertThatThrownBy(() -> transfer("t3", "bob", "bob", 1)).hasMessageContaining("ACCOUNTS_SAME");
    assertThat(supply().turnedOver()).isEqualTo(400_000);
  }

  @ParameterizedTest
  @CsvSource({
    "0.02, 1, 50.000000, 1",
    "0.02, 0.000000019999, 0.000000, 1",
    "0.000001, 1, 1000000.000000, 1000000",
    "3, 1, 0.333333, 0.333334",
  })
  void theRateRoundsForWhoeverPays(String rate, String usd, String buys, String costs) {
    Credits.Rate r = Credits.Rate.ofDollars(rate);
    BigInteger bought = r.bought(PicoUsd.ofDollars(usd));
    assertThat(Credits.written(bought)).isEqualTo(buys);
    assertThat(r.worth(bought).compareTo(PicoUsd.ofDollars(usd))).isLessThanOrEqualTo(0);
    BigInteger price = r.price(PicoUsd.ofDollars(usd));
    assertThat(r.worth(price).compareTo(PicoUsd.ofDollars(usd))).isGreaterThanOrEqualTo(0);
    assertThat(price.subtract(bought)).isBetween(BigInteger.ZERO, BigInteger.ONE);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"-1", "1e3", "0.0000001", "", "NaN", "1,5", "1.", "٣", "9999999999999999999"})
  void whatIsNoAmountIsRefused(String credits) {
    assertThatThrownBy(() -> Credits.read(credits)).isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "../x", "a/b", " a", "a b", ":a", "Ä"})
  void whatIsNoHolderIsRefused(String holder) {
    assertThatThrownBy(() -> Credits.holder(holder)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void nothingIsMadeOrLostByAnyNumberOfTransfers() throws Exception {
    Seeded seeded = new Seeded(5);
    Map<String, Long> model = new HashMap<>();
    List<String> holders = List.of("a", "b", "c", "d");
    for (int i = 0; i < Size.of(150, 5_000); i++) {
      String from = seeded.of(holders);
      String to = seeded.of(holders);
      long amount = seeded.below(1000);
      if (seeded.chance(0.3)) {
        mint("w" + i, from, Credits.FLOP_PER_MICRO.multiply(BigInteger.valueOf(amount)).toString());
        model.merge(from, amount, Long::sum);
      } else if (!from.equals(to)) {
        try {
          transfer("t" + i, from, to, amount);
          assertThat(model.getOrDefault(from, 0L)).isGreaterThanOrEqualTo(amount);
          model.merge(from, -amount, Long::sum);
          model.merge(to, amount, Long::sum);
        } catch (RefusedException e) {
          assertThat(model.getOrDefault(from, 0L)).isLessThan(amount);
        }
      }
    }
    model.forEach((holder, has) -> assertThat(balance(holder)).isEqualTo(BigInteger.valueOf(has)));
    assertThat(supply().circulating())
        .isEqualTo(BigInteger.valueOf(model.values().stream().mapToLong(Long::longValue).sum()));
  }
}
