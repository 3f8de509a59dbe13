package dev.gridtie.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Secret;
import dev.gridtie.testkit.LocalPostgres;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import dev.gridtie.testkit.TcpProxy;
import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a database over there may do: go away, come back, forget, be another one. */
class PostgresFaultsIT {
  @TempDir Path home;

  private String database;

  @BeforeEach
  void make() {
    database = LocalPostgres.newDatabase();
  }

  private Location.OnPostgres at(String address) {
    return new Location.OnPostgres(
        "jdbc:postgresql://" + address,
        LocalPostgres.USER,
        new Secret(LocalPostgres.PASSWORD),
        home.resolve("head"));
  }

  private Location.OnPostgres direct() {
    return at("127.0.0.1:" + LocalPostgres.port() + "/" + database);
  }

  private static void openAccounts(Database db) throws Exception {
    db.apply(
        List.of(
            new Entry.Open(Ids.derived("o1"), KillWriter.NOW, KillWriter.CUSTODY, false),
            new Entry.Open(Ids.derived("o2"), KillWriter.NOW, KillWriter.PAYER, true)));
  }

  /** Writers that say each transfer until it is acknowledged. */
  private static final class Load {
    final Queue<Long> acknowledged = new ConcurrentLinkedQueue<>();
    final AtomicInteger failures = new AtomicInteger();
    private final AtomicLong next = new AtomicLong();
    private final AtomicBoolean over = new AtomicBoolean();
    private final List<Thread> threads;
    private final Queue<Throwable> bugs = new ConcurrentLinkedQueue<>();

    Load(Database db, int writers) {
      threads =
          java.util.stream.IntStream.range(0, writers)
              .mapToObj(i -> Thread.ofVirtual().start(() -> run(db)))
              .toList();
    }

    private void run(Database db) {
      while (!over.get()) {
        long number = next.getAndIncrement();
        while (true) {
          try {
            db.apply(List.of(KillWriter.transfer(number)));
            acknowledged.add(number);
            break;
          } catch (StoreException e) {
            failures.incrementAndGet();
            pause(20);
          } catch (Exception | Error e) {
            bugs.add(e);
            return;
          }
        }
      }
    }

    void end() throws InterruptedException {
      over.set(true);
      for (Thread thread : threads) {
        thread.join();
      }
      assertThat(bugs).isEmpty();
    }

    /** As many transfers as were acknowledged, each once, and their sum. */
    void requireIn(Location where) {
      BigInteger sum =
          acknowledged.stream()
              .map(n -> BigInteger.valueOf(n % 97))
              .reduce(BigInteger.ZERO, BigInteger::add);
      Account payer =
          Verifier.read(where, c -> new LedgerReader(c).account(KillWriter.PAYER).orElseThrow());
      assertThat(payer.balance()).isEqualTo(sum);
      long entries = Verifier.read(where, c -> new LedgerReader(c).size());
      assertThat(entries).isEqualTo(acknowledged.size() + 2L);
      assertThat(Verifier.verify(where, ignored -> {})).isInstanceOf(Verifier.Report.Sound.class);
    }

    void awaitProgress() throws InterruptedException {
      int before = acknowledged.size();
      for (int i = 0; i < 1200 && acknowledged.size() < before + 50; i++) {
        Thread.sleep(50);
      }
      assertThat(acknowledged).as("it goes on").hasSizeGreaterThan(before);
    }
  }

  private static void pause(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Test
  void connectionsThatAreCutAtAnyInstantLoseNothingAndDoubleNothing() throws Exception {
    Seeded seeded = new Seeded(7);
    try (TcpProxy proxy = new TcpProxy(LocalPostgres.port());
        Database db = Database.open(at("127.0.0.1:" + proxy.port() + "/" + database), List.of())) {
      openAccounts(db);
      Load load = new Load(db, 16);
      for (int i = 0; i < Size.of(25, 400); i++) {
        Thread.sleep(seeded.below(40));
        proxy.cut();
        if (seeded.chance(0.2)) {
          proxy.refuse(true);
          Thread.sleep(200);
          proxy.refuse(false);
        }
      }
      load.awaitProgress();
      load.end();
      load.requireIn(direct());
    }
  }

  @Test
  void aDatabaseThatIsAwayIsATypedErrorAndResumes() throws Exception {
    try (TcpProxy proxy = new TcpProxy(LocalPostgres.port());
        Database db = Database.open(at("127.0.0.1:" + proxy.port() + "/" + database), List.of())) {
      openAccounts(db);
      proxy.refuse(true);
      proxy.cut();
      assertThatThrownBy(() -> db.apply(List.of(KillWriter.transfer(1))))
          .isInstanceOf(StoreException.class);
      assertThatThrownBy(() -> db.read(c -> new LedgerReader(c).size()))
          .isInstanceOf(StoreException.class);
      proxy.refuse(false);
      db.apply(List.of(KillWriter.transfer(1)));
      assertThat(db.<Long>read(c -> new LedgerReader(c).size())).isEqualTo(3);
    }
  }

  @Test
  void aDatabaseThatMayNotBeWrittenIsATypedErrorAndResumes() throws Exception {
    try (Database db = Database.open(direct(), List.of())) {
      openAccounts(db);
      LocalPostgres.execute(
          "ALTER DATABASE " + database + " SET default_transaction_read_only = on");
      endConnections();
      assertThatThrownBy(() -> db.apply(List.of(KillWriter.transfer(1))))
          .isInstanceOf(StoreException.class)
          .hasMessageContaining("read-only");
      LocalPostgres.execute("ALTER DATABASE " + database + " RESET default_transaction_read_only");
      endConnections();
      db.apply(List.of(KillWriter.transfer(1)));
    }
    assertThat(Verifier.verify(direct(), ignored -> {})).isInstanceOf(Verifier.Report.Sound.class);
  }

  private void endConnections() {
    LocalPostgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"
            + database
            + "'");
  }

