package dev.gridtie.ledger.log;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.ledger.Verifier;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Looks, along with a ledger's verification, whether its entries are those over which checkpoints
 * were signed: the ones that it keeps itself, and one that somebody brings who trusts nobody.
 */
public final class CheckpointWatcher implements Verifier.Watcher {
  private Merkle.Frontier tree = new Merkle.Frontier();

  /** The root after so many entries, where a checkpoint says one. */
  private final TreeMap<Long, byte[]> roots = new TreeMap<>();

  private final List<Checkpoint> trusted;
  private Optional<String> problem = Optional.empty();

  /**
   * @param kept that the ledger keeps: {@link #kept}
   * @param trusted that were brought
   */
  public CheckpointWatcher(List<Checkpoint> kept, List<Checkpoint> trusted) {
    this.trusted = trusted;
    kept.forEach(c -> roots.put(c.size(), c.root()));
    trusted.forEach(c -> roots.put(c.size(), c.root()));
  }

  /** The checkpoints in a ledger; none where it has never signed one. */
  public static List<Checkpoint> kept(Connection c) throws SQLException {
    List<Checkpoint> all = new java.util.ArrayList<>();
    try (PreparedStatement select =
            c.prepareStatement("SELECT note FROM log_checkpoint ORDER BY size");
        ResultSet row = select.executeQuery()) {
      while (row.next()) {
        try {
          all.add(Checkpoint.parse(SignedNote.parse(row.getString(1)).text()));
        } catch (SignedNote.MalformedNoteException e) {
          throw new SQLException("a stored checkpoint cannot be read", e);
        }
      }
    }
    return all;
  }

  @Override
  public void entry(long seq, String canonical) {
    tree.add(Merkle.leaf(canonical.getBytes(UTF_8)));
    byte[] wanted = roots.get(seq);
    if (problem.isEmpty() && wanted != null && !Arrays.equals(wanted, tree.root())) {
      Long before = roots.lowerKey(seq);
      problem =
          Optional.of(
              "entries "
                  + (before == null ? 1 : before + 1)
                  + " to "
                  + seq
                  + " are not those over which a checkpoint was signed: the log was rewritten"
                  + " or forked there");
    }
  }

  @Override
  public Optional<String> end(Connection connection) {
    if (problem.isPresent()) {
      return problem;
    }
    Long last = roots.isEmpty() ? null : roots.lastKey();
    if (last != null && last > tree.size()) {
      return Optional.of(
          "entry "
              + (tree.size() + 1)
              + ": missing; a checkpoint was signed over "
              + last
              + " entries: the log was rolled back");
    }
    return trusted.stream()
        .filter(c -> c.size() == 0 && !Arrays.equals(c.root(), Merkle.EMPTY))
        .findFirst()
        .map(c -> "a checkpoint over nothing has another root than nothing");
  }

  @Override
  public String state() {
    StringBuilder out = new StringBuilder();
    for (byte[] subtree : tree.subtrees()) {
      out.append(Base64.getEncoder().encodeToString(subtree)).append(' ');
    }
    return out.toString().strip();
  }

  /** A checkpoint over no more than was verified before must be one that this has come by. */
  @Override
  public void resume(long seq, String state) {
    List<byte[]> subtrees =
        state.isEmpty()
            ? List.of()
            : Arrays.stream(state.split(" ", -1)).map(Base64.getDecoder()::decode).toList();
    tree = new Merkle.Frontier(seq, subtrees);
    byte[] wanted = roots.get(seq);
    if (wanted != null && !Arrays.equals(wanted, tree.root())) {
      problem =
          Optional.of(
              "entries 1 to "
                  + seq
                  + " were verified before, and are not those over which a checkpoint was signed");
    }
    List<Long> passed = trusted.stream().map(Checkpoint::size).filter(size -> size < seq).toList();
    if (!passed.isEmpty()) {
      problem =
          Optional.of(
              "the checkpoint over "
                  + passed.getFirst()
                  + " entries is older than what was verified before; verify without that record");
    }
  }

  /** The root over all entries, in base64. */
  public String root() {
    return Base64.getEncoder().encodeToString(tree.root());
  }
}
