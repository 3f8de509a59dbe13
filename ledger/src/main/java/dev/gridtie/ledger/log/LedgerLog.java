package dev.gridtie.ledger.log;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.StoreException;
import java.io.ByteArrayOutputStream;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The ledger's entries as leaves of a Merkle tree: tiles, checkpoints and proofs, computed from the
 * entries and kept beside them. A leaf's data is an entry's canonical text. Safe for use by many
 * threads.
 */
public final class LedgerLog {
  /** How many checkpoints are kept, the last ones. */
  private static final int CHECKPOINTS_KEPT = 1000;

  /** How many full tiles of leaves are hashed in one transaction, so that others come through. */
  private static final int TILES_AT_ONCE = 64;

  private final Database database;
  private final SignedNote.Signer signer;

  /**
   * @param signer whose name is the log's
   */
  public LedgerLog(Database database, SignedNote.Signer signer) {
    this.database = database;
    this.signer = signer;
  }

  /** The log's name, and the name of its key. */
  public String origin() {
    return signer.name();
  }

  /** The key that its checkpoints are checked by, as others' programs take it. */
  public String verifierKey() {
    return signer.verifier(SignedNote.Kind.SIGNATURE).written();
  }

  /** A signed checkpoint. */
  public record Signed(Checkpoint checkpoint, SignedNote note) {}

  /**
   * Signs how far the log has come, if it has; and only ever what begins with all that was signed
   * before. Where several gateways write one log, those that have its key take turns.
   *
   * @throws StoreException where the entries are not those that were signed: nothing is signed then
   */
  public Signed advance(Instant now) {
    while (true) {
      Step step = database.read(c -> step(c));
      if (step.from().isPresent() && step.from().get().checkpoint().size() == step.until()) {
        return step.from().get(); // nothing to be written, and nothing to wait for
      }
      Optional<Signed> signed = database.write((c, log) -> sign(c, step, now));
      if (signed.isPresent() && step.isLast()) {
        return signed.get();
      }
    }
  }

  /**
   * What is to be signed next. Entries do not change, so it is computed beside what is written.
   *
   * @param from the last checkpoint
   * @param until how many entries the next one is over
   * @param isLast whether these are all
   */
  private record Step(
      Optional<Signed> from, long until, boolean isLast, byte[] root, Map<Tile, byte[]> tiles) {}

  private Step step(Connection c) throws SQLException {
    Optional<Signed> before = latest(c);
    before.ifPresent(this::requireOurs);
    long done = before.map(s -> s.checkpoint().size()).orElse(0L);
    long all = new LedgerReader(c).size();
    long size = Math.min(all, (done / Tile.WIDTH + TILES_AT_ONCE) * (long) Tile.WIDTH);
    if (size < done) {
      throw new StoreException(
          "entry " + (size + 1) + ": missing; a checkpoint over " + done + " entries was signed");
    }
    if (before.isPresent() && size == done) {
      return new Step(before, done, true, before.get().checkpoint().root(), Map.of());
    }
    Map<Tile, byte[]> tiles = fullTiles(c, done, size);
    Merkle.Subtrees tree = tree(c, tiles);
    if (before.isPresent()
        && !Arrays.equals(Merkle.root(done, tree), before.get().checkpoint().root())) {
      throw new StoreException(
          "the first " + done + " entries are not those over which a checkpoint was signed");
    }
    return new Step(before, size, size == all, Merkle.root(size, tree), tiles);
  }

  private void requireOurs(Signed last) {
    if (!last.checkpoint().origin().equals(origin())) {
      throw new StoreException(
          "the log is signed as "
              + last.checkpoint().origin()
              + ", and the key of this home is "
              + origin()
              + ": gateways that share a ledger share keys/log.key");
    }
  }

  /** Signs a step, unless another gateway has been faster. */
  private Optional<Signed> sign(Connection c, Step step, Instant now) throws SQLException {
    long done = step.from().map(s -> s.checkpoint().size()).orElse(-1L);
    if (latest(c).map(s -> s.checkpoint().size()).orElse(-1L) != done) {
      return Optional.empty();
    }
    for (var tile : step.tiles().entrySet()) {
      try (PreparedStatement insert =
          c.prepareStatement(
              "INSERT INTO log_tile (level, n, hashes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")) {
        insert.setInt(1, tile.getKey().level());
        insert.setLong(2, tile.getKey().index());
        insert.setBytes(3, tile.getValue());
        insert.executeUpdate();
      }
    }
    Checkpoint checkpoint = new Checkpoint(origin(), step.until(), step.root());
    String text = checkpoint.text();
    SignedNote note = new SignedNote(text, List.of(signer.sign(text)));
    save(c, checkpoint, note, now);
    return Optional.of(new Signed(checkpoint, note));
  }

