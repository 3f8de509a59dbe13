package dev.gridtie.grid.node;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * What the system says of itself: files under {@code /proc} and {@code /sys}, and small programs.
 *
 * @param root usually {@code /}
 * @param programs where they lie; empty for where the system finds them
 */
public record HostFiles(Path root, String programs) {
  private static final int COMMAND_SECONDS_MAX = 5;
  private static final int OUTPUT_BYTES_MAX = 1 << 20;

  public HostFiles(Path root) {
    this(root, "");
  }

  /** A file's text, stripped; empty where it cannot be read. */
  Optional<String> read(String path) {
    try {
      return Optional.of(Files.readString(root.resolve(path)).strip());
    } catch (IOException | RuntimeException e) {
      return Optional.empty();
    }
  }

  Optional<Long> number(String path) {
    return read(path).filter(t -> t.matches("-?\\d{1,18}")).map(Long::parseLong);
  }

  /** What lies in a folder; nothing where it cannot be read. */
  List<Path> list(String folder, String glob) {
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> in = Files.newDirectoryStream(root.resolve(folder), glob)) {
      in.forEach(found::add);
    } catch (IOException | RuntimeException e) {
      return List.of();
    }
    return found;
  }

  /** What a program prints; empty where there is none, or it fails, or takes too long. */
  Optional<String> run(String... command) {
    List<String> placed = new ArrayList<>(List.of(command));
    if (!programs.isEmpty()) {
      placed.set(0, Path.of(programs, command[0]).toString());
    }
    try {
      Process process =
          new ProcessBuilder(placed).redirectError(ProcessBuilder.Redirect.DISCARD).start();
      process.getOutputStream().close();
      var watchdog =
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      if (!process.waitFor(COMMAND_SECONDS_MAX, TimeUnit.SECONDS)) {
                        process.destroyForcibly();
                      }
                    } catch (InterruptedException e) {
                      Thread.currentThread().interrupt();
                    }
                  });
      byte[] out = process.getInputStream().readNBytes(OUTPUT_BYTES_MAX);
      int status = process.waitFor();
      watchdog.interrupt();
      return status == 0
          ? Optional.of(new String(out, java.nio.charset.StandardCharsets.UTF_8).strip())
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.empty();
    }
  }
}
