package dev.gridtie.ledger.log;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.ledger.log.SignedNote.Kind;
import dev.gridtie.ledger.log.SignedNote.MalformedNoteException;
import dev.gridtie.ledger.log.SignedNote.Signer;
import dev.gridtie.ledger.log.SignedNote.Verifier;
import java.security.KeyPairGenerator;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SignedNoteTest {
  /** The example of Go's package golang.org/x/mod/sumdb/note. */
  private static final String KEY =
      "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

  private static final String NOTE =
      """
      If you think cryptography is the answer to your problem,
      then you don't know what your problem is.

      — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
      """;

  private static Signer signer(String name) throws Exception {
    return new Signer(name, KeyPairGenerator.getInstance("Ed25519").generateKeyPair());
  }

  @Test
  void anothersNoteIsReadCheckedAndWrittenAgain() throws Exception {
    SignedNote note = SignedNote.parse(NOTE);
    Verifier verifier = Verifier.of(KEY);
    assertThat(verifier.written()).isEqualTo(KEY);
    assertThat(verifier.verify(note)).contains(Instant.EPOCH);
    assertThat(note.written()).isEqualTo(NOTE);
    SignedNote changed = new SignedNote(note.text().replace("think", "know"), note.signatures());
    assertThat(verifier.verify(changed)).isEmpty();
  }

  @Test
  void whatIsSignedAndCosignedIsCheckedByTheRightKeyAlone() throws Exception {
    Signer log = signer("example.org/log");
    Signer witness = signer("example.org/witness");
    Instant now = Instant.ofEpochSecond(1_800_000_000);
    String text = "example.org/log\n1\n" + "A".repeat(43) + "=\n";
    SignedNote note = new SignedNote(text, List.of(log.sign(text))).with(witness.cosign(text, now));
    SignedNote again = SignedNote.parse(note.written());
    assertThat(log.verifier(Kind.SIGNATURE).verify(again)).isPresent();
    assertThat(witness.verifier(Kind.COSIGNATURE).verify(again)).contains(now);
    assertThat(witness.verifier(Kind.SIGNATURE).verify(again)).isEmpty();
    assertThat(log.verifier(Kind.COSIGNATURE).verify(again)).isEmpty();
    assertThat(signer("example.org/log").verifier(Kind.SIGNATURE).verify(again)).isEmpty();
    assertThat(Verifier.of(witness.verifier(Kind.COSIGNATURE).written()).verify(again))
        .contains(now);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name\n",
        "text\n\n- name AAAAAAAA\n",
        "text\n\n— name AAAA\n",
        "text\n\n— na+me AAAAAAAA\n",
        "text\n\n— name AAAAAAAA",
        "text\n\n— name ?\n"
      })
  void whatIsNoNoteIsRefused(String text) {
    assertThatThrownBy(() -> SignedNote.parse(text)).isInstanceOf(MalformedNoteException.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "name",
        "name+00000000+AQ==",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
      })
  void whatIsNoKeyIsRefused(String key) {
    assertThatThrownBy(() -> Verifier.of(key)).isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "log\n1\n",
        "log\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n1\nAAAA\n",
        "log\n1\n?\n"
      })
  void whatIsNoCheckpointIsRefused(String text) {
    assertThatThrownBy(() -> Checkpoint.parse(text)).isInstanceOf(MalformedNoteException.class);
  }
}
