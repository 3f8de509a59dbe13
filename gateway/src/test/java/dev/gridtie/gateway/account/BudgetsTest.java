package dev.gridtie.gateway.account;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.base.Secret;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.gateway.till.Presence;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Location;
import dev.gridtie.testkit.LocalPostgres;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.Usage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One key at several gateways, on one database. */
class BudgetsTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final PicoUsd LIMIT = PicoUsd.of(1_000_000);
  private static final String MODEL = "some/model";

  @TempDir Path directory;

  private String database;

  /** A gateway, as far as a key sees it. */
  private final class One {
    final Database own;
    final Presence presence;
    final Budgets budgets;
    final Account account;
    final List<Account.Hold> holds = new ArrayList<>();
    long answers;

    One(int number) throws Exception {
      Path home = Files.createDirectory(directory.resolve("home" + number));
      own =
          Database.open(
              new Location.OnPostgres(
                  LocalPostgres.url(database),
                  LocalPostgres.USER,
                  new Secret(LocalPostgres.PASSWORD),
                  home.resolve("head")),
              List.of(GatewayTables.MIGRATIONS));
      presence = new Presence(own, new SplittableRandom(number), System::nanoTime);
      budgets = new Budgets(own, presence);
      KeyLimits limits =
          new KeyLimits(
              Optional.of(LIMIT),
              Optional.of(LIMIT),
              Optional.empty(),
              Map.of(MODEL, LIMIT),
              Map.of("place", LIMIT),
              0,
              0);
      ApiKey key = new ApiKey("key-1", "shared", "hash", "label", limits, NOW, false);
      account = new Account(key, InstantSource.fixed(NOW), new Leases(budgets, presence), () -> 1);
    }

    boolean hold(long bound) {
      Outcome<Account.Hold> held =
          account.hold(PicoUsd.of(bound), MODEL, Map.of("place", PicoUsd.of(bound)), 1);
      if (held instanceof Outcome.Ok<Account.Hold> ok) {
        holds.add(ok.value());
        return true;
      }
      return false;
    }

    /** Charges a hold and writes it down, as {@link UsageLog} does. */
    long charge(Account.Hold hold, long cost) {
      hold.charge(PicoUsd.of(cost), Set.of("place"), 1);
      UsageRow row =
          new UsageRow(
              "gen-" + presence.id() + answers++,
              "key-1",
              NOW,
              MODEL,
              "place",
              "",
              "openai",
              false,
              Usage.NONE,
              PicoUsd.of(cost),
              "stop",
              0,
              0,
              "ok");
      boolean unused =
          own.write(
              (c, log) -> {
                UsageStore.insert(c, row);
                budgets.post(c, List.of(row));
                return true;
              });
      account.posted(row);
      return cost;
    }
  }

  private final List<One> gateways = new ArrayList<>();

  @BeforeEach
  void start() throws Exception {
    database = LocalPostgres.newDatabase();
    for (int i = 0; i < 4; i++) {
      gateways.add(new One(i));
    }
  }

  @AfterEach
  void stop() {
    for (One one : gateways) {
      one.presence.close();
      one.own.close();
    }
  }

  private static long value(Database db, String sql) {
    return db.read(
        c -> {
          long sum = 0;
          try (var select = c.createStatement();
              var row = select.executeQuery(sql)) {
            while (row.next()) {
              sum += Long.parseLong(row.getString(1));
            }
          }
          return sum;
        });
  }

  /** What is spent and all that is leased stay within each limit. */
  private void requireWithin() {
    Database db = gateways.getFirst().own;
    for (String scope : List.of("total", "day:2027-01-15", "model:" + MODEL, "place:place")) {
      long spent = value(db, "SELECT spent FROM budget WHERE scope = '" + scope + "'");
      long leased = value(db, "SELECT amount FROM budget_lease WHERE scope = '" + scope + "'");
      assertThat(spent + leased).as(scope).isLessThanOrEqualTo(LIMIT.pico().longValueExact());
    }
  }

  @Test
  void noNumberOfGatewaysPassesALimit() {
    Seeded seeded = new Seeded(11);
    long spent = 0;
    long refused = 0;
    for (int i = 0; i < Size.of(400, 20_000); i++) {
      One one = seeded.of(gateways);
      switch (seeded.below(10)) {
        case 0 -> {
          one.account.giveBack();
          one.account.giveBack(); // not used in between
        }
        case 1, 2, 3, 4, 5 -> refused += one.hold(seeded.below(20_000)) ? 0 : 1;
        default -> {
          if (!one.holds.isEmpty()) {
            Account.Hold hold = one.holds.remove(seeded.below(one.holds.size()));
            if (seeded.chance(0.3)) {
              hold.release();
            } else {
              long bound = hold.amount().pico().longValueExact();
              spent += one.charge(hold, bound == 0 ? 0 : seeded.below((int) bound + 1));
            }
          }
        }
      }
      if (i % 20 == 0) {
        requireWithin();
      }
    }
    requireWithin();
    assertThat(spent).isLessThanOrEqualTo(LIMIT.pico().longValueExact());
    assertThat(value(gateways.getFirst().own, "SELECT cost FROM usage")).isEqualTo(spent);
    assertThat(refused).as("the limit was reached").isPositive();
  }

  @Test
  void whatOneDoesNotNeedTheOthersGet() {
    One first = gateways.get(0);
    One second = gateways.get(1);
    assertThat(first.hold(1_000_000)).isTrue();
    assertThat(second.hold(1)).isFalse();
    first.holds.getFirst().release();
    assertThat(second.hold(1_000_000)).as("still leased").isFalse();
    first.account.giveBack();
    first.account.giveBack();
    assertThat(second.hold(1_000_000)).isTrue();
    assertThat(first.hold(1)).isFalse();
  }

  @Test
  void aGatewayThatWasForgottenHasToAskAgain() {
    One first = gateways.get(0);
    One second = gateways.get(1);
    assertThat(first.hold(10)).isTrue(); // and some more is leased
    boolean unused =
        second.own.write(
            (c, log) -> {
              second.presence.forget(c, first.presence.id());
              return true;
            });
    assertThat(second.hold(1_000_000)).as("the lease of one that is gone is void").isTrue();
    first.presence.rejoin();
    assertThat(first.hold(1)).as("what it had leased is another's").isFalse();
  }
}
