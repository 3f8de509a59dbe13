package dev.gridtie.gateway.till;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Ids;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalDate;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BooksTest {
  private static final Instant FIRST = Instant.parse("2027-01-15T08:00:00Z");
  private static final Instant SECOND = Instant.parse("2027-01-16T00:00:00Z");
  private static final LocalDate DAY = LocalDate.parse("2027-01-15");
  private static final String COIN = "eip155:84532:0x036c";

  @TempDir Path home;

  private Database database;
  private final Till till = new Till(COIN, "0xaa");

  @BeforeEach
  void open() {
    database = Database.open(Location.in(home), List.of(GatewayTables.MIGRATIONS));
  }

  @AfterEach
  void close() {
    database.close();
    assertThat(Verifier.verify(Location.in(home), ignored -> {}))
        .isInstanceOf(Verifier.Report.Sound.class);
  }

  /** A payment of a dollar, an answer of so much that costs us so much, and its gas. */
  private void answer(String key, String price, String cost, Instant now) {
    boolean unused =
        database.write(
            (c, log) -> {
              till.paid(log, key, "0xbb", PicoUsd.ofDollars("1"), "0x" + key, now);
              PicoUsd held = till.hold(log, key, 1, "0xbb", PicoUsd.ofDollars("1"), now);
              assertThat(held).isEqualTo(PicoUsd.ofDollars("1"));
              till.charge(log, key, 1, PicoUsd.ofDollars(price), "rcpt-" + key, now);
              Expenses.cost(log, "rcpt-" + key, "Some Provider", PicoUsd.ofDollars(cost), now);
              Expenses.cost(log, "rcpt-" + key, "Some Provider", PicoUsd.ofDollars(cost), now);
              Expenses.gas(log, "eip155:84532", "0x" + key, BigInteger.valueOf(21_000), now);
              // Mined anew, in another block.
              Expenses.gas(log, "eip155:84532", "0x" + key, BigInteger.valueOf(23_000), now);
              return true;
            });
  }

  private Books all() {
    return database.read(c -> Books.of(c, 0, new LedgerReader(c).size(), Instant.MAX));
  }

  @Test
  void theMarginIsRevenueLessWhatProvidersAreOwed() {
    answer("1", "0.105", "0.1", FIRST);
    answer("2", "0.21", "0.2", FIRST);
    Books books = all();
    assertThat(books.dollars("revenue")).isEqualTo(PicoUsd.ofDollars("0.315").pico());
    assertThat(books.margin()).isEqualTo(PicoUsd.ofDollars("0.015").pico());
    assertThat(books.marginPercent()).isEqualByComparingTo("4.76");
    assertThat(books.open("payable")).isEqualTo(PicoUsd.ofDollars("0.3").pico());
    assertThat(books.open("payer")).isEqualTo(PicoUsd.ofDollars("1.685").pico());
    assertThat(books.kinds().get("eip155:84532:coin").get("gas").debits()).isEqualTo(42_000);
    assertThat(books.unsettled()).isZero();
  }

  @Test
  void aDayIsClosedOnceAndItsHashStandsInTheLog() {
    answer("1", "0.105", "0.1", FIRST);
    answer("2", "0.5", "0.2", SECOND); // the next day's first instant
    InstantSource clock = InstantSource.fixed(SECOND.plusSeconds(400));
    String closed = Closing.close(database, DAY, clock).orElseThrow();
    assertThat(Closing.close(database, DAY, clock)).isEmpty();
    assertThat(closed).contains("\"day\":\"2027-01-15\"", "\"revenue\":\"0.105000000000\"");
    Entry entry =
        database.read(c -> new LedgerReader(c).entry(Ids.derived("closing " + DAY)).orElseThrow());
    assertThat(entry)
        .isInstanceOfSatisfying(
            Entry.Witness.class,
            w ->
                assertThat(w.sha256())
                    .isEqualTo(
                        HexFormat.of()
                            .formatHex(Hashes.sha256(closed.getBytes(StandardCharsets.UTF_8)))));
    String next = Closing.close(database, DAY.plusDays(1), clock).orElseThrow();
    assertThat(next).contains("\"revenue\":\"0.500000000000\"");
    // Balances go on; what moved is the day's own.
    assertThat(next).contains("\"owedToPayers\":\"1.395000000000\"");
    assertThat(database.read(Closing::last).map(Closing.Closed::day))
        .isEqualTo(Optional.of(DAY.plusDays(1)));
  }

  @Test
  void aDayOnWhichNothingHappenedIsNotClosed() {
    assertThat(Closing.close(database, DAY, InstantSource.fixed(SECOND))).isEmpty();
  }
}
