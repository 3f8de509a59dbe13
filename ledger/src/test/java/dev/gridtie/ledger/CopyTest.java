package dev.gridtie.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.log.LedgerLog;
import dev.gridtie.ledger.log.SignedNote;
import java.math.BigInteger;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.sql.Statement;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** From each store to the other, and from PostgreSQL to a backup. */
@ParameterizedClass
@EnumSource(Store.class)
class CopyTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final AccountId CUSTODY = new AccountId("usd", "custody");
  private static final AccountId PAYER = new AccountId("usd", "payer");

  @Parameter Store store;

  @TempDir Path home;
  @TempDir Path other;

  private Location from;
  private Location to;
  private String checkpoint;

  @BeforeEach
  void fill() throws Exception {
    from = store.in(home);
    to = (store == Store.SQLITE ? Store.POSTGRES : Store.SQLITE).in(other);
    try (Database db = Database.open(from, List.of())) {
      db.apply(
          List.of(
              new Entry.Open(Ids.derived("o1"), NOW, CUSTODY, false),
              new Entry.Open(Ids.derived("o2"), NOW, PAYER, true)));
      for (int i = 0; i < 700; i++) {
        db.apply(List.of(deposit("d" + i)));
      }
      var key = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
      LedgerLog log = new LedgerLog(db, new SignedNote.Signer("example.org/log", key));
      checkpoint = log.advance(NOW).note().written();
    }
  }

  private static Entry deposit(String name) {
    return new Entry.Transfer(
        Ids.derived(name), NOW, CUSTODY, PAYER, BigInteger.TEN, "Grüße, 世界 \" ' \\ \u0001");
  }

  @Test
  void theCopyIsTheSameEntryByEntryAndGoesOn() throws Exception {
    Verifier.Report.Sound sound = Copy.copy(from, to, List.of(), ignored -> {});
    Verifier.Report.Sound before = (Verifier.Report.Sound) Verifier.verify(from, ignored -> {});
    assertThat(sound).isEqualTo(before);
    try (Database db = Database.open(to, List.of())) {
      assertThat(db.read(LedgerLog::latest).orElseThrow().note().written()).isEqualTo(checkpoint);
      assertThat(db.apply(List.of(deposit("d3")))).containsExactly(LedgerTx.Applied.REPEATED);
      assertThat(db.apply(List.of(deposit("new")))).containsExactly(LedgerTx.Applied.NEW);
    }
    assertThat(Verifier.verify(to, ignored -> {})).isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void aLedgerThatIsThereIsNotWrittenOver() throws Exception {
    try (Database db = Database.open(to, List.of())) {
      db.apply(List.of(new Entry.Open(Ids.derived("other"), NOW, CUSTODY, false)));
    }
    assertThatThrownBy(() -> Copy.copy(from, to, List.of(), ignored -> {}))
        .hasMessageContaining("not written over");
  }

  @Test
  void anEntryThatWasChangedOnTheWayIsNamed() throws Exception {
    try (Database db = Database.open(to, List.of())) {
      assertThat(db.where()).isEqualTo(to);
    }
    try (var raw = Store.raw(to);
        Statement statement = raw.createStatement()) {
      statement.execute(
          store == Store.SQLITE
              ? "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                  + " NEW.body = replace(NEW.body, '\"10\"', '\"11\"'); RETURN NEW; END $$"
              : "SELECT 1");
      statement.execute(
          store == Store.SQLITE
              ? "CREATE TRIGGER spoil BEFORE INSERT ON entry FOR EACH ROW WHEN (NEW.seq = 421)"
                  + " EXECUTE FUNCTION spoil()"
              : "CREATE TRIGGER spoil AFTER INSERT ON entry WHEN NEW.seq = 421 BEGIN UPDATE entry"
                  + " SET body = replace(body, '\"10\"', '\"11\"') WHERE seq = 421; END");
    }
    assertThatThrownBy(() -> Copy.copy(from, to, List.of(), ignored -> {}))
        .hasMessageContaining("entry 421");
  }

  @Test
  void aBackupIsASoundFileWhicheverTheStoreIs() {
    Verifier.Report.Sound before = (Verifier.Report.Sound) Verifier.verify(from, ignored -> {});
    assertThat(Backup.copy(from, home.resolve("backup"), List.of(), ignored -> {}))
        .isEqualTo(before);
  }
}