  @Test
  void aDatabaseThatHasLostItsEndIsNotWrittenTo() throws Exception {
    try (Database db = Database.open(direct(), List.of())) {
      openAccounts(db);
      for (long i = 0; i < 10; i++) {
        db.apply(List.of(KillWriter.transfer(i)));
      }
      endConnections(); // a standby that lagged takes over
      try (Connection raw = Store.raw(direct());
          Statement statement = raw.createStatement()) {
        assertThat(statement.executeUpdate("DELETE FROM entry WHERE seq > 9")).isEqualTo(3);
      }
      assertThatThrownBy(() -> db.apply(List.of(KillWriter.transfer(99))))
          .isInstanceOf(StoreException.class)
          .hasMessageContaining("has lost entries: it holds 9 and had 12");
    }
    assertThatThrownBy(() -> Database.open(direct(), List.of()))
        .hasMessageContaining("has lost entries");
  }

  @Test
  void aServerThatMayLoseWhatItAcknowledgedIsNotUsed() {
    LocalPostgres.execute("ALTER DATABASE " + database + " SET synchronous_commit = off");
    assertThatThrownBy(() -> Database.open(direct(), List.of()))
        .isInstanceOf(StoreException.class)
        .hasMessageContaining("synchronous_commit = off");
  }

  @Test
  void aWriterThatStandsStillInABatchDoesNotKeepTheOthersOut() throws Exception {
    try (Database db = Database.open(direct(), List.of())) {
      openAccounts(db);
      try (Connection other = Store.raw(direct());
          Statement statement = other.createStatement()) {
        statement.execute("SET idle_in_transaction_session_timeout = 1000");
        other.setAutoCommit(false);
        try (ResultSet row =
            statement.executeQuery("SELECT pg_advisory_xact_lock(" + 0x67726964746965L + ")")) {
          assertThat(row.next()).isTrue();
        }
        db.apply(List.of(KillWriter.transfer(1))); // once the server has ended the other's
      }
    }
  }

  /** A primary, a standby that it waits for, and a fail-over under load. */
  @Test
  void aStandbyThatTakesOverHasAllThatWasAcknowledged() throws Exception {
    Path standbyData = home.resolve("standby");
    try (EmbeddedPostgres primary = server().setDataDirectory(home.resolve("primary")).start()) {
      copyOf(primary, home.resolve("primary"), standbyData);
      try (EmbeddedPostgres standby =
          server().setDataDirectory(standbyData).setCleanDataDirectory(false).start()) {
        sql(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
        sql(primary, "SELECT pg_reload_conf()");
        Location.OnPostgres both =
            at(
                "127.0.0.1:"
                    + primary.getPort()
                    + ",127.0.0.1:"
                    + standby.getPort()
                    + "/postgres?targetServerType=primary");
        try (Database db = Database.open(both, List.of())) {
          openAccounts(db);
          Load load = new Load(db, 8);
          load.awaitProgress();
          kill(home.resolve("primary"));
          int atFailover = load.acknowledged.size();
          sql(standby, "SELECT pg_promote()");
          load.awaitProgress();
          load.end();
          assertThat(load.acknowledged).hasSizeGreaterThan(atFailover);
          load.requireIn(at("127.0.0.1:" + standby.getPort() + "/postgres"));
        }
      }
    }
  }

  private static EmbeddedPostgres.Builder server() {
    return EmbeddedPostgres.builder()
        .setServerConfig("fsync", "on")
        .setServerConfig("synchronous_commit", "on")
        .setServerConfig("full_page_writes", "on")
        .setServerConfig("hot_standby", "on");
  }

  private static void sql(EmbeddedPostgres server, String sql) throws Exception {
    try (Connection connection = server.getPostgresDatabase().getConnection();
        Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  /** A base backup, by copying the files of a running server. */
  private static void copyOf(EmbeddedPostgres server, Path from, Path to) throws Exception {
    try (Connection connection = server.getPostgresDatabase().getConnection();
        Statement statement = connection.createStatement()) {
      statement.execute("SELECT pg_backup_start('standby', true)");
      Files.walkFileTree(
          from,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes a)
                throws IOException {
              Path copy = to.resolve(from.relativize(folder).toString());
              Files.createDirectories(copy);
              Files.setPosixFilePermissions(copy, Files.getPosixFilePermissions(folder));
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes a) throws IOException {
              String name = file.getFileName().toString();
              if (!name.equals("postmaster.pid") && !name.equals("postmaster.opts")) {
                Files.copy(file, to.resolve(from.relativize(file).toString()));
              }
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException e) {
              return FileVisitResult.CONTINUE; // it is gone since; the log has it
            }
          });
      try (ResultSet row = statement.executeQuery("SELECT labelfile FROM pg_backup_stop(true)")) {
        assertThat(row.next()).isTrue();
        Files.writeString(to.resolve("backup_label"), row.getString(1));
      }
      Files.createFile(to.resolve("standby.signal"));
      Files.writeString(
          to.resolve("postgresql.auto.conf"),
          "primary_conninfo = 'host=127.0.0.1 user=postgres port=" + server.getPort() + "'\n");
    }
  }

  /** kill -9 of a server and all of its processes. */
  private static void kill(Path data) throws Exception {
    long pid = Long.parseLong(Files.readAllLines(data.resolve("postmaster.pid")).getFirst());
    ProcessHandle postmaster = ProcessHandle.of(pid).orElseThrow();
    List<ProcessHandle> children = postmaster.descendants().toList();
    postmaster.destroyForcibly();
    children.forEach(ProcessHandle::destroyForcibly);
  }
}
