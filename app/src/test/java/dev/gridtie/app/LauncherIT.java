package dev.gridtie.app;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The launcher as a supervisor: what it starts again, and what it does not. */
class LauncherIT {
  @TempDir Path directory;

  @AfterEach
  void stop() throws Exception {
    Spawned.endAll();
  }

  /** A folder that looks as if everything was built, with a Java that does what a test says. */
  @BeforeEach
  void build() throws IOException {
    Files.copy(TestGateway.ROOT.resolve("gridtie"), directory.resolve("gridtie"));
    executable(directory.resolve("gridtie"));
    Files.createDirectories(directory.resolve("native/node_modules"));
    Files.createDirectories(directory.resolve("app/target"));
    Files.createDirectories(directory.resolve("jdk/bin"));
    Path lock = Files.createFile(directory.resolve("native/package-lock.json"));
    Files.setLastModifiedTime(lock, FileTime.from(Instant.EPOCH));
    Files.createFile(directory.resolve("native/node_modules/.package-lock.json"));
    Files.createFile(directory.resolve("app/target/.built"));
    Files.writeString(directory.resolve("jdk/release"), "JAVA_VERSION=\"25.0.1\"\n");
    Files.writeString(directory.resolve("jdk/bin/javac"), "#!/bin/sh\n");
    executable(directory.resolve("jdk/bin/javac"));
  }

  private static void executable(Path file) throws IOException {
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  /**
   * @param program what Java does at its first, second, … start; $n counts them
   */
  private Spawned start(String program, String... arguments) throws IOException {
    Path java = directory.resolve("jdk/bin/java");
    Files.writeString(
        java,
        "#!/bin/bash\ncd \"%s\"; echo x >>starts; n=$(wc -l <starts)\n%s\n"
            .formatted(directory, program));
    executable(java);
    List<String> command =
        new java.util.ArrayList<>(
            List.of(
                "env",
                "JAVA_HOME=" + directory.resolve("jdk"),
                directory.resolve("gridtie").toString()));
    command.addAll(List.of(arguments));
    return Spawned.start(command, directory.resolve("log"));
  }

  private int starts() throws IOException {
    return Files.readAllLines(directory.resolve("starts")).size();
  }

  private static int end(Spawned spawned) throws InterruptedException {
    assertThat(spawned.process().waitFor(60, TimeUnit.SECONDS)).isTrue();
    return spawned.process().exitValue();
  }

  @Test
  void whatCrashedRanOutOfMemoryOrWasStuckIsStartedAgain() throws Exception {
    Spawned launcher =
        start(
            "case $n in 1) exit 3 ;; 2) kill -ABRT $$ ;; *) echo \"ready $*\"; exit 0 ;; esac",
            "gateway",
            "--config",
            "a b.yaml");
    assertThat(end(launcher)).isZero();
    assertThat(starts()).isEqualTo(3);
    assertThat(Files.readString(launcher.log()))
        .contains("it ran out of memory; starting it again in 1 s (restart 1 of at most 5")
        .contains("signal 6 ended it; starting it again in 2 s")
        .contains("gateway --config a b.yaml");
  }

  @Test
  void whatWasStuckIsStartedAgain() throws Exception {
    Spawned launcher = start("[ $n = 1 ] && exit 86; exit 7", "up");
    assertThat(end(launcher)).isEqualTo(7);
    assertThat(Files.readString(launcher.log())).contains("it was stuck; starting it again");
  }

  @Test
  void whatEndsByItselfOrIsAShortCommandIsNotStartedAgain() throws Exception {
    assertThat(end(start("exit 1", "gateway"))).isEqualTo(1);
    assertThat(starts()).isEqualTo(1);
    assertThat(end(start("exit 3", "wallet"))).isEqualTo(3);
    assertThat(end(start("exit 86", "node", "status"))).isEqualTo(86);
    assertThat(starts()).isEqualTo(3);
  }

  @Test
  void aSignalIsPassedOnAndNothingIsStartedAgain() throws Exception {
    Spawned launcher =
        start(
            "trap 'echo told >told; exit 143' TERM; echo ready; while :; do sleep 0.1; done",
            "node");
    TestGateway.eventually("it runs", () -> Files.readString(launcher.log()).contains("ready"));
    launcher.process().destroy();
    assertThat(end(launcher)).isEqualTo(143);
    assertThat(directory.resolve("told")).exists();
    assertThat(starts()).isEqualTo(1);
  }

  @Test
  void aProgramWhoseLauncherWasKilledEnds() throws Exception {
    Process supervisor = new ProcessBuilder("sleep", "600").start();
    List<String> command = new java.util.ArrayList<>(Spawned.java());
    command.add(1, "-Dgridtie.supervisor=" + supervisor.pid());
    command.addAll(
        List.of(
            "up",
            "--no-node",
            "--port",
            Integer.toString(TestGateway.freePortOfUp()),
            "--home",
            directory.resolve("home").toString()));
    Spawned program = Spawned.start(command, directory.resolve("up.log"));
    var unused = program.awaitReady();
    supervisor.destroyForcibly().waitFor();
    assertThat(end(program)).isEqualTo(143);
  }
}
