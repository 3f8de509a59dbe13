package dev.gridtie.gateway.nodes;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Secret;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.grid.fleet.WorkDone;
import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.model.Variant;
import dev.gridtie.grid.pay.PayFormula;
import dev.gridtie.ledger.Account;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.testkit.LocalPostgres;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

@ParameterizedClass
@ValueSource(booleans = {false, true})
class EarningsTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final String NODE = "0x" + "ab".repeat(20);
  private static final Variant WEIGHTS =
      new Variant("F16", "a".repeat(64), 1 << 20, 1 << 20, List.of("a".repeat(64)));

  /** So that a token is worth 1.4e11 FLOP: a micro-credit, but for what is too small to matter. */
  private static final Manifest MODEL =
      new Manifest(
          "big/model",
          "mit",
          "b".repeat(64),
          4096,
          70_000_000_000L,
          70_000_000_000L,
          1,
          1,
          1,
          List.of(WEIGHTS));

  @Parameter boolean onPostgres;

  @TempDir Path home;
  private Location where;
  private Database database;
  private Earnings earnings;
  private final List<String> told = Collections.synchronizedList(new ArrayList<>());

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
    earnings = newEarnings();
  }

  private Earnings newEarnings() {
    return new Earnings(
        database,
        pool -> pool.equals("shared"),
        BigInteger.ZERO,
        () -> NOW,
        (address, micro, pending) -> told.add(micro + (pending ? " pending" : "")));
  }

  @AfterEach
  void close() {
    earnings.close();
    database.close();
    assertThat(Verifier.verify(where, ignored -> {})).isInstanceOf(Verifier.Report.Sound.class);
  }

  private static WorkDone work(String id, String pool, boolean vouched, int tokens) {
    return new WorkDone(
        id, NODE, pool, vouched, 1, MODEL, "F16", new PayFormula.Work(0, 0, tokens), 1_000_000, 0);
  }

  private BigInteger balance(String holder) {
    return database.read(c -> Credits.balance(new LedgerReader(c), holder));
  }

  private BigInteger pending(String holder) {
    return database.read(
        c ->
            new LedgerReader(c)
                .account(Credits.holder(holder))
                .map(Account::creditsPending)
                .orElse(BigInteger.ZERO));
  }

  /** 1.3 for its size, in micro-credits for so many tokens, rounded down. */
  private static BigInteger worth(long tokens) {
    return BigInteger.valueOf(tokens * 13 / 10);
  }

  private void written() {
    earnings.close();
    earnings = newEarnings();
  }

  @Test
  void membersOfAVouchedPoolArePaidAtOnceWithEvidence() {
    earnings.add(work("a", "club", true, 1_000));
    written();
    assertThat(balance(NODE)).isEqualTo(worth(1_000));
    assertThat(told).containsExactly("1300");
  }

  @Test
  void strangersWorkIsKeptInEscrow() {
    earnings.add(work("a", "", false, 1_000));
    written();
    assertThat(balance(NODE)).isZero();
    assertThat(pending(NODE)).isEqualTo(worth(1_000));
    assertThat(told).containsExactly("1300 pending");
  }

  @Test
  void aSharedPoolsEarningsArePaidToThePool() {
    earnings.add(work("a", "shared", true, 1_000));
    written();
    assertThat(balance("pool:shared")).isEqualTo(worth(1_000));
    assertThat(balance(NODE)).isZero();
  }

  @Test
  void workIsPaidOnceHoweverOftenItIsSaid() {
    for (int i = 0; i < 5; i++) {
      earnings.add(work("a", "club", true, 1_000));
      written();
    }
    assertThat(balance(NODE)).isEqualTo(worth(1_000));
  }

  @Test
  void whatIsLessThanAMicroCreditAddsUp() {
    for (int i = 0; i < 1_000; i++) {
      earnings.add(work("part " + i, "club", true, 1));
      if (i % 100 == 0) {
        written();
      }
    }
    written();
    assertThat(balance(NODE)).isEqualTo(worth(1_000));
    List<Earnings.Standing> all = database.read(c -> Earnings.Standing.all(c, "club"));
    assertThat(all).hasSize(1);
    assertThat(all.getFirst().tokens()).isEqualTo(1_000);
    assertThat(all.getFirst().parts()).isEqualTo(1_000);
    assertThat(all.getFirst().carry()).isLessThan(Credits.FLOP_PER_MICRO);
  }
}
