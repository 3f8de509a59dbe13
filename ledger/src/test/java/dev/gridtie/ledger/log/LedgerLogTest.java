package dev.gridtie.ledger.log;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Store;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.ledger.log.LedgerLog.Signed;
import dev.gridtie.ledger.log.SignedNote.Kind;
import dev.gridtie.ledger.log.SignedNote.Signer;
import dev.gridtie.testkit.Size;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

@ParameterizedClass
@EnumSource(Store.class)
class LedgerLogTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");

  @Parameter Store store;

  @TempDir Path home;
  private Location where;
  private Database database;
  private LedgerLog log;
  private KeyPair key;
  private long said;

  @BeforeEach
  void open() throws Exception {
    key = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
    where = store.in(home);
    reopen();
  }

  private void reopen() {
    database = Database.open(where, List.of());
    log = new LedgerLog(database, new Signer("example.org/log", key));
  }

  @AfterEach
  void close() {
    database.close();
  }

  private static String id(long n) {
    return Ids.derived("receipt " + n);
  }

  private void say(long count) {
    for (long left = count; left > 0; left -= 1000) {
      long some = Math.min(left, 1000);
      long unused =
          database.write(
              (c, tx) -> {
                for (int i = 0; i < some; i++) {
                  tx.apply(new Entry.Witness(id(said), NOW, "receipt", "%064x".formatted(said)));
                  said++;
                }
                return said;
              });
    }
  }

  @Test
  void whatIsPublishedMakesTheRootThatIsSigned() {
    assertThat(log.latest()).isEmpty();
    Signed first = log.advance(NOW);
    assertThat(first.checkpoint().size()).isZero();
    for (int more : new int[] {1, 1, 254, 1, 300, Size.of(1_500, 70_000)}) {
      say(more);
      Signed signed = log.advance(NOW);
      assertThat(signed.checkpoint().size()).isEqualTo(said);
      assertThat(new Signer("example.org/log", key).verifier(Kind.SIGNATURE).verify(signed.note()))
          .isPresent();
      assertThat(rebuilt(said)).isEqualTo(signed.checkpoint().root());
      assertThat(log.latest().orElseThrow().note().written()).isEqualTo(signed.note().written());
      assertThat(log.advance(NOW.plusSeconds(9)).note().written())
          .as("nothing new to sign")
          .isEqualTo(signed.note().written());
    }
  }

  /** The root, from the published entries alone; each published hash is looked at too. */
  private byte[] rebuilt(long size) {
    Merkle.Frontier tree = new Merkle.Frontier();
    for (long n = 0; n * Tile.WIDTH < size; n++) {
      int width = (int) Math.min(Tile.WIDTH, size - n * Tile.WIDTH);
      ByteBuffer bundle = ByteBuffer.wrap(log.tile(new Tile(Tile.ENTRIES, n, width)).orElseThrow());
      ByteBuffer hashes = ByteBuffer.wrap(log.tile(new Tile(0, n, width)).orElseThrow());
      Merkle.Frontier part = new Merkle.Frontier();
      while (bundle.hasRemaining()) {
        byte[] entry = new byte[Short.toUnsignedInt(bundle.getShort())];
        bundle.get(entry);
        byte[] hash = new byte[Merkle.HASH_BYTES];
        hashes.get(hash);
        assertThat(Merkle.leaf(entry)).isEqualTo(hash);
        tree.add(hash);
        part.add(hash);
      }
      assertThat(hashes.hasRemaining()).isFalse();
      if (width == Tile.WIDTH) {
        int at = (int) (n % Tile.WIDTH);
        byte[] above = log.tile(new Tile(1, n / Tile.WIDTH, at + 1)).orElseThrow();
        assertThat(Arrays.copyOfRange(above, 32 * at, 32 * at + 32)).isEqualTo(part.root());
      }
    }
    return tree.root();
  }

  @Test
  void everyEntryIsProvedAndEveryCheckpointIsTheBeginningOfTheNext() throws Exception {
    Optional<Signed> before = Optional.empty();
    for (int more : new int[] {3, 254, 1, 700}) {
      say(more);
      assertThat(log.prove(id(said - 1))).as("not before it is signed for").isEmpty();
      Signed now = log.advance(NOW);
      for (long n = 0; n < said; n += said > 100 ? 37 : 1) {
        LedgerLog.Inclusion proof = log.prove(id(n)).orElseThrow();
        assertThat(proof.index()).isEqualTo(n);
        assertThat(proof.entry()).contains(id(n));
        assertThat(
                Merkle.isIncluded(
                    Merkle.leaf(proof.entry().getBytes(UTF_8)),
                    n,
                    said,
                    proof.path(),
                    now.checkpoint().root()))
            .isTrue();
      }
      if (before.isPresent()) {
        Checkpoint old = before.get().checkpoint();
        assertThat(
                Merkle.isConsistent(
                    old.size(),
                    old.root(),
                    said,
                    now.checkpoint().root(),
                    log.consistency(old.size()).orElseThrow()))
            .isTrue();
      }
      before = Optional.of(now);
    }
    assertThat(log.prove(Ids.derived("never said"))).isEmpty();
    assertThat(log.consistency(said + 1)).isEmpty();
    assertThat(log.consistency(0)).isEmpty();
  }

  @Test
  void whatIsNotSignedForIsNotPublished() {
    say(300);
    assertThat(log.tile(new Tile(0, 0, 1))).isEmpty();
    Signed unused = log.advance(NOW);
    say(300);
    assertThat(log.tile(new Tile(0, 1, 44))).isPresent();
    assertThat(log.tile(new Tile(0, 1, 45))).isEmpty();
    assertThat(log.tile(new Tile(Tile.ENTRIES, 1, 45))).isEmpty();
    assertThat(log.tile(new Tile(1, 0, 1))).isPresent();
    assertThat(log.tile(new Tile(1, 0, 2))).isEmpty();
    assertThat(log.tile(new Tile(0, Long.MAX_VALUE / 1000, 1))).isEmpty();
  }

  @Test
  void aLogThatWasRewrittenOrCutIsNotSignedForAgain() throws Exception {
    say(600);
    Signed signed = log.advance(NOW);
    for (String change :
        new String[] {
          "UPDATE entry SET body = replace(body, 'receipt', 'receipts') WHERE seq = 599",
          "DELETE FROM entry WHERE seq > 590"
        }) {
      say(5);
      database.close();
      try (var raw = Store.raw(where);
          var statement = raw.createStatement()) {
        statement.execute(change);
      }
      // Whoever rewrites the log takes head and seal along.
      java.nio.file.Files.deleteIfExists(where.head());
      try {
        reopen();
      } catch (StoreException e) {
        assertThat(e).hasMessageContaining("entry 599");
        java.nio.file.Files.createFile(home.resolve("ledger.seal"));
        reopen();
      }
      assertThatThrownBy(() -> log.advance(NOW)).isInstanceOf(StoreException.class);
      assertThat(log.latest().orElseThrow().note().written()).isEqualTo(signed.note().written());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tile/0/000",
        "tile/0/255",
        "tile/1/x001/000",
        "tile/0/x123/456.p/7",
        "tile/entries/000.p/255",
        "tile/entries/x001/x234/067",
        "tile/5/000.p/1"
      })
  void aTileHasOnePath(String path) {
    assertThat(Tile.of(path).orElseThrow().path()).isEqualTo(path);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tile/0/0",
        "tile/0/x000/001",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/300",
        "tile/6/000",
        "tile/-1/000",
        "tile/entries/../../keys/log.key",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/000/",
        "checkpoint"
      })
  void whatIsNoTilesPathIsNone(String path) {
    assertThat(Tile.of(path)).isEmpty();
  }
}
