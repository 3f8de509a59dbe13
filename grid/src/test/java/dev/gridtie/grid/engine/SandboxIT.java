package dev.gridtie.grid.engine;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a child that reads a model's file can do, tried by one that tries. */
class SandboxIT {
  private static final List<String> OPTIONS = EngineChild.OPTIONS;

  @TempDir private Path folder;

  private Map<String, String> tried(Sandbox.Mode mode, boolean namespaces, String expected)
      throws Exception {
    Path allowed = Files.writeString(folder.resolve("model.gguf"), "model");
    Path secret =
        Files.writeString(Files.createDirectory(folder.resolve("home")).resolve("key"), "k");
    Path log = folder.resolve("log");
    try (ServerSocket listening = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      Sandbox.Started started =
          Sandbox.start(
              mode, namespaces, List.of(), OPTIONS, Prisoner.class, List.of(allowed), log);
      if (!expected.equals(started.files())) {
        started.process().destroyForcibly();
        String reason = expected + " is not tried here: " + started.missing() + started.files();
        System.out.println(reason);
        Assumptions.abort(reason);
      }
      Process process = started.process();
      try (var in = process.outputWriter(UTF_8)) {
        in.write(
            String.join(
                    " ",
                    allowed.toString(),
                    secret.toString(),
                    folder.toString(),
                    "" + listening.getLocalPort(),
                    "" + ProcessHandle.current().pid())
                + "\n");
      }
      String said = new String(process.getInputStream().readAllBytes(), UTF_8);
      assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
      assertThat(said).as("%s", Files.readString(log)).contains("end true");
      return said.lines()
          .map(line -> line.split(" "))
          .collect(Collectors.toMap(parts -> parts[0], parts -> parts[1]));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bubblewrap", "Landlock"})
  void aChildSeesItsFileAndNothingElse(String layer) throws Exception {
    Map<String, String> could = tried(Sandbox.Mode.AUTO, layer.equals("bubblewrap"), layer);
    assertThat(could)
        .containsEntry("allowed", "true")
        .containsEntry("thread", "true")
        .containsEntry("secret", "false")
        .containsEntry("listing", "false")
        .containsEntry("passwd", "false")
        .containsEntry("overwriting", "false")
        .containsEntry("parent", "false")
        .containsEntry("environ", "false")
        .containsEntry("shell", "false")
        .containsEntry("connecting", "false")
        .containsEntry("variable", "false");
    assertThat(folder.resolve("written")).doesNotExist();
    if (could.get("filtered").equals("true")) {
      assertThat(could).containsEntry("listening", "false");
    } else {
      System.out.println("system calls are not filtered here");
    }
  }

  @Test
  void withoutASandboxTheChildCouldDoAllThat() throws Exception {
    Map<String, String> could = tried(Sandbox.Mode.OFF, true, "");
    assertThat(could)
        .containsEntry("secret", "true")
        .containsEntry("parent", "true")
        .containsEntry("variable", "false");
    assertThat(folder.resolve("written")).exists();
  }

  @Test
  void aModeIsOneOfThree() {
    assertThat(Sandbox.Mode.of("required")).isEqualTo(Sandbox.Mode.REQUIRED);
    assertThatThrownBy(() -> Sandbox.Mode.of("on")).hasMessageContaining("required, auto or off");
  }
}
