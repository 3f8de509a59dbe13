package dev.gridtie.ledger.log;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Store;
import dev.gridtie.ledger.log.SignedNote.Kind;
import dev.gridtie.ledger.log.SignedNote.Signer;
import dev.gridtie.ledger.log.Witness.Answer;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
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
class WitnessTest {
  private static final Instant NOW = Instant.ofEpochSecond(1_800_000_000);

  @Parameter Store store;

  @TempDir Path home;
  private Database database;
  private Signer log;
  private Signer witness;
  private final List<byte[]> leaves = new ArrayList<>();

  @BeforeEach
  void open() throws Exception {
    log = signer("example.org/log");
    witness = signer("example.org/witness");
    database = Database.open(store.in(home), List.of());
    for (int i = 0; i < 20; i++) {
      leaves.add(Merkle.leaf(new byte[] {(byte) i}));
    }
  }

  @AfterEach
  void close() {
    database.close();
  }

  private static Signer signer(String name) throws Exception {
    return new Signer(name, KeyPairGenerator.getInstance("Ed25519").generateKeyPair());
  }

  private Witness watching() {
    return new Witness(database, witness, List.of(log.verifier(Kind.SIGNATURE)), () -> NOW);
  }

  private Merkle.Subtrees tree() {
    return new Merkle.Subtrees() {
      @Override
      public byte[] at(int level, long index) {
        return level == 0
            ? leaves.get((int) index)
            : Merkle.node(at(level - 1, 2 * index), at(level - 1, 2 * index + 1));
      }
    };
  }

  private SignedNote checkpoint(long size, Signer by) {
    String text = new Checkpoint(log.name(), size, Merkle.root(size, tree())).text();
    return new SignedNote(text, List.of(by.sign(text)));
  }

  private String request(long old, long size) {
    List<byte[]> proof =
        old == 0 || old == size ? List.of() : Merkle.consistency(old, size, tree());
    return request(old, proof, checkpoint(size, log));
  }

  private static String request(long old, List<byte[]> proof, SignedNote note) {
    StringBuilder out = new StringBuilder("old " + old + "\n");
    proof.forEach(hash -> out.append(Base64.getEncoder().encodeToString(hash)).append('\n'));
    return out.append('\n').append(note.written()).toString();
  }

  @Test
  void aLogThatGrowsIsCosigned() {
    long before = 0;
    for (long size : new long[] {1, 2, 2, 7, 8, 20}) {
      Answer answer = watching().add(request(before, size)); // each time as after a restart
      assertThat(answer).isInstanceOf(Answer.Cosigned.class);
      SignedNote note = checkpoint(size, log).with(((Answer.Cosigned) answer).line());
      assertThat(SignedNote.Verifier.of(watching().verifierKey()).verify(note)).contains(NOW);
      before = size;
    }
  }

  @Test
  void aLogThatForkedWasRolledBackOrSkipsIsNot() {
    assertThat(watching().add(request(0, 8))).isInstanceOf(Answer.Cosigned.class);
    assertThat(watching().add(request(0, 8))).isEqualTo(new Answer.Conflict(8));
    assertThat(watching().add(request(7, 9))).isEqualTo(new Answer.Conflict(8));
    assertThat(watching().add(request(3, 5))).as("rolled back").isEqualTo(new Answer.Conflict(8));
    String without = request(8, List.of(), checkpoint(9, log));
    assertThat(watching().add(without)).isEqualTo(new Answer.Unproved());
    leaves.set(3, Merkle.leaf(new byte[] {99}));
    assertThat(watching().add(request(8, 8))).as("as long").isEqualTo(new Answer.Conflict(8));
    assertThat(watching().add(request(8, 20))).isEqualTo(new Answer.Unproved());
    leaves.set(3, Merkle.leaf(new byte[] {3}));
    assertThat(watching().add(request(8, 20))).isInstanceOf(Answer.Cosigned.class);
  }

  @Test
  void whatAnotherHasSignedAndAnotherLogAreNot() throws Exception {
    String forged = request(0, List.of(), checkpoint(5, signer("example.org/log")));
    assertThat(watching().add(forged)).isEqualTo(new Answer.NotSigned());
    Witness other =
        new Witness(database, witness, List.of(witness.verifier(Kind.SIGNATURE)), () -> NOW);
    assertThat(other.add(request(0, 5))).isEqualTo(new Answer.UnknownLog("example.org/log"));
    assertThat(watching().add(request(0, 5)))
        .as("nothing was noted")
        .isInstanceOf(Answer.Cosigned.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "old 0\n",
        "old -1\n\n",
        "old 01\n\n",
        "new 0\n\n",
        "old 0\nAAAA\n\n",
        "old 0\n?\n\n",
        "old 0\n\ntext\n",
        "old 0\n\nlog\n1\nAAAA\n\n— log AAAAAAAAAAA=\n"
      })
  void whatCannotBeReadIsMalformed(String request) {
    assertThat(watching().add(request)).isInstanceOf(Answer.Malformed.class);
    assertThat(watching().add(request(9, List.of(), checkpoint(5, log))))
        .isInstanceOf(Answer.Malformed.class);
  }
}
