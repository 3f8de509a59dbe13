package dev.gridtie.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Ids;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What only a ledger in a file has: a lock, a head, a seal, and bytes that somebody may change. */
class SqliteFileTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final AccountId CUSTODY = new AccountId("usd", "custody");
  private static final AccountId PAYER = new AccountId("usd", "payer");

  @TempDir Path home;

  private Database open() {
    return Database.open(Location.in(home), List.of());
  }

  private Path file() {
    return ((Location.OnFile) Location.in(home)).file();
  }

  private Verifier.Report verify() {
    return Verifier.verify(Location.in(home), ignored -> {});
  }

  private static void deposit(Database db, String name, long amount) throws Exception {
    db.apply(
        List.of(
            new Entry.Transfer(
                Ids.derived(name), NOW, CUSTODY, PAYER, BigInteger.valueOf(amount), "test")));
  }

  private static void openAccounts(Database db) throws Exception {
    db.apply(
        List.of(
            new Entry.Open(Ids.derived("o1"), NOW, CUSTODY, false),
            new Entry.Open(Ids.derived("o2"), NOW, PAYER, true)));
  }

  @Test
  void aFileFromBeforeMigrationsIsBroughtUpToDate() throws Exception {
    String first =
        new String(
            Database.class.getResourceAsStream("/db/ledger/V1__the_ledger.sql").readAllBytes(),
            java.nio.charset.StandardCharsets.UTF_8);
    try (var raw = Store.raw(Location.in(home));
        var statement = raw.createStatement()) {
      for (String sql :
          first
              .replaceAll("(?m)^--.*$", "")
              .replace("${int}", "INTEGER")
              .replace("${text}", "TEXT")
              .replace("${blob}", "BLOB")
              .replace("${strict}", "STRICT")
              .replace("${keyed}", "STRICT, WITHOUT ROWID")
              .split(";", -1)) {
        if (!sql.isBlank()) {
          statement.execute(sql);
        }
      }
      Chain chain = Chain.START;
      Entry[] said = {
        new Entry.Open(Ids.derived("o1"), NOW, CUSTODY, false),
        new Entry.Open(Ids.derived("o2"), NOW, PAYER, true)
      };
      for (Entry entry : said) {
        chain = chain.then(entry.canonical());
        try (var insert = raw.prepareStatement("INSERT INTO entry VALUES (?, ?, ?, ?)")) {
          insert.setLong(1, chain.seq());
          insert.setString(2, entry.id());
          insert.setString(3, entry.canonical());
          insert.setBytes(4, chain.hash());
          insert.executeUpdate();
        }
      }
      statement.execute("INSERT INTO account VALUES ('usd/custody', 0, '0', '0', '0', '0')");
      statement.execute("INSERT INTO account VALUES ('usd/payer', 1, '0', '0', '0', '0')");
    }
    Seal.write(file());
    try (Database db = open()) {
      deposit(db, "d", 10);
    }
    assertThat(verify()).isInstanceOf(Verifier.Report.Sound.class);
  }

  private Path filledAndClosed() throws Exception {
    try (Database db = open()) {
      openAccounts(db);
      for (int i = 0; i < 80; i++) {
        deposit(db, "d" + i, 10);
      }
    }
    return file();
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
    for (Path beside : List.of(Location.in(home).head(), Seal.path(file))) {
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
        deposit(db, "t" + i, 10);
      }
      // What a kill -9 leaves behind: the files as they are now.
      try (var files = Files.list(home)) {
        for (Path each : files.toList()) {
          Files.copy(each, copy.resolve(each.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        }
      }
    }
    Location copied = Location.in(copy);
    Path wal = copy.resolve("ledger.db-wal");
    assertThat(Verifier.verify(copied, ignored -> {})).isInstanceOf(Verifier.Report.Sound.class);
    Seeded seeded = new Seeded(2);
    for (int i = 0; i < 60; i++) {
      long at = 32 + seeded.below((int) Files.size(wal) - 32);
      flip(wal, at);
      assertThat(Verifier.verify(copied, ignored -> {}))
          .as("byte %d of the write-ahead log", at)
          .isInstanceOf(Verifier.Report.Damaged.class);
      flip(wal, at);
    }
    try (Database db = Database.open(copied, List.of())) {
      BigInteger balance = db.read(c -> new LedgerReader(c).account(PAYER).orElseThrow().balance());
      assertThat(balance).isEqualTo(50);
    }
  }

  @Test
  void aDatabaseRolledBackToAnEarlierCopyIsNotOpened(@TempDir Path copy) throws Exception {
    Path file = filledAndClosed();
    Files.copy(file, copy.resolve("old.db"));
    try (Database db = open()) {
      deposit(db, "later", 1);
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
