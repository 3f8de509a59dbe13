package dev.gridtie.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** kill -9 of a process that writes, at random instants under load, again and again. */
@ParameterizedClass
@EnumSource(Store.class)
class KillIT {
  @Parameter Store store;

  @TempDir Path home;

  private Process start(Location where, long from) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                KillWriter.class.getName(),
                home.toString(),
                Long.toString(from)));
    if (where instanceof Location.OnPostgres postgres) {
      command.add(postgres.url());
    }
    return new ProcessBuilder(command)
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .redirectOutput(said().toFile())
        .start();
  }

  private Path said() {
    return home.resolve("said");
  }

  @Test
  void whatWasAcknowledgedIsThereAndNothingCountsTwice() throws Exception {
    Location where = store.in(home);
    Seeded seeded = new Seeded(42);
    Set<Long> acknowledged = new HashSet<>();
    long from = 0;
    for (int kill = 0; kill < Size.of(6, 200); kill++) {
      Process process = start(where, from);
      for (int i = 0; i < 1200 && Files.size(said()) == 0; i++) {
        Thread.sleep(25);
      }
      Thread.sleep(seeded.below(60));
      process.destroyForcibly();
      assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
      String said = Files.readString(said());
      assertThat(said).as("kill %d", kill).matches("(?s)\\d+\n.*").doesNotContain("failed");
      for (String line : said.substring(0, said.lastIndexOf('\n')).split("\n", -1)) {
        acknowledged.add(Long.parseLong(line));
      }
      assertThat(Verifier.verify(where, ignored -> {}))
          .as("kill %d", kill)
          .isInstanceOf(Verifier.Report.Sound.class);
      long start = from;
      List<Long> lost = lost(where, acknowledged, start);
      assertThat(lost).as("kill %d: acknowledged, and not there", kill).isEmpty();
      // The next one says what was not acknowledged again, and some that was.
      while (acknowledged.contains(from)) {
        from++;
      }
    }
    requireSums(where);
  }

  private static List<Long> lost(Location where, Set<Long> acknowledged, long from) {
    return Verifier.read(
        where,
        c -> {
          Tables tables = new Tables(c, false);
          List<Long> lost = new ArrayList<>();
          for (long number : acknowledged) {
            if (number >= from - 1000 && tables.entry(KillWriter.transfer(number).id()).isEmpty()) {
              lost.add(number);
            }
          }
          return lost;
        });
  }

  /** The account has what the log's distinct transfers come to. */
  private static void requireSums(Location where) {
    BigInteger[] sum = {BigInteger.ZERO};
    Set<String> ids = new HashSet<>();
    Account payer =
        Verifier.read(
            where,
            c -> {
              Movement.<RuntimeException>forEach(
                  c,
                  m -> {
                    assertThat(ids.add(m.entry().id())).isTrue();
                    sum[0] = sum[0].add(m.posted());
                  });
              return new LedgerReader(c).account(KillWriter.PAYER).orElseThrow();
            });
    assertThat(payer.balance()).isEqualTo(sum[0]);
    assertThat(ids).hasSizeGreaterThan(10);
  }
}
