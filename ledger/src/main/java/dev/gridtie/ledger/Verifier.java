package dev.gridtie.ledger;

import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import org.sqlite.SQLiteConfig;
import org.sqlite.SQLiteOpenMode;

/**
 * Proves a ledger from its file, trusting nothing in it: replays every entry by the rules, hashes
 * the chain again, sums both sides, compares with what the tables say, and looks whether any byte
 * of the file changed since it was sealed. Works beside a running gateway.
 */
public final class Verifier {
  /**
   * How often a file is looked at again that a running gateway is just carrying its log over into.
   */
  private static final int SEAL_ATTEMPTS = 40;

  private static final long SEAL_PAUSE_MS = 50;

  /** How many rows PostgreSQL sends at a time. */
  private static final int FETCH_ROWS = 2000;

  private Verifier() {}

  /** Looks at a ledger's entries along with its verification. */
  public interface Watcher {
    /** An entry that follows from those before: its number, from 1, and its canonical text. */
    void entry(long seq, String canonical);

    /**
     * All entries were read.
     *
     * @return what does not hold; empty where all does
     */
    Optional<String> end(Connection connection) throws SQLException;

    /** What it wants to go on from another time. */
    default String state() {
      return "";
    }

    /**
     * Goes on from where an earlier verification ended.
     *
     * @param state what {@link #state} gave then
     */
    default void resume(long seq, String state) {}
  }

  private static final Watcher NOBODY =
      new Watcher() {
        @Override
        public void entry(long seq, String canonical) {}

        @Override
        public Optional<String> end(Connection connection) {
          return Optional.empty();
        }
      };

  /** What a verification found. */
  public sealed interface Report {
    /**
     * Everything holds.
     *
     * @param entries how many
     * @param head the last entry's hash, hexadecimal: it covers all of them
     * @param accounts how many
     */
    record Sound(long entries, String head, int accounts) implements Report {}

    /** The first thing that does not hold, and which entry, account or page it is. */
    record Damaged(String problem) implements Report {}
  }

  /** Ends a verification at the first problem; never leaves this class. */
  private static final class Found extends Exception {
    private static final long serialVersionUID = 1L;

    Found(String problem) {
      super(problem);
    }
  }

  /**
   * Verifies a ledger.
   *
   * @param progress told the number of entries replayed, now and then
   */
  public static Report verify(Location where, LongConsumer progress) {
    return verify(where, progress, NOBODY);
  }

  /** As above, with somebody who looks on. */
  public static Report verify(Location where, LongConsumer progress, Watcher watcher) {
    return verify(where, progress, watcher, Optional.empty(), ignored -> {});
  }

  /**
   * Verifies what has come since an earlier verification, whose record its reader has kept.
   *
   * @param record of the earlier verification; empty for a first one
   * @param keep takes the record of this one, where all is sound
   * @throws IllegalArgumentException where the record is none, or was changed
   */
  public static Report verify(
      Location where,
      LongConsumer progress,
      Watcher watcher,
      Optional<String> record,
      Consumer<String> keep) {
    Replayed replayed = new Replayed();
    if (record.isPresent()) {
      Replayed.Kept kept = Replayed.read(record.get());
      replayed = kept.replayed();
      watcher.resume(replayed.chain().seq(), kept.watcher());
    }
    try {
      if (where instanceof Location.OnFile file && !Files.exists(file.file())) {
        return new Report.Damaged("there is no ledger at " + file);
      }
      Optional<Head> head = Head.read(where.head());
      if (head.isEmpty()) {
        return new Report.Damaged(
            "the head is missing or was changed: " + where.head().getFileName());
      }
      Report.Sound sound = replay(where, head, progress, watcher, replayed);
      Optional<String> seal =
          where instanceof Location.OnFile file ? checkSeal(file.file()) : Optional.empty();
      if (seal.isPresent()) {
        return new Report.Damaged(seal.get());
      }
      keep.accept(replayed.written(watcher.state()));
      return sound;
    } catch (Found e) {
      return new Report.Damaged(String.valueOf(e.getMessage()));
    } catch (IOException e) {
      return new Report.Damaged("the ledger cannot be read: " + e.getMessage());
    }
  }

