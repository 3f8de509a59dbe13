package dev.gridtie.grid.node;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Both ways of looking, at this very machine: what one sees the other must. */
class SignsTest {
  private static final HostFiles HOST = new HostFiles(Path.of("/"));

  static Stream<Signs> ways() {
    return Stream.of(Signs.of(HOST), new OshiSigns(HOST));
  }

  @ParameterizedTest
  @MethodSource("ways")
  void aProgramThatWorksIsSeenAndCanBeSubtracted(Signs signs) throws Exception {
    Process hog = new ProcessBuilder("sh", "-c", "while :; do :; done").start();
    try {
      double allBefore = signs.busySeconds();
      double hogBefore = signs.busySeconds(Stream.of(hog.pid()));
      double all;
      double hogs;
      long deadline = System.nanoTime() + 60_000_000_000L;
      do { // until it has had a second of a processor, however long that takes here
        Thread.sleep(100);
        all = signs.busySeconds() - allBefore;
        hogs = signs.busySeconds(Stream.of(hog.pid())) - hogBefore;
      } while (hogs < 1 && System.nanoTime() < deadline);
      assertThat(hogs).isBetween(1.0, 5.0);
      assertThat(all).as("what all have done").isGreaterThan(hogs - 0.2);
      for (int i = 0; i < 8; i++) { // each look is a new one, however soon after the last
        double before = signs.busySeconds();
        double from = signs.busySeconds(Stream.of(hog.pid()));
        while (signs.busySeconds(Stream.of(hog.pid())) - from < 0.08) {
          Thread.sleep(10);
        }
        assertThat(signs.busySeconds()).isGreaterThan(before + 0.02);
      }
    } finally {
      hog.destroyForcibly();
    }
    assertThat(hog.waitFor()).isNotZero();
    assertThat(signs.busySeconds(Stream.of(hog.pid()))).as("it has ended").isZero();
  }

  @ParameterizedTest
  @MethodSource("ways")
  void theRestIsPlausible(Signs signs) {
    assertThat(signs.celsius()).isBetween(0.0, 150.0);
    assertThat(signs.availableMemory().orElseThrow()).isBetween(1L << 20, 1L << 46);
    signs
        .untouched(Instant.now())
        .ifPresent(since -> assertThat(since).isGreaterThan(Duration.ofDays(-1)));
  }

  @Test
  void bothSeeTheSameMemoryAndBattery() {
    Signs one = Signs.of(HOST);
    Signs other = new OshiSigns(HOST);
    long free = one.availableMemory().orElseThrow();
    assertThat(other.availableMemory().orElseThrow()).isBetween(free / 2, free * 2);
    assertThat(other.isOnBattery()).isEqualTo(one.isOnBattery());
  }

  /** What macOS prints, in the form that ioreg gives it. */
  @Test
  void aMacSaysWhenItWasTouched(@TempDir Path folder) throws Exception {
    Path program = folder.resolve("ioreg");
    Files.writeString(
        program,
        """
        #!/bin/sh
        echo '    | |   "HIDScrollCount" = 7'
        echo '    | |   "HIDIdleTime" = 61000000000'
        echo '    | |   "HIDIdleTime" = 99'
        """);
    assertThat(program.toFile().setExecutable(true)).isTrue();
    Signs signs = new OshiSigns(new HostFiles(Path.of("/"), folder.toString()));
    assertThat(signs.untouched(Instant.now())).contains(Duration.ofSeconds(61));
    assertThat(new OshiSigns(HOST).untouched(Instant.now()))
        .as("elsewhere nobody says")
        .isEqualTo(HOST.run("ioreg", "-c", "IOHIDSystem").map(x -> Duration.ZERO));
  }
}
