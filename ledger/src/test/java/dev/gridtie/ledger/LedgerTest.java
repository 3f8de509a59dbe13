package dev.gridtie.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.log.CheckpointWatcher;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The ledger's rules and promises, on every store. */
@ParameterizedClass
@EnumSource(Store.class)
class LedgerTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final AccountId CUSTODY = new AccountId("usd", "custody");
  private static final AccountId PAYER = new AccountId("usd", "payer");
  private static final AccountId REVENUE = new AccountId("usd", "revenue");
  private static final AccountId OTHER_ASSET = new AccountId("credit", "pool");

  @Parameter Store store;

  @TempDir Path home;

  private Location where;

  @BeforeEach
  void place() {
    where = store.in(home);
  }

  private Database open() {
    return Database.open(where, List.of());
  }

  private Verifier.Report verify() {
    return Verifier.verify(where, ignored -> {});
  }

  private static void say(Database db, Entry... entries) throws RefusedException {
    db.apply(List.of(entries));
  }

  private static Entry.Transfer transfer(
      String name, AccountId debit, AccountId credit, long amount) {
    return new Entry.Transfer(
        Ids.derived(name), NOW, debit, credit, BigInteger.valueOf(amount), "test");
  }

  private static Entry.Hold hold(String name, long amount) {
    return new Entry.Hold(
        Ids.derived(name), NOW, PAYER, REVENUE, BigInteger.valueOf(amount), "test");
  }

  private static Entry.Post post(String name, String hold, long amount) {
    return new Entry.Post(
        Ids.derived(name), NOW, Ids.derived(hold), BigInteger.valueOf(amount), "test");
  }

  private static Account account(Database db, AccountId id) {
    return db.read(c -> new LedgerReader(c).account(id).orElseThrow());
  }

  private static void openAccounts(Database db) throws RefusedException {
    say(
        db,
        new Entry.Open(Ids.derived("o1"), NOW, CUSTODY, false),
        new Entry.Open(Ids.derived("o2"), NOW, PAYER, true),
        new Entry.Open(Ids.derived("o3"), NOW, REVENUE, false),
        new Entry.Open(Ids.derived("o4"), NOW, OTHER_ASSET, false));
  }

  @Test
  void aHoldEndsInAChargeAndTheRestIsFreeAgain() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      say(db, transfer("deposit", CUSTODY, PAYER, 100), hold("h", 100));
      assertThat(account(db, PAYER).available()).isZero();
      say(db, post("p", "h", 30));
      assertThat(account(db, PAYER).available()).isEqualTo(70);
      assertThat(account(db, REVENUE).balance()).isEqualTo(30);
      assertThat(account(db, REVENUE).creditsPending()).isZero();
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void theSameEntryAgainChangesNothingAndAnotherUnderItsIdIsRefused() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      say(db, transfer("t", CUSTODY, PAYER, 5));
      say(db, transfer("t", CUSTODY, PAYER, 5));
      assertThat(account(db, PAYER).balance()).isEqualTo(5);
      assertThatThrownBy(() -> say(db, transfer("t", CUSTODY, PAYER, 6)))
          .hasMessageContaining("ID_USED_DIFFERENTLY (2)");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "AMOUNT_NEGATIVE, usd/custody, usd/payer, -1",
    "DEBIT_ACCOUNT_NOT_FOUND, usd/nobody, usd/payer, 1",
    "CREDIT_ACCOUNT_NOT_FOUND, usd/custody, usd/nobody, 1",
    "ACCOUNTS_SAME, usd/custody, usd/custody, 1",
    "ASSETS_DIFFER, usd/custody, credit/pool, 1",
    "EXCEEDS_CREDITS, usd/payer, usd/revenue, 1",
    "AMOUNT_TOO_LARGE, usd/custody, usd/payer, 340282366920938463463374607431768211456",
  })
  void everyRefusalHasItsName(String name, String debit, String credit, String amount)
      throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      Entry bad =
          new Entry.Transfer(
              Ids.derived("bad"),
              NOW,
              AccountId.of(debit),
              AccountId.of(credit),
              new BigInteger(amount),
              "test");
      assertThatThrownBy(() -> say(db, bad))
          .isInstanceOfSatisfying(
              RefusedException.class, e -> assertThat(e.why().name()).isEqualTo(name));
    }
  }

  @Test
  void aHoldEndsOnceAndNeverInMoreThanWasHeld() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      say(db, transfer("deposit", CUSTODY, PAYER, 100), hold("h", 50));
      assertThatThrownBy(() -> say(db, post("p", "h", 51))).hasMessageContaining("EXCEEDS_HOLD");
      assertThatThrownBy(() -> say(db, post("p", "none", 1)))
          .hasMessageContaining("HOLD_NOT_FOUND");
      say(db, new Entry.Release(Ids.derived("r"), NOW, Ids.derived("h"), "test"));
      assertThatThrownBy(() -> say(db, post("p", "h", 1))).hasMessageContaining("HOLD_ENDED");
      assertThat(account(db, PAYER).available()).isEqualTo(100);
    }
  }

  @Test
  void linkedEntriesStandTogetherOrNotAtAll() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      assertThatThrownBy(() -> say(db, transfer("a", CUSTODY, PAYER, 10), hold("too much", 11)))
          .hasMessageContaining("EXCEEDS_CREDITS");
      assertThat(account(db, PAYER).balance()).isZero();
    }
  }

  private static Entry.Hold expiring(String name, long amount, Instant at) {
    return new Entry.Hold(
        Ids.derived(name),
        NOW,
        PAYER,
        REVENUE,
        BigInteger.valueOf(amount),
        "test",
        Optional.of(at));
  }

  @Test
  void aHoldThatHasExpiredFreesWhatItHeldAndIsPostedNoMore() throws Exception {
    Instant soon = NOW.plusSeconds(10);
    try (Database db = open()) {
      openAccounts(db);
      say(db, transfer("deposit", CUSTODY, PAYER, 100), expiring("h", 60, soon));
      Entry early = new Entry.Expire(Ids.derived("e"), NOW.plusSeconds(9), Ids.derived("h"));
      assertThatThrownBy(() -> say(db, early)).hasMessageContaining("HOLD_NOT_EXPIRED (16)");
      Entry late = new Entry.Post(Ids.derived("p"), soon, Ids.derived("h"), BigInteger.ONE, "test");
      assertThatThrownBy(() -> say(db, late)).hasMessageContaining("HOLD_EXPIRED (15)");
      assertThat(Expiry.sweep(db, NOW.plusSeconds(9))).isZero();
      assertThat(account(db, PAYER).available()).isEqualTo(40);
      assertThat(Expiry.sweep(db, soon)).isOne();
      assertThat(Expiry.sweep(db, soon)).isZero();
      assertThat(account(db, PAYER).available()).isEqualTo(100);
      assertThatThrownBy(() -> say(db, post("p2", "h", 1))).hasMessageContaining("HOLD_ENDED");
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void aHoldThatNeverExpiresIsNotSwept() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      say(db, transfer("deposit", CUSTODY, PAYER, 100), hold("h", 60));
      assertThat(Expiry.sweep(db, NOW.plusSeconds(1_000_000_000))).isZero();
      Entry never = new Entry.Expire(Ids.derived("e"), NOW.plusSeconds(9), Ids.derived("h"));
      assertThatThrownBy(() -> say(db, never)).hasMessageContaining("HOLD_NOT_EXPIRED (16)");
    }
  }

  @Test
  void anAccountCanBeOverdrawnAsFarAsItsLimitAndNoFurther() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      say(db, new Entry.Limit(Ids.derived("l"), NOW, PAYER, BigInteger.valueOf(50)));
      say(db, transfer("t", PAYER, REVENUE, 30), hold("h", 20));
      assertThatThrownBy(() -> say(db, transfer("more", PAYER, REVENUE, 1)))
          .hasMessageContaining("EXCEEDS_CREDITS");
      // What is held was granted: it can be charged after the limit has fallen, and nothing new.
      say(db, new Entry.Limit(Ids.derived("l2"), NOW, PAYER, BigInteger.ZERO));
      say(db, post("p", "h", 20));
      assertThat(account(db, PAYER).balance()).isEqualTo(-50);
      assertThatThrownBy(() -> say(db, hold("h2", 1))).hasMessageContaining("EXCEEDS_CREDITS");
      Entry unlimited = new Entry.Limit(Ids.derived("l3"), NOW, REVENUE, BigInteger.ONE);
      assertThatThrownBy(() -> say(db, unlimited)).hasMessageContaining("ACCOUNT_NOT_LIMITED (19)");
      Entry unknown =
          new Entry.Limit(Ids.derived("l4"), NOW, AccountId.of("usd/nobody"), BigInteger.ONE);
      assertThatThrownBy(() -> say(db, unknown)).hasMessageContaining("ACCOUNT_NOT_FOUND (18)");
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void aDebitOnlyAccountIsNeverCreditedBeyondItsDebits() throws Exception {
    AccountId vault = AccountId.of("usd/vault");
    try (Database db = open()) {
      openAccounts(db);
      say(db, new Entry.Open(Ids.derived("ov"), NOW, vault, false, true));
      say(db, transfer("in", vault, PAYER, 10));
      assertThatThrownBy(
              () -> say(db, transfer("out", PAYER, vault, 4), transfer("out2", CUSTODY, vault, 7)))
          .hasMessageContaining("EXCEEDS_DEBITS (17)");
      say(db, transfer("out", PAYER, vault, 10));
      assertThat(account(db, vault).balance()).isZero();
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void workThatTakesLongIsCommittedInPartsAndNoneIsLeftOut() throws Exception {
    try (Database db = open();
        var threads = Executors.newFixedThreadPool(12)) {
      openAccounts(db);
      long before = db.read(c -> new Tables(c, false).commits());
      List<Callable<Boolean>> work = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        int number = i;
        work.add(
            () ->
                db.write(
                    (c, log) -> {
                      try {
                        Thread.sleep(100);
                      } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                      }
                      log.apply(transfer("slow" + number, CUSTODY, PAYER, 1));
                      return true;
                    }));
      }
      for (var result : threads.invokeAll(work)) {
        assertThat(result.get()).isTrue();
      }
      assertThat(account(db, PAYER).balance()).isEqualTo(12);
      long commits = db.read(c -> new Tables(c, false).commits()) - before;
      assertThat(commits).isBetween(3L, 12L);
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void whatOneTransactionHasDoneIsUndoneAloneWhereItFailsAmongOthers() throws Exception {
    try (Database db = open();
        var threads = Executors.newFixedThreadPool(16)) {
      openAccounts(db);
      List<Callable<Boolean>> work = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        int number = i;
        work.add(
            () -> {
              try {
                return db.writeOrRefuse(
                    (c, log) -> {
                      log.apply(transfer("good" + number, CUSTODY, PAYER, 1));
                      if (number % 3 == 0) {
                        log.apply(transfer("bad" + number, PAYER, REVENUE, 1_000_000));
                      }
                      if (number % 5 == 0) {
                        c.createStatement().execute("SELECT nothing FROM nowhere");
                      }
                      return true;
                    });
              } catch (RefusedException | StoreException e) {
                return false;
              }
            });
      }
      long good = 0;
      for (var result : threads.invokeAll(work)) {
        good += result.get() ? 1 : 0;
      }
      assertThat(good).isEqualTo(107); // of 0..199, those that 3 and 5 do not divide
      assertThat(account(db, PAYER).balance()).isEqualTo(good);
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void aRunningLedgerCanBeVerified() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      say(db, transfer("t", CUSTODY, PAYER, 5));
      assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
    }
  }

  @Test
  void aPlainModelAgreesAfterThousandsOfRandomOperationsFromManyThreads() throws Exception {
    Map<String, BigInteger> model = new HashMap<>();
    try (Database db = open();
        var threads = Executors.newFixedThreadPool(8)) {
      openAccounts(db);
      say(db, transfer("deposit", CUSTODY, PAYER, 100_000_000));
      List<Callable<BigInteger>> work = new ArrayList<>();
      for (int worker = 0; worker < 8; worker++) {
        int number = worker;
        work.add(
            () -> {
              Seeded seeded = new Seeded(number);
              BigInteger charged = BigInteger.ZERO;
              for (int i = 0; i < Size.of(250, 10_000); i++) {
                String name = number + "-" + i;
                long held = seeded.below(500);
                say(db, hold(name, held));
                if (seeded.chance(0.3)) {
                  say(
                      db,
                      new Entry.Release(Ids.derived("r" + name), NOW, Ids.derived(name), "test"));
                } else {
                  long used = seeded.below((int) held + 1);
                  say(db, post("p" + name, name, used));
                  charged = charged.add(BigInteger.valueOf(used));
                }
              }
              return charged;
            });
      }
      for (var result : threads.invokeAll(work)) {
        model.merge("charged", result.get(), BigInteger::add);
      }
      assertThat(account(db, REVENUE).balance()).isEqualTo(model.get("charged"));
      assertThat(account(db, PAYER).balance())
          .isEqualTo(BigInteger.valueOf(100_000_000).subtract(model.get("charged")));
      assertThat(account(db, PAYER).debitsPending()).isZero();
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  private Verifier.Report verifyFrom(String[] record) {
    return Verifier.verify(
        where,
        ignored -> {},
        new CheckpointWatcher(List.of(), List.of()),
        Optional.ofNullable(record[0]),
        written -> record[0] = written);
  }

  @Test
  void aVerificationGoesOnFromTheRecordOfAnEarlierOne() throws Exception {
    String[] record = {null};
    filledAndClosed();
    assertThat(verifyFrom(record)).isInstanceOf(Verifier.Report.Sound.class);
    String first = record[0];
    try (Database db = open()) {
      say(db, hold("open", 3), transfer("more", CUSTODY, PAYER, 5));
    }
    assertThat(verifyFrom(record)).isEqualTo(verify());
    try (Database db = open()) {
      say(db, post("p-open", "open", 2));
    }
    assertThat(verifyFrom(record)).isEqualTo(verify());
    String[] fromFirst = {first};
    assertThat(verifyFrom(fromFirst)).isEqualTo(verify());
    assertThat(fromFirst[0]).isEqualTo(record[0]);
    String[] changed = {first.replaceFirst("\"1\\d+\"", "\"1\"")};
    assertThatThrownBy(() -> verifyFrom(changed)).isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "UPDATE entry SET body = replace(body, '\"amount\":\"5\"', '\"amount\":\"6\"') WHERE seq = 86 | entry 86:",
        "UPDATE entry SET hash = (SELECT hash FROM entry WHERE seq = 6) WHERE seq = 85 | entry 85:",
        "DELETE FROM entry WHERE seq >= 84 | entry 85: missing",
        "UPDATE account SET credits_posted = '1' WHERE id = 'usd/revenue' | account usd/revenue",
        "DELETE FROM hold WHERE id = (SELECT max(id) FROM hold) | the log has 40 holds",
      })
  void whatWasChangedSinceOrBelowTheRecordIsFound(String sql, String named) throws Exception {
    String[] record = {null};
    filledAndClosed();
    assertThat(verifyFrom(record)).isInstanceOf(Verifier.Report.Sound.class);
    try (Database db = open()) {
      say(db, transfer("more", CUSTODY, PAYER, 5));
    }
    try (var connection = Store.raw(where);
        var statement = connection.createStatement()) {
      assertThat(statement.executeUpdate(sql)).isPositive();
    }
    assertThat(verifyFrom(record))
        .isInstanceOfSatisfying(
            Verifier.Report.Damaged.class, d -> assertThat(d.problem()).startsWith(named));
  }

  private void filledAndClosed() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      say(db, transfer("deposit", CUSTODY, PAYER, 1000));
      for (int i = 0; i < 40; i++) {
        say(db, hold("h" + i, 10), post("p" + i, "h" + i, 7));
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "UPDATE entry SET body = replace(body, '\"amount\":\"7\"', '\"amount\":\"6\"') WHERE seq = 7 | entry 7:",
        "DELETE FROM entry WHERE seq = 9 | entry 9:",
        "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry) | entry 85:",
        "UPDATE entry SET id = '00' WHERE seq = 8 | entry 8:",
        "UPDATE entry SET hash = (SELECT hash FROM entry WHERE seq = 6) WHERE seq = 5 | entry 5:",
        "UPDATE entry SET body = (SELECT e.body FROM entry e WHERE e.seq = 15 - entry.seq) WHERE seq IN (7, 8) | entry 7:",
        "INSERT INTO entry SELECT 86, '00000000000000000000000000000000', body, hash FROM entry WHERE seq = 85 | entry 86:",
        "UPDATE account SET credits_posted = '1' WHERE id = 'usd/revenue' | account usd/revenue",
        "UPDATE hold SET ended = 0 WHERE id = (SELECT max(id) FROM hold) | hold ",
      })
  void theFirstBadEntryIsNamed(String sql, String named) throws Exception {
    filledAndClosed();
    try (var connection = Store.raw(where);
        var statement = connection.createStatement()) {
      assertThat(statement.executeUpdate(sql)).isPositive();
    }
    assertThat(verify())
        .isInstanceOfSatisfying(
            Verifier.Report.Damaged.class, d -> assertThat(d.problem()).startsWith(named));
  }
}
