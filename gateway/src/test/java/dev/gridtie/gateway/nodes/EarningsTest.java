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
import dev.gridtie.ledger.log.CheckpointWatcher;
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

  /** So small that its work comes to nothing for long. */
  private static final Manifest SMALL =
      new Manifest(
          "small/model", "mit", "b".repeat(64), 4096, 1_000, 1_000, 1, 1, 1, List.of(WEIGHTS));

  @Parameter boolean onPostgres;

  @TempDir Path home;
  private Location where;
  private Database database;
  private Earnings earnings;
  private boolean tampered;
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
    if (!tampered) {
      assertThat(audit()).isInstanceOf(Verifier.Report.Sound.class);
    }
  }

  private Verifier.Report audit() {
    CheckpointWatcher checkpoints =
        new CheckpointWatcher(Verifier.read(where, CheckpointWatcher::kept), List.of());
    return Verifier.verify(where, ignored -> {}, new WorkAudit(checkpoints));
  }

  /** What is found where somebody has changed a table through the gateway's own connection. */
  private String found(String change) {
    tampered = true;
    int changed =
        database.write(
            (c, log) -> {
              try (var statement = c.createStatement()) {
                return statement.executeUpdate(change);
              }
            });
    assertThat(changed).as(change).isPositive();
    return ((Verifier.Report.Damaged) audit()).problem();
  }

  /** Several payments of two nodes' work, and some that is not paid yet. */
  private void aDaysWork() {
    for (int i = 0; i < 30; i++) {
      earnings.add(work("c" + i, "club", true, 10 + i));
      earnings.add(work("p" + i, "", false, 20));
      if (i % 10 == 0) {
        written();
      }
    }
    written();
    for (int i = 0; i < 3; i++) {
      earnings.add(
          new WorkDone(
              "small" + i,
              NODE,
              "small",
              true,
              1,
              SMALL,
              SMALL.hash(),
              "F16",
              new PayFormula.Work(1, 0, 1),
              1_000_000,
              0));
      written();
    }
    assertThat(audit()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void whoeverChangesWhatNodesDidOrWereGivenIsFound() {
    aDaysWork();
    assertThat(found("UPDATE grid_work SET decode = decode + 1 WHERE id = 'c7'"))
        .contains("work c7 is worth");
  }

  @Test
  void workThatWasTakenAwayOrGivenToAnotherIsFound() {
    aDaysWork();
    assertThat(found("UPDATE grid_work SET pool = 'other' WHERE id = 'p3'")).contains("evidence");
  }

  @Test
  void missingWorkIsFound() {
    aDaysWork();
    assertThat(found("DELETE FROM grid_work WHERE id = 'p25'")).contains("evidence");
    assertThat(
            found(
                "DELETE FROM grid_work WHERE batch = (SELECT batch FROM grid_work WHERE id = 'p5')"))
        .contains("evidence"); // still of the other batch
  }

  @Test
  void aWholePaymentsWorkThatIsMissingIsFound() {
    aDaysWork();
    assertThat(found("DELETE FROM grid_work WHERE pool = ''")).contains("was paid");
    assertThat(found("DELETE FROM grid_node WHERE pool = ''"))
        .contains("the nodes' work that it pays is missing");
  }

  @Test
  void sumsAndModelsThatWereChangedAreFound() {
    aDaysWork();
    assertThat(found("UPDATE grid_node SET carry = '1' WHERE pool = 'small'")).contains("was paid");
    assertThat(found("UPDATE grid_manifest SET json = replace(json, '4096', '8192')"))
        .contains("was changed");
  }

  private static WorkDone work(String id, String pool, boolean vouched, int tokens) {
    return new WorkDone(
        id,
        NODE,
        pool,
        vouched,
        1,
        MODEL,
        MODEL.hash(),
        "F16",
        new PayFormula.Work(0, 0, tokens),
        1_000_000,
        0);
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
    List<Standing> all = database.read(c -> Standing.all(c, "club"));
    assertThat(all).hasSize(1);
    assertThat(all.getFirst().tokens()).isEqualTo(1_000);
    assertThat(all.getFirst().parts()).isEqualTo(1_000);
    assertThat(all.getFirst().carry()).isLessThan(Credits.FLOP_PER_MICRO);
  }
}
