package dev.gridtie.bench;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Durable transfers a second: the ledger's, beside a plain insert with the same durability, in one
 * run. Every transfer is to one hot account, as charges are.
 */
public final class LedgerBench {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final int PAYERS = 1000;

  /** Connections to PostgreSQL that the plain ways use. */
  private static final int CONNECTIONS_MAX = 64;

  private final Settings settings;
  private final Path directory;
  private final AtomicLong number = new AtomicLong();

  /**
   * What is measured.
   *
   * @param seconds of each measurement
   * @param rounds each is measured in
   * @param writers at once, each case
   * @param postgres an empty database; empty to leave it out
   */
  public record Settings(
      int seconds, int rounds, List<Integer> writers, Optional<Location.OnPostgres> postgres) {}

  public LedgerBench(Settings settings, Path directory) {
    this.settings = settings;
    this.directory = directory;
  }

  /** One durable thing. */
  private interface Step {
    void once() throws SQLException, RefusedException, InterruptedException;
  }

  /** Transfers a second and how long each took, in nanoseconds. */
  private record Measured(double perSecond, long p50Nanos, long p99Nanos) {}

  /** Measures and prints, as Markdown. */
  public void run(Appendable out) throws IOException, SQLException {
    out.append("| store | writers | way | a second | of plain | p50 ms | p99 ms |\n");
    out.append("|---|---|---|---|---|---|---|\n");
    Location file = Location.in(Files.createDirectories(directory.resolve("sqlite")));
    sqlite(file, out);
    out.append(verified("SQLite", file));
    if (settings.postgres().isPresent()) {
      postgres(settings.postgres().get(), out);
      out.append(verified("PostgreSQL", settings.postgres().get()));
    }
  }

  private String verified(String store, Location where) {
    long start = System.nanoTime();
    return switch (Verifier.verify(where, ignored -> {})) {
      case Verifier.Report.Sound sound ->
          String.format(
              Locale.ROOT,
              "%n%s: %,d entries verified, %,.0f a second%n%n",
              store,
              sound.entries(),
              sound.entries() * 1e9 / (System.nanoTime() - start));
      case Verifier.Report.Damaged damaged -> "\nDAMAGED: " + damaged.problem() + "\n";
    };
  }

  private void sqlite(Location file, Appendable out) throws IOException, SQLException {
    Path plain = directory.resolve("plain.db");
    ReentrantLock one = new ReentrantLock();
    try (Database database = Database.open(file, List.of());
        Connection connection = DriverManager.getConnection("jdbc:sqlite:" + plain)) {
      openAccounts(database);
      execute(connection, "PRAGMA journal_mode = WAL");
      execute(connection, "PRAGMA synchronous = FULL");
      execute(connection, "CREATE TABLE plain (id TEXT PRIMARY KEY, body TEXT NOT NULL)");
      prepareGrouped(database);
      try (PreparedStatement insert =
          connection.prepareStatement("INSERT INTO plain (id, body) VALUES (?, ?)")) {
        Map<String, Step> ways = new LinkedHashMap<>();
        ways.put(
            "plain insert, a commit each",
            () -> {
              one.lock();
              try {
                insert(insert);
              } finally {
                one.unlock();
              }
            });
        ways.put("plain insert, committed together", () -> grouped(database));
        ways.put("ledger", () -> transfer(database));
        measureAll("SQLite", ways, out);
      }
    }
  }

  private void postgres(Location.OnPostgres where, Appendable out)
      throws IOException, SQLException {
    List<Connection> connections = new ArrayList<>();
    BlockingQueue<Connection> free = new ArrayBlockingQueue<>(CONNECTIONS_MAX);
    try (Database database = Database.open(where, List.of())) {
      openAccounts(database);
      prepareGrouped(database);
      for (int i = 0; i < CONNECTIONS_MAX; i++) {
        connections.add(where.connect());
      }
      execute(
          connections.getFirst(), "CREATE TABLE plain (id TEXT PRIMARY KEY, body TEXT NOT NULL)");
      execute(
          connections.getFirst(),
          "CREATE TABLE balance (id TEXT PRIMARY KEY, amount NUMERIC NOT NULL)");
      execute(
          connections.getFirst(),
          "INSERT INTO balance SELECT 'payer' || n, 0 FROM generate_series(0, "
              + (PAYERS - 1)
              + ") n UNION ALL SELECT 'revenue', 0");
      free.addAll(connections);
      Map<String, Step> ways = new LinkedHashMap<>();
      ways.put("plain insert, a commit each", () -> with(free, LedgerBench.this::insertPlain));
      ways.put("plain insert, committed together", () -> grouped(database));
      ways.put("SQL double entry, a commit each", () -> with(free, LedgerBench.this::sqlTransfer));
      ways.put("ledger", () -> transfer(database));
      measureAll("PostgreSQL", ways, out);
    } finally {
      for (Connection connection : connections) {
        connection.close();
      }
    }
  }

  private interface Use {
    void with(Connection connection) throws SQLException;
  }

  private static void with(BlockingQueue<Connection> free, Use use)
      throws SQLException, InterruptedException {
    Connection connection = free.take();
    try {
      use.with(connection);
    } finally {
      free.add(connection);
    }
  }

