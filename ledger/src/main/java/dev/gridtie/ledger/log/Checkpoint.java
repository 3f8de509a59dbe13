package dev.gridtie.ledger.log;

import dev.gridtie.ledger.log.SignedNote.MalformedNoteException;
import java.util.Arrays;
import java.util.Base64;

/**
 * How large a log is, and the root of its tree: what an operator signs, and can never take back
 * (C2SP tlog-checkpoint).
 *
 * @param origin the log's name
 */
public record Checkpoint(String origin, long size, byte[] root) {
  /** The text that is signed. */
  public String text() {
    return origin + "\n" + size + "\n" + Base64.getEncoder().encodeToString(root) + "\n";
  }

  /**
   * Reads the text of a note.
   *
   * @throws MalformedNoteException where it is no checkpoint
   */
  public static Checkpoint parse(String text) throws MalformedNoteException {
    String[] lines = text.split("\n", -1);
    if (lines.length < 4 || lines[0].isEmpty() || !lines[1].matches("0|[1-9][0-9]{0,17}")) {
      throw new MalformedNoteException("a checkpoint is a name, a size and a root");
    }
    try {
      byte[] root = Base64.getDecoder().decode(lines[2]);
      if (root.length != Merkle.HASH_BYTES) {
        throw new MalformedNoteException("a root has 32 bytes");
      }
      return new Checkpoint(lines[0], Long.parseLong(lines[1]), root);
    } catch (IllegalArgumentException e) {
      throw new MalformedNoteException("a root is written in base64");
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Checkpoint that
        && origin.equals(that.origin)
        && size == that.size
        && Arrays.equals(root, that.root);
  }

  @Override
  public int hashCode() {
    return text().hashCode();
  }
}
