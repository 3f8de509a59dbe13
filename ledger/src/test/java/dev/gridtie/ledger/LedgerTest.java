package dev.gridtie.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.sql.DriverManager;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LedgerTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final AccountId CUSTODY = new AccountId("usd", "custody");
  private static final AccountId PAYER = new AccountId("usd", "payer");
  private static final AccountId REVENUE = new AccountId("usd", "revenue");
  private static final AccountId OTHER_ASSET = new AccountId("credit", "pool");

  @TempDir Path home;

  private Database open() {
    return Database.open(Database.file(home), List::of);
  }

  private Verifier.Report verify() {
    return Verifier.verify(Database.file(home), ignored -> {});
  }

  private static void say(Database db, Entry... entries) throws RefusedException {
    db.writeOrRefuse(
        c -> {
          LedgerTx tx = new LedgerTx(c);
          for (Entry entry : entries) {
            tx.apply(entry);
          }
          return entries.length;
        });
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
    return db.read(c -> new LedgerTx(c).account(id).orElseThrow());
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

  @Test
  void aSecondProcessIsKeptOut() {
    try (Database db = open()) {
      assertThat(db).isNotNull();
      assertThatThrownBy(this::open)
          .isInstanceOf(StoreException.class)
          .hasMessageContaining("in use");
    }
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

  private Path filledAndClosed() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      say(db, transfer("deposit", CUSTODY, PAYER, 1000));
      for (int i = 0; i < 40; i++) {
        say(db, hold("h" + i, 10), post("p" + i, "h" + i, 7));
      }
    }
    return Database.file(home);
  }

  @Test
  void aChangeOfAnyByteOfTheDatabaseIsFound() throws Exception {
    Path file = filledAndClosed();
    assertThat(Files.exists(file.resolveSibling("ledger.db-wal"))).isFalse();
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
    long size = Files.size(file);
    Seeded seeded = new Seeded(1);
    for (int i = 0; i < Size.of(300, 10_000); i++) {
      long at = i < 100 ? i : seeded.below((int) size);
      flip(file, at);
      assertThat(verify())
          .as("byte %d of %d", at, size)
          .isInstanceOf(Verifier.Report.Damaged.class);
      flip(file, at);
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void aChangeOfAnyByteOfHeadOrSealIsFound() throws Exception {
    Path file = filledAndClosed();
    for (Path beside : List.of(Head.path(file), Seal.path(file))) {
      for (int at = 0; at < Math.min(Files.size(beside), 200); at++) {
        flip(beside, at);
        assertThat(verify())
            .as("byte %d of %s", at, beside)
            .isInstanceOf(Verifier.Report.Damaged.class);
        flip(beside, at);
      }
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void aChangeInTheWriteAheadLogOfAKilledGatewayIsFound(@TempDir Path copy) throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      for (int i = 0; i < 5; i++) {
        say(db, transfer("t" + i, CUSTODY, PAYER, 10));
      }
      // What a kill -9 leaves behind: the files as they are now.
      try (var files = Files.list(home)) {
        for (Path each : files.toList()) {
          Files.copy(each, copy.resolve(each.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        }
      }
    }
    Path file = Database.file(copy);
    Path wal = copy.resolve("ledger.db-wal");
    assertThat(Verifier.verify(file, ignored -> {})).isInstanceOf(Verifier.Report.Sound.class);
    Seeded seeded = new Seeded(2);
    for (int i = 0; i < 60; i++) {
      long at = 32 + seeded.below((int) Files.size(wal) - 32);
      flip(wal, at);
      assertThat(Verifier.verify(file, ignored -> {}))
          .as("byte %d of the write-ahead log", at)
          .isInstanceOf(Verifier.Report.Damaged.class);
      flip(wal, at);
    }
    try (Database db = Database.open(file, List::of)) {
      assertThat(account(db, PAYER).balance()).isEqualTo(50);
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
        "UPDATE entry SET hash = zeroblob(32) WHERE seq = 5 | entry 5:",
        "UPDATE account SET credits_posted = '1' WHERE id = 'usd/revenue' | account usd/revenue",
        "UPDATE hold SET ended = 0 WHERE id = (SELECT max(id) FROM hold) | hold ",
      })
  void theFirstBadEntryIsNamed(String sql, String named) throws Exception {
    Path file = filledAndClosed();
    try (var connection = DriverManager.getConnection("jdbc:sqlite:" + file);
        var statement = connection.createStatement()) {
      assertThat(statement.executeUpdate(sql)).isEqualTo(1);
    }
    assertThat(verify())
        .isInstanceOfSatisfying(
            Verifier.Report.Damaged.class, d -> assertThat(d.problem()).startsWith(named));
  }

  @Test
  void aDatabaseRolledBackToAnEarlierCopyIsNotOpened(@TempDir Path copy) throws Exception {
    Path file = filledAndClosed();
    Files.copy(file, copy.resolve("old.db"));
    try (Database db = open()) {
      say(db, transfer("later", CUSTODY, PAYER, 1));
    }
    Files.copy(copy.resolve("old.db"), file, StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(this::open).hasMessageContaining("lost entries");
  }

  private static void flip(Path file, long at) throws Exception {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      channel.read(one, at);
      one.put(0, (byte) (one.get(0) ^ 0x10)).rewind();
      channel.write(one, at);
    }
  }
}