  private static Map<Tile, byte[]> fullTiles(Connection c, long from, long until)
      throws SQLException {
    Map<Tile, byte[]> tiles = new LinkedHashMap<>();
    for (int level = 0; until >> Tile.LEVELS * (level + 1) > 0; level++) {
      int up = Tile.LEVELS * (level + 1);
      for (long n = from >> up; n < until >> up; n++) {
        Tile tile = new Tile(level, n, Tile.WIDTH);
        if (stored(c, level, n).isEmpty()) {
          tiles.put(tile, compute(c, tile, tiles));
        }
      }
    }
    return tiles;
  }

  private static void save(Connection c, Checkpoint checkpoint, SignedNote note, Instant now)
      throws SQLException {
    try (PreparedStatement insert =
        c.prepareStatement(
            "INSERT INTO log_checkpoint (size, root, note, time) VALUES (?, ?, ?, ?)"
                + " ON CONFLICT (size) DO UPDATE SET root = excluded.root, note = excluded.note,"
                + " time = excluded.time")) {
      insert.setLong(1, checkpoint.size());
      insert.setBytes(2, checkpoint.root());
      insert.setString(3, note.written());
      insert.setLong(4, now.getEpochSecond());
      insert.executeUpdate();
    }
    try (PreparedStatement delete =
        c.prepareStatement(
            "DELETE FROM log_checkpoint WHERE size NOT IN"
                + " (SELECT size FROM log_checkpoint ORDER BY size DESC LIMIT ?)")) {
      delete.setInt(1, CHECKPOINTS_KEPT);
      delete.executeUpdate();
    }
  }

  /** Keeps a witness's cosignature with the checkpoint that it is of, while that is kept. */
  public void keep(long size, SignedNote.Line cosignature) {
    boolean unused =
        database.write(
            (c, log) -> {
              Optional<Signed> signed = at(c, size);
              if (signed.isEmpty()) {
                return false;
              }
              try (PreparedStatement update =
                  c.prepareStatement("UPDATE log_checkpoint SET note = ? WHERE size = ?")) {
                update.setString(1, signed.get().note().with(cosignature).written());
                update.setLong(2, size);
                update.executeUpdate();
              }
              return true;
            });
  }

