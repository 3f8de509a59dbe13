package dev.gridtie.ledger;

import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
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
    try {
      if (where instanceof Location.OnFile file && !Files.exists(file.file())) {
        return new Report.Damaged("there is no ledger at " + file);
      }
      Optional<Head> head = Head.read(where.head());
      if (head.isEmpty()) {
        return new Report.Damaged(
            "the head is missing or was changed: " + where.head().getFileName());
      }
      Report.Sound sound = replay(where, head, progress, watcher);
      Optional<String> seal =
          where instanceof Location.OnFile file ? checkSeal(file.file()) : Optional.empty();
      return seal.isPresent() ? new Report.Damaged(seal.get()) : sound;
    } catch (Found e) {
      return new Report.Damaged(String.valueOf(e.getMessage()));
    } catch (IOException e) {
      return new Report.Damaged("the ledger cannot be read: " + e.getMessage());
    }
  }

  /** The replay alone, without head and seal: the problem, or nothing. */
  static Optional<String> checkLogic(Location where) {
    try {
      replay(where, Optional.empty(), ignored -> {}, NOBODY);
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
      Location where, Optional<Head> head, LongConsumer progress, Watcher watcher) throws Found {
    long seq = 0;
    try (Connection connection = snapshot(where); // one for everything below
        Statement statement = connection.createStatement()) {
      statement.setFetchSize(FETCH_ROWS);
      Memory memory = new Memory();
      Chain chain = Chain.START;
      try (ResultSet row =
          statement.executeQuery("SELECT seq, id, body, hash FROM entry ORDER BY seq")) {
        while (row.next()) {
          seq++;
          chain = replayEntry(row, chain, memory);
          watcher.entry(seq, row.getString(3));
          if (head.isPresent()
              && head.get().seq() == seq
              && !head.get().hash().equals(chain.hex())) {
            throw new Found(
                "entry " + seq + ": its hash is not the one the head has; the log was rewritten");
          }
          if (seq % 1000 == 0) {
            progress.accept(seq);
          }
        }
      }
      if (head.isPresent() && head.get().seq() > seq) {
        throw new Found(
            "entry " + (seq + 1) + ": missing; the log had " + head.get().seq() + " entries");
      }
      Optional<String> problem = watcher.end(connection);
      if (problem.isPresent()) {
        throw new Found(problem.get());
      }
      requireBalanced(memory);
      requireTables(statement, memory);
      requireCommits(statement, head);
      if (where instanceof Location.OnFile) {
        requireIntegrity(statement);
      }
      return new Report.Sound(seq, chain.hex(), memory.accounts.size());
    } catch (SQLException | IOException e) {
      throw new Found(
          "entry " + (seq + 1) + " or what belongs to it cannot be read: " + e.getMessage());
    }
  }

  private static Chain replayEntry(ResultSet row, Chain before, Memory memory)
      throws SQLException, Found {
    long seq = before.seq() + 1;
    if (row.getLong(1) != seq) {
      throw new Found(
          "entry " + seq + ": missing; entry " + row.getLong(1) + " stands in its place");
    }
    String body = row.getString(3);
    Chain chain = before.then(body);
    if (!Arrays.equals(chain.hash(), row.getBytes(4))) {
      throw new Found(
          "entry " + seq + ": its hash does not follow from its text and the entry before");
    }
    try {
      Entry entry = Entry.parse(body);
      if (!entry.id().equals(row.getString(2))) {
        throw new Found("entry " + seq + ": filed under another id than its own");
      }
      if (!memory.ids.add(entry.id())) {
        throw new Found("entry " + seq + ": its id was used before");
      }
      Book.apply(entry, memory);
    } catch (IllegalArgumentException e) {
      throw new Found("entry " + seq + ": " + e.getMessage());
    } catch (RefusedException e) {
      throw new Found("entry " + seq + ": breaks a rule: " + e.getMessage());
    }
    return chain;
  }

  private static void requireBalanced(Memory memory) throws Found {
    Map<String, BigInteger> difference = new TreeMap<>();
    for (Account a : memory.accounts.values()) {
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

  private static void requireTables(Statement statement, Memory memory) throws SQLException, Found {
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
        if (!stored.equals(memory.accounts.get(stored.id()))) {
          throw new Found("account " + stored.id() + ": its sums are not those of the log");
        }
        accounts++;
      }
    }
    if (accounts != memory.accounts.size()) {
      throw new Found(
          "the log opens " + memory.accounts.size() + " accounts, and the table has " + accounts);
    }
    int holds = 0;
    try (ResultSet row = statement.executeQuery("SELECT id, ended FROM hold")) {
      while (row.next()) {
        Book.HoldState replayed = memory.holds.get(row.getString(1));
        if (replayed == null || replayed.ended() != (row.getInt(2) == 1)) {
          throw new Found("hold " + row.getString(1) + ": its state is not that of the log");
        }
        holds++;
      }
    }
    if (holds != memory.holds.size()) {
      throw new Found("the log has " + memory.holds.size() + " holds, and the table has " + holds);
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

  /** The state of the book in plain maps. */
  private static final class Memory implements Book.State {
    final Map<AccountId, Account> accounts = new HashMap<>();
    final Map<String, Book.HoldState> holds = new HashMap<>();
    final java.util.Set<String> ids = new java.util.HashSet<>();

    @Override
    public Optional<Account> account(AccountId id) {
      return Optional.ofNullable(accounts.get(id));
    }

    @Override
    public void put(Account account) {
      accounts.put(account.id(), account);
    }

    @Override
    public Optional<Book.HoldState> hold(String id) {
      return Optional.ofNullable(holds.get(id));
    }

    @Override
    public void put(Book.HoldState hold) {
      holds.put(hold.hold().id(), hold);
    }
  }
}
