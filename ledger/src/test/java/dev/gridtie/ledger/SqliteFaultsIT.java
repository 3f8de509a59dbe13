package dev.gridtie.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gridtie.base.Ids;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A disk that is full, and one that may not be written: on a small file system of its own. */
class SqliteFaultsIT {
  @TempDir Path folder;

  private Path disk;

  private static int run(String... command) throws Exception {
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
    return process.exitValue();
  }

  @BeforeEach
  void mount() throws Exception {
    disk = Files.createDirectory(folder.resolve("disk"));
    boolean mounted = run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk.toString()) == 0;
    if (!mounted) {
      System.err.println("skipped: this user may not mount a file system, to fill or lock it");
    }
    assumeTrue(mounted, "this user may not mount a file system");
  }

  @AfterEach
  void unmount() throws Exception {
    int unused = run("umount", "-l", disk.toString());
  }

  private static void openAccounts(Database db) throws Exception {
    db.apply(
        List.of(
            new Entry.Open(Ids.derived("o1"), KillWriter.NOW, KillWriter.CUSTODY, false),
            new Entry.Open(Ids.derived("o2"), KillWriter.NOW, KillWriter.PAYER, true)));
  }

  private static BigInteger balance(Database db) {
    return db.read(c -> new LedgerReader(c).account(KillWriter.PAYER).orElseThrow().balance());
  }

  @Test
  void aFullDiskIsATypedErrorAndWritingResumesWhenThereIsSpace() throws Exception {
    Path ballast = disk.resolve("ballast");
    Files.write(ballast, new byte[1_200_000]);
    BigInteger acknowledged = BigInteger.ZERO;
    long number = 0;
    try (Database db = Database.open(Location.in(disk), List.of())) {
      openAccounts(db);
      try {
        for (; number < 100_000; number++) {
          db.apply(List.of(KillWriter.transfer(number)));
          acknowledged = acknowledged.add(BigInteger.valueOf(number % 97));
        }
        throw new AssertionError("the disk was never full");
      } catch (StoreException e) {
        assertThat(e.getMessage()).containsAnyOf("full", "disk I/O");
      }
      assertThat(balance(db)).isEqualTo(acknowledged);
      Files.delete(ballast);
      assertThat(db.apply(List.of(KillWriter.transfer(number))))
          .containsExactly(LedgerTx.Applied.NEW);
      acknowledged = acknowledged.add(BigInteger.valueOf(number % 97));
      assertThat(balance(db)).isEqualTo(acknowledged);
    }
    assertThat(Verifier.verify(Location.in(disk), ignored -> {}))
        .isInstanceOf(Verifier.Report.Sound.class);
  }

  @Test
  void aDiskThatMayNotBeWrittenIsATypedErrorAndCanStillBeVerified() throws Exception {
    try (Database db = Database.open(Location.in(disk), List.of())) {
      openAccounts(db);
      db.apply(List.of(KillWriter.transfer(5)));
    }
    assertThat(run("mount", "-o", "remount,ro", disk.toString())).isZero();
    assertThatThrownBy(() -> Database.open(Location.in(disk), List.of()))
        .isInstanceOf(StoreException.class);
    assertThat(Verifier.verify(Location.in(disk), ignored -> {}))
        .isInstanceOf(Verifier.Report.Sound.class);
    assertThat(run("mount", "-o", "remount,rw", disk.toString())).isZero();
    try (Database db = Database.open(Location.in(disk), List.of())) {
      db.apply(List.of(KillWriter.transfer(6)));
      assertThat(balance(db)).isEqualTo(11);
    }
  }
}