  private static Optional<Signed> at(Connection c, long size) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT note FROM log_checkpoint WHERE size = ?")) {
      select.setLong(1, size);
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(read(row.getString(1))) : Optional.empty();
      }
    }
  }

  /** The last checkpoint; empty before the first. */
  public Optional<Signed> latest() {
    return database.read(LedgerLog::latest);
  }

  /** {@link #latest()} of a ledger that is read without being opened. */
  public static Optional<Signed> latest(Connection c) throws SQLException {
    try (PreparedStatement select =
            c.prepareStatement("SELECT note FROM log_checkpoint ORDER BY size DESC LIMIT 1");
        ResultSet row = select.executeQuery()) {
      return row.next() ? Optional.of(read(row.getString(1))) : Optional.empty();
    }
  }

  private static Signed read(String written) {
    try {
      SignedNote note = SignedNote.parse(written);
      return new Signed(Checkpoint.parse(note.text()), note);
    } catch (SignedNote.MalformedNoteException e) {
      throw new StoreException("a stored checkpoint cannot be read", e);
    }
  }

  /** A published tile; empty where the last checkpoint does not cover it. */
  public Optional<byte[]> tile(Tile tile) {
    return database.read(
        c -> {
          Optional<Signed> last = latest(c);
          if (last.isEmpty() || !tile.isIn(last.get().checkpoint().size())) {
            return Optional.empty();
          }
          return Optional.of(
              tile.level() == Tile.ENTRIES ? entries(c, tile) : hashes(c, tile, Map.of()));
        });
  }

  /** That an entry is in the log of a checkpoint. */
  public record Inclusion(long index, String entry, List<byte[]> path, Signed in) {}

  /** Proves that an entry is in the log; empty where no checkpoint covers it yet. */
  public Optional<Inclusion> prove(String entryId) {
    return database.read(c -> prove(c, entryId));
  }

  /** {@link #prove(String)} of a ledger that is read without being opened. */
  public static Optional<Inclusion> prove(Connection c, String entryId) throws SQLException {
    LedgerReader log = new LedgerReader(c);
    Optional<Long> position = log.position(entryId);
    Optional<Signed> last = latest(c);
    if (position.isEmpty() || last.isEmpty() || position.get() > last.get().checkpoint().size()) {
      return Optional.empty();
    }
    long index = position.get() - 1;
    return Optional.of(
        new Inclusion(
            index,
            log.entry(entryId).orElseThrow().canonical(),
            Merkle.inclusion(index, last.get().checkpoint().size(), tree(c, Map.of())),
            last.get()));
  }

  /** Proves that the last checkpoint's log begins with that of a smaller one. */
  public Optional<List<byte[]>> consistency(long before) {
    return database.read(
        c -> {
          Optional<Signed> last = latest(c);
          return last.isEmpty() || before < 1 || before > last.get().checkpoint().size()
              ? Optional.empty()
              : Optional.of(
                  Merkle.consistency(before, last.get().checkpoint().size(), tree(c, Map.of())));
        });
  }

  /** Proves that the log of one size begins with that of a smaller one. */
  public List<byte[]> consistency(long before, long size) {
    return database.read(c -> Merkle.consistency(before, size, tree(c, Map.of())));
  }

  /** The tree over the entries; asked only for what is complete. */
  private static Merkle.Subtrees tree(Connection c, Map<Tile, byte[]> computed) {
    return (level, index) -> {
      try {
        int tileLevel = level / Tile.LEVELS;
        int above = level % Tile.LEVELS; // levels within the tile
        long first = index << above;
        int at = (int) (first % Tile.WIDTH);
        byte[] hashes =
            hashes(c, new Tile(tileLevel, first / Tile.WIDTH, at + (1 << above)), computed);
        return Tile.subtree(hashes, above, at >> above);
      } catch (SQLException e) {
        throw new StoreException("reading the log's tree", e);
      }
    };
  }

  /**
   * @param computed full tiles that are not stored yet
   */
  private static byte[] hashes(Connection c, Tile tile, Map<Tile, byte[]> computed)
      throws SQLException {
    Optional<byte[]> full =
        Optional.ofNullable(computed.get(new Tile(tile.level(), tile.index(), Tile.WIDTH)));
    if (full.isEmpty()) {
      full = stored(c, tile.level(), tile.index());
    }
    return full.isPresent()
        ? Arrays.copyOf(full.get(), tile.width() * Merkle.HASH_BYTES)
        : compute(c, tile, computed);
  }

  private static Optional<byte[]> stored(Connection c, int level, long n) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT hashes FROM log_tile WHERE level = ? AND n = ?")) {
      select.setInt(1, level);
      select.setLong(2, n);
      try (ResultSet row = select.executeQuery()) {
        return row.next() ? Optional.of(row.getBytes(1)) : Optional.empty();
      }
    }
  }

  private static byte[] compute(Connection c, Tile tile, Map<Tile, byte[]> computed)
      throws SQLException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    if (tile.level() == 0) {
      forEach(c, tile, body -> out.writeBytes(Merkle.leaf(body.getBytes(UTF_8))));
    } else {
      for (int i = 0; i < tile.width(); i++) {
        long below = tile.index() * Tile.WIDTH + i;
        byte[] hashes = hashes(c, new Tile(tile.level() - 1, below, Tile.WIDTH), computed);
        out.writeBytes(Tile.subtree(hashes, Tile.LEVELS, 0));
      }
    }
    if (out.size() != tile.width() * Merkle.HASH_BYTES) {
      throw new StoreException("entries of " + tile.path() + " are missing");
    }
    return out.toByteArray();
  }

  private static byte[] entries(Connection c, Tile tile) throws SQLException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    forEach(c, tile, body -> out.writeBytes(Tile.bundled(body)));
    return out.toByteArray();
  }

  private interface Each {
    void entry(String body);
  }

  private static void forEach(Connection c, Tile tile, Each each) throws SQLException {
    try (PreparedStatement select =
        c.prepareStatement("SELECT body FROM entry WHERE seq > ? ORDER BY seq LIMIT ?")) {
      select.setLong(1, tile.index() * Tile.WIDTH);
      select.setInt(2, tile.width());
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          each.entry(row.getString(1));
        }
      }
    }
  }
}
