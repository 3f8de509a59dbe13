package dev.gridtie.ledger;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.ledger.log.Checkpoint;
import dev.gridtie.ledger.log.SignedNote;
import dev.gridtie.ledger.log.Tile;
import dev.gridtie.testkit.WorstInput;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** No parser of this module is brought to a stand by any input that it takes. */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class WorstInputFuzz {
  private static final int NOTE = 64 * 1024;

  private static String text(byte[] bytes) {
    return new String(bytes, UTF_8);
  }

  @Test
  void notesAndCheckpoints() {
    WorstInput.search(
        "notes", NOTE, List.of("@", "a\n\n@", "@\n\n— a AAAA\n"), b -> SignedNote.parse(text(b)));
    WorstInput.search(
        "checkpoints",
        NOTE,
        List.of("@", "a\n@\nAAAA\n", "a\n1\n@\n"),
        b -> Checkpoint.parse(text(b)));
    WorstInput.search(
        "verifier keys",
        NOTE,
        List.of("@", "a+@", "a+00000000+@"),
        bytes -> SignedNote.Verifier.of(text(bytes)));
    WorstInput.search("tiles", NOTE, List.of("@", "tile/0/@"), bytes -> Tile.of(text(bytes)));
  }

  @Test
  void entries() {
    String entry =
        "{\"amount\":%s,\"credit\":\"a/b\",\"debit\":\"a/c\",\"id\":\"00\",\"memo\":%s,\"time\":%s,\"type\":\"transfer\"}";
    WorstInput.search(
        "entries",
        NOTE,
        List.of(
            "@",
            entry.formatted("@", "\"\"", "\"2026-01-01T00:00:00Z\""),
            entry.formatted("\"1\"", "@", "\"2026-01-01T00:00:00Z\""),
            entry.formatted("\"1\"", "\"\"", "@")),
        bytes -> Entry.parse(text(bytes)));
  }
}
