package dev.gridtie.grid.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;

/**
 * Something that llama.cpp can compute on here.
 *
 * @param name as its backend calls it, such as {@code CUDA0}
 * @param description of the hardware
 * @param memoryBytes of its own, or of the machine's where it shares it
 * @param freeBytes of these, now
 */
public record Device(String name, String description, Kind kind, long memoryBytes, long freeBytes) {
  /** As ggml orders them (ggml-backend.h). */
  public enum Kind {
    CPU,
    /** A graphics processor with memory of its own. */
    GPU,
    /** One that shares the machine's memory. */
    INTEGRATED,
    /** Something that helps the processor. */
    ACCELERATOR
  }

  /** Drivers may take long to start. */
  private static final int PATIENCE_SECONDS = 60;

  /** Whether a model can live on it instead of the processor. */
  public boolean isGraphics() {
    return kind == Kind.GPU || kind == Kind.INTEGRATED;
  }

  /**
   * Asks the libraries of a folder what there is, in a process of its own: drivers can crash.
   *
   * @param log where its errors go
   * @throws IOException where it cannot be asked, or it ends without an answer
   */
  public static List<Device> all(Path libraries, Path log, Sandbox.Mode sandbox)
      throws IOException {
    Process process =
        EngineChild.start(sandbox, List.of(), EngineChild.with(libraries), log).process();
    Thread watchdog = Thread.ofVirtual().start(() -> endInTime(process));
    try (var in = process.outputWriter(UTF_8);
        var out = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8))) {
      in.write(
          Json.object()
                  .put("devices", true)
                  .put("sandbox", sandbox.name().toLowerCase(Locale.ROOT))
                  .put("libraries", libraries.toString())
              + "\n");
      in.flush();
      String line = out.readLine();
      JsonNode answer = line == null ? Json.object() : Json.trusted(line);
      if (!answer.path("ev").asString("").equals("devices")) {
        throw new IOException(
            answer.path("message").asString("it ended without an answer; see " + log));
      }
      return answer.path("list").valueStream().map(Device::of).toList();
    } finally {
      watchdog.interrupt();
      process.destroyForcibly();
    }
  }

  private static void endInTime(Process process) {
    try {
      if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      // It has answered.
    }
  }

  private static Device of(JsonNode json) {
    return new Device(
        json.path("name").asString(""),
        json.path("description").asString(""),
        Kind.valueOf(json.path("kind").asString("").toUpperCase(Locale.ROOT)),
        json.path("memory").asLong(),
        json.path("free").asLong());
  }
}