  /** The replay alone, without head and seal: the problem, or nothing. */
  static Optional<String> checkLogic(Location where) {
    try {
      var unused = replay(where, Optional.empty(), ignored -> {}, NOBODY, new Replayed());
      return Optional.empty();
    } catch (Found e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  private static Optional<String> checkSeal(Path file) throws IOException {
    Optional<String> problem = Seal.check(file);
    for (int i = 0; problem.isPresent() && i < SEAL_ATTEMPTS && hasLog(file); i++) {
      try {
        Thread.sleep(SEAL_PAUSE_MS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return problem;
      }
      problem = Seal.check(file);
    }
    return problem;
  }

  private static boolean hasLog(Path file) {
    return Files.exists(file.resolveSibling(file.getFileName() + "-wal"));
  }

  /**
   * Reads a ledger beside running gateways, in one snapshot.
   *
   * @throws StoreException where it is missing or cannot be read
   */
  public static <T> T read(Location where, Database.Query<T> query) {
    if (where instanceof Location.OnFile file && !Files.exists(file.file())) {
      throw new StoreException("there is no ledger at " + where);
    }
    try (Connection connection = snapshot(where)) {
      return query.run(connection);
    } catch (SQLException | IOException e) {
      throw new StoreException("reading " + where, e);
    }
  }

  private static Connection snapshot(Location where) throws SQLException, IOException {
    return switch (where) {
      case Location.OnPostgres postgres -> PostgresEngine.snapshot(postgres);
      case Location.OnFile file -> {
        Connection connection = connect(file.file());
        try (Statement statement = connection.createStatement()) {
          statement.execute("BEGIN");
        }
        yield connection;
      }
    };
  }

  static Connection connect(Path file) throws SQLException, IOException {
    SQLiteConfig config = new SQLiteConfig();
    config.setOpenMode(SQLiteOpenMode.READONLY);
    config.setReadOnly(true);
    config.setBusyTimeout(10_000);
    Path wal = file.resolveSibling(file.getFileName() + "-wal");
    boolean settled = !Files.exists(wal) || Files.size(wal) == 0 && !Files.exists(shm(file));
    String url =
        "jdbc:sqlite:file:"
            + file.toAbsolutePath().toString().replace("%", "%25").replace("?", "%3f");
    return config.createConnection(settled ? url + "?immutable=1" : url + "?mode=ro");
  }

  private static Path shm(Path file) {
    return file.resolveSibling(file.getFileName() + "-shm");
  }

  private static Report.Sound replay(
      Location where,
      Optional<Head> head,
      LongConsumer progress,
      Watcher watcher,
      Replayed replayed)
      throws Found {
    long from = replayed.chain().seq();
    try (Connection connection = snapshot(where); // one for everything below
        Statement statement = connection.createStatement();
        PreparedStatement select =
            connection.prepareStatement(
                "SELECT seq, id, body, hash FROM entry WHERE seq > ? ORDER BY seq")) {
      requireSameStart(connection, replayed.chain());
      Set<String> ids = new HashSet<>();
      select.setFetchSize(FETCH_ROWS);
      select.setLong(1, from);
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          replayEntry(row, replayed, ids);
          Chain chain = replayed.chain();
          watcher.entry(chain.seq(), row.getString(3));
          if (head.isPresent()
              && head.get().seq() == chain.seq()
              && !head.get().hash().equals(chain.hex())) {
            throw new Found(
                "entry "
                    + chain.seq()
                    + ": its hash is not the one the head has; the log was rewritten");
          }
          if (chain.seq() % 1000 == 0) {
            progress.accept(chain.seq());
          }
        }
      }
      Chain end = replayed.chain();
      if (head.isPresent() && head.get().seq() > end.seq()) {
        throw new Found(
            "entry " + (end.seq() + 1) + ": missing; the log had " + head.get().seq() + " entries");
      }
      requireNew(connection, ids, from);
      Optional<String> problem = watcher.end(connection);
      if (problem.isPresent()) {
        throw new Found(problem.get());
      }
      requireBalanced(replayed);
      requireTables(statement, replayed);
      requireCommits(statement, head);
      if (where instanceof Location.OnFile) {
        requireIntegrity(statement);
      }
      return new Report.Sound(end.seq(), end.hex(), replayed.accounts().size());
    } catch (SQLException | IOException e) {
      throw new Found(
          "entry "
              + (replayed.chain().seq() + 1)
              + " or what belongs to it cannot be read: "
              + e.getMessage());
    }
  }

  /** The entry up to which was verified before is the one that was there. */
  private static void requireSameStart(Connection connection, Chain verified)
      throws SQLException, Found {
    Optional<Chain> there = new Tables(connection, false).chainAt(verified.seq());
    if (there.isEmpty()) {
      throw new Found(
          "entry " + verified.seq() + ": missing; it was there when the log was verified before");
    }
    if (!there.get().equals(verified)) {
      throw new Found(
          "entry "
              + verified.seq()
              + ": not the one that was there when the log was verified before; the log was"
              + " rewritten");
    }
  }

  /** None of these ids was used before. */
  private static void requireNew(Connection connection, Set<String> ids, long until)
      throws SQLException, Found {
    if (until == 0) {
      return;
    }
    Tables tables = new Tables(connection, false);
    for (String id : ids) {
      Optional<Long> first = tables.position(id);
      if (first.isEmpty() || first.get() <= until) {
        throw new Found("entry " + id + ": its id was used before");
      }
    }
  }

  private static void replayEntry(ResultSet row, Replayed replayed, Set<String> ids)
      throws SQLException, Found {
    long seq = replayed.chain().seq() + 1;
    if (row.getLong(1) != seq) {
      throw new Found(
          "entry " + seq + ": missing; entry " + row.getLong(1) + " stands in its place");
    }
    String body = row.getString(3);
    Chain chain = replayed.chain().then(body);
    if (!Arrays.equals(chain.hash(), row.getBytes(4))) {
      throw new Found(
          "entry " + seq + ": its hash does not follow from its text and the entry before");
    }
    try {
      Entry entry = Entry.parse(body);
      if (!entry.id().equals(row.getString(2))) {
        throw new Found("entry " + seq + ": filed under another id than its own");
      }
      if (!ids.add(entry.id())) {
        throw new Found("entry " + seq + ": its id was used before");
      }
      Book.apply(entry, replayed);
    } catch (IllegalArgumentException e) {
      throw new Found("entry " + seq + ": " + e.getMessage());
    } catch (RefusedException e) {
      throw new Found("entry " + seq + ": breaks a rule: " + e.getMessage());
    }
    replayed.advance(chain);
  }

  private static void requireBalanced(Replayed replayed) throws Found {
    Map<String, BigInteger> difference = new TreeMap<>();
    for (Account a : replayed.accounts().values()) {
      difference.merge(
          a.id().asset(), a.debitsPosted().subtract(a.creditsPosted()), BigInteger::add);
      difference.merge(
          a.id().asset() + " (pending)",
          a.debitsPending().subtract(a.creditsPending()),
          BigInteger::add);
    }
    for (var asset : difference.entrySet()) {
      if (asset.getValue().signum() != 0) {
        throw new Found(
            "asset " + asset.getKey() + ": debits and credits differ by " + asset.getValue());
      }
    }
  }

  private static void requireTables(Statement statement, Replayed replayed)
      throws SQLException, Found {
    int accounts = 0;
    try (ResultSet row =
        statement.executeQuery(
            "SELECT id, credit_only, debit_only, overdraft, debits_pending, debits_posted, credits_pending,"
                + " credits_posted FROM account")) {
      while (row.next()) {
        Account stored;
        try {
          stored = Tables.readAccount(row);
        } catch (IllegalArgumentException e) {
          throw new Found("account " + row.getString(1) + ": cannot be read");
        }
        if (!stored.equals(replayed.accounts().get(stored.id()))) {
          throw new Found("account " + stored.id() + ": its sums are not those of the log");
        }
        accounts++;
      }
    }
    if (accounts != replayed.accounts().size()) {
      throw new Found(
          "the log opens "
              + replayed.accounts().size()
              + " accounts, and the table has "
              + accounts);
    }
    long holds = 0;
    long open = 0;
    try (ResultSet row = statement.executeQuery("SELECT id, ended FROM hold")) {
      while (row.next()) {
        Book.HoldState known = replayed.holds().get(row.getString(1));
        boolean ended = row.getInt(2) == 1;
        if (known == null ? !ended : known.ended() != ended) {
          throw new Found("hold " + row.getString(1) + ": its state is not that of the log");
        }
        open += ended ? 0 : 1;
        holds++;
      }
    }
    long openInLog = replayed.holds().values().stream().filter(h -> !h.ended()).count();
    if (holds != replayed.holdCount() || open != openInLog) {
      throw new Found(
          "the log has "
              + replayed.holdCount()
              + " holds, "
              + openInLog
              + " of them open, and the table has "
              + holds
              + " and "
              + open);
    }
  }

  private static void requireCommits(Statement statement, Optional<Head> head)
      throws SQLException, Found {
    try (ResultSet row = statement.executeQuery("SELECT value FROM meta WHERE key = 'commits'")) {
      long commits = row.next() ? row.getLong(1) : -1;
      if (head.isPresent() && commits < head.get().commit()) {
        throw new Found(
            "the database is at transaction "
                + commits
                + " and had come to "
                + head.get().commit()
                + ": the end was lost");
      }
    }
  }

  private static void requireIntegrity(Statement statement) throws SQLException, Found {
    try (ResultSet row = statement.executeQuery("PRAGMA integrity_check(1)")) {
      String verdict = row.next() ? row.getString(1) : "no verdict";
      if (!verdict.equals("ok")) {
        throw new Found("the file's structure: " + verdict);
      }
    }
  }
}