  private static void execute(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  private void insert(PreparedStatement insert) throws SQLException {
    Entry entry = next();
    insert.setString(1, entry.id());
    insert.setString(2, entry.canonical());
    int unused = insert.executeUpdate();
  }

  private void insertPlain(Connection connection) throws SQLException {
    try (PreparedStatement insert =
        connection.prepareStatement("INSERT INTO plain (id, body) VALUES (?, ?)")) {
      insert(insert);
    }
  }

  /** As a ledger in plain SQL does it: a row for the transfer, and a balance on each side. */
  private void sqlTransfer(Connection connection) throws SQLException {
    Entry.Transfer entry = next();
    connection.setAutoCommit(false);
    try (PreparedStatement insert =
            connection.prepareStatement("INSERT INTO plain (id, body) VALUES (?, ?)");
        PreparedStatement move =
            connection.prepareStatement("UPDATE balance SET amount = amount + ? WHERE id = ?")) {
      insert.setString(1, entry.id());
      insert.setString(2, entry.canonical());
      int unused = insert.executeUpdate();
      move.setLong(1, -1);
      move.setString(2, entry.debit().owner());
      unused = move.executeUpdate();
      move.setLong(1, 1);
      move.setString(2, "revenue");
      unused = move.executeUpdate();
      connection.commit();
    } finally {
      connection.setAutoCommit(true);
    }
  }

  private static void prepareGrouped(Database database) {
    boolean unused =
        database.write(
            (c, log) -> {
              execute(c, "CREATE TABLE grouped (id TEXT PRIMARY KEY, body TEXT NOT NULL)");
              return true;
            });
  }

  private void grouped(Database database) {
    boolean unused =
        database.write(
            (c, log) -> {
              try (PreparedStatement insert =
                  c.prepareStatement("INSERT INTO grouped (id, body) VALUES (?, ?)")) {
                insert(insert);
              }
              return true;
            });
  }

  private static AccountId payer(long n) {
    return new AccountId("usd", "payer" + n % PAYERS);
  }

  private static final AccountId REVENUE = new AccountId("usd", "revenue");

  private void openAccounts(Database database) {
    try {
      List<Entry> all = new ArrayList<>();
      all.add(new Entry.Open(Ids.derived("open revenue"), NOW, REVENUE, false));
      for (int i = 0; i < PAYERS; i++) {
        all.add(new Entry.Open(Ids.derived("open " + i), NOW, payer(i), false));
      }
      var unused = database.apply(all);
    } catch (RefusedException e) {
      throw new IllegalStateException(e);
    }
  }

  private Entry.Transfer next() {
    long n = number.incrementAndGet();
    return new Entry.Transfer(
        Ids.derived("bench " + n), NOW, payer(n), REVENUE, BigInteger.ONE, "answer " + n);
  }

  private void transfer(Database database) throws RefusedException {
    var unused = database.apply(List.of(next()));
  }

  private void measureAll(String store, Map<String, Step> ways, Appendable out) throws IOException {
    for (int writers : settings.writers()) {
      Map<String, List<Measured>> all = new LinkedHashMap<>();
      for (int round = 0; round <= settings.rounds(); round++) {
        for (var way : ways.entrySet()) {
          Measured measured = measure(way.getValue(), writers);
          if (round > 0) { // the first warms up
            all.computeIfAbsent(way.getKey(), k -> new ArrayList<>()).add(measured);
          }
        }
      }
      double plain = median(all.values().iterator().next());
      for (var way : all.entrySet()) {
        List<Measured> sorted =
            way.getValue().stream()
                .sorted((a, b) -> Double.compare(a.perSecond(), b.perSecond()))
                .toList();
        Measured m = sorted.get(sorted.size() / 2);
        out.append(
            String.format(
                Locale.ROOT,
                "| %s | %d | %s | %,.0f | %.2f | %.2f | %.2f |%n",
                store,
                writers,
                way.getKey(),
                m.perSecond(),
                m.perSecond() / plain,
                m.p50Nanos() / 1e6,
                m.p99Nanos() / 1e6));
      }
    }
  }

  private static double median(List<Measured> all) {
    double[] sorted = all.stream().mapToDouble(Measured::perSecond).sorted().toArray();
    return sorted[sorted.length / 2];
  }

  private Measured measure(Step step, int writers) {
    long start = System.nanoTime();
    long end = start + Duration.ofSeconds(settings.seconds()).toNanos();
    List<long[]> times = new ArrayList<>();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < writers; i++) {
      threads.add(
          Thread.ofVirtual()
              .start(
                  () -> {
                    long[] mine = new long[1024];
                    int count = 0;
                    try {
                      for (long now = System.nanoTime(); now < end; ) {
                        step.once();
                        long after = System.nanoTime();
                        if (count == mine.length) {
                          mine = Arrays.copyOf(mine, count * 2);
                        }
                        mine[count++] = after - now;
                        now = after;
                      }
                    } catch (SQLException | RefusedException e) {
                      throw new IllegalStateException(e);
                    } catch (InterruptedException e) {
                      Thread.currentThread().interrupt();
                    }
                    synchronized (times) {
                      times.add(Arrays.copyOf(mine, count));
                    }
                  }));
    }
    try {
      for (Thread thread : threads) {
        thread.join();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    long[] all = times.stream().flatMapToLong(Arrays::stream).sorted().toArray();
    return new Measured(
        all.length / seconds,
        all[all.length / 2],
        all[(int) Math.min(all.length - 1L, all.length * 99L / 100)]);
  }
}
