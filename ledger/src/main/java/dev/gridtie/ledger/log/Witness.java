package dev.gridtie.ledger.log;

import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.log.SignedNote.MalformedNoteException;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;

/**
 * Watches other logs: cosigns a checkpoint that begins with all that it has cosigned of that log
 * before, and nothing else (C2SP tlog-witness). What it has seen is on the disk before it says so.
 */
public final class Witness {
  /** The longest request, in characters. */
  public static final int LENGTH_MAX = 64 * 1024;

  /** A proof has a hash for each bit of a size, at most. */
  private static final int PROOF_MAX = 63;

  private final Database database;
  private final SignedNote.Signer signer;
  private final List<SignedNote.Verifier> logs;
  private final InstantSource clock;

  /**
   * @param logs the keys of the logs that are watched; a log's name is its key's
   */
  public Witness(
      Database database,
      SignedNote.Signer signer,
      List<SignedNote.Verifier> logs,
      InstantSource clock) {
    this.database = database;
    this.signer = signer;
    this.logs = List.copyOf(logs);
    this.clock = clock;
  }

  /** What it says. */
  public sealed interface Answer {
    /** It has seen it. */
    record Cosigned(SignedNote.Line line) implements Answer {}

    /** The request cannot be read. */
    record Malformed(String why) implements Answer {}

    /** It does not watch that log. */
    record UnknownLog(String origin) implements Answer {}

    /** Its key has not signed it. */
    record NotSigned() implements Answer {}

    /** It has seen so many entries of it, and not what the request begins with. */
    record Conflict(long size) implements Answer {}

    /** The proof does not lead from what it has seen to the checkpoint: the log was forked. */
    record Unproved() implements Answer {}
  }

  /** The key by which its cosignatures are checked. */
  public String verifierKey() {
    return signer.verifier(SignedNote.Kind.COSIGNATURE).written();
  }

  private record Asked(long old, List<byte[]> proof, SignedNote note, Checkpoint checkpoint) {}

  /** Answers a request: {@code old SIZE}, the proof's hashes, an empty line, the checkpoint. */
  public Answer add(String request) {
    Asked asked;
    try {
      asked = read(request);
    } catch (MalformedNoteException | IllegalArgumentException e) {
      return new Answer.Malformed(String.valueOf(e.getMessage()));
    }
    String origin = asked.checkpoint().origin();
    Optional<SignedNote.Verifier> log =
        logs.stream().filter(l -> l.name().equals(origin)).findFirst();
    if (log.isEmpty()) {
      return new Answer.UnknownLog(origin);
    }
    if (log.get().verify(asked.note()).isEmpty()) {
      return new Answer.NotSigned();
    }
    return database.write((c, ledger) -> see(c, asked));
  }

  private static Asked read(String request) throws MalformedNoteException {
    int gap = request.indexOf("\n\n");
    if (request.length() > LENGTH_MAX || gap < 0) {
      throw new MalformedNoteException("a request is: old SIZE, hashes, an empty line, a note");
    }
    String[] head = request.substring(0, gap).split("\n", -1);
    if (!head[0].matches("old (0|[1-9][0-9]{0,17})") || head.length - 1 > PROOF_MAX) {
      throw new MalformedNoteException("a request begins with old SIZE and at most 63 hashes");
    }
    List<byte[]> proof = new ArrayList<>();
    for (String line : Arrays.asList(head).subList(1, head.length)) {
      byte[] hash = Base64.getDecoder().decode(line);
      if (hash.length != Merkle.HASH_BYTES) {
        throw new MalformedNoteException("a proof's hashes have 32 bytes");
      }
      proof.add(hash);
    }
    SignedNote note = SignedNote.parse(request.substring(gap + 2));
    Checkpoint checkpoint = Checkpoint.parse(note.text());
    long old = Long.parseLong(head[0].substring("old ".length()));
    if (old > checkpoint.size()) {
      throw new MalformedNoteException("old is larger than the checkpoint's size");
    }
    return new Asked(old, proof, note, checkpoint);
  }

  private Answer see(Connection c, Asked asked) throws SQLException {
    Checkpoint now = asked.checkpoint();
    Checkpoint before = seen(c, now.origin()).orElse(new Checkpoint(now.origin(), 0, Merkle.EMPTY));
    boolean another = now.size() == before.size() && !Arrays.equals(now.root(), before.root());
    if (asked.old() != before.size() || another) {
      return new Answer.Conflict(before.size());
    }
    if (!Merkle.isConsistent(before.size(), before.root(), now.size(), now.root(), asked.proof())) {
      return new Answer.Unproved();
    }
    try (PreparedStatement upsert =
        c.prepareStatement(
            "INSERT INTO log_witnessed (origin, size, root) VALUES (?, ?, ?)"
                + " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root")) {
      upsert.setString(1, now.origin());
      upsert.setLong(2, now.size());
      upsert.setBytes(3, now.root());
      upsert.executeUpdate();
    }
    return new Answer.Cosigned(signer.cosign(asked.note().text(), clock.instant()));
  }

  private static Optional<Checkpoint> seen(Connection c, String origin) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT size, root FROM log_witnessed WHERE origin = ?")) {
      select.setString(1, origin);
      try (ResultSet row = select.executeQuery()) {
        return row.next()
            ? Optional.of(new Checkpoint(origin, row.getLong(1), row.getBytes(2)))
            : Optional.empty();
      }
    }
  }
}
