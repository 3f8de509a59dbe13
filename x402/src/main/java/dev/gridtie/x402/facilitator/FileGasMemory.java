package dev.gridtie.x402.facilitator;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A {@link GasMemory} in a file of JSON that is replaced in one step. State: the tallies, guarded
 * by this object. One program at a time may have the file; a facilitator's journal sees to that.
 */
public final class FileGasMemory implements GasMemory {
  private final Path file;
  private Map<String, Tally> tallies = new HashMap<>();

  /**
   * Reads what an earlier run has written.
   *
   * @throws IOException where it cannot be read
   */
  public FileGasMemory(Path file) throws IOException {
    this.file = file;
    if (Files.exists(file)) {
      try {
        for (var field : Json.parse(Files.readAllBytes(file)).properties()) {
          JsonNode tally = field.getValue();
          tallies.put(
              field.getKey(),
              new Tally(
                  new BigInteger(tally.path("amount").asString()),
                  Instant.ofEpochSecond(tally.path("until").asLong())));
        }
      } catch (Json.MalformedJsonException | NumberFormatException e) {
        throw new IOException(file + " cannot be read: " + e.getMessage());
      }
    }
  }

  @Override
  public synchronized boolean tryAdd(List<Addition> additions, Instant now) {
    Optional<Map<String, Tally>> sums = GasMemory.sums(tallies, additions, now);
    if (sums.isEmpty()) {
      return false;
    }
    Map<String, Tally> after = new HashMap<>(tallies);
    after.values().removeIf(t -> !t.until().isAfter(now));
    after.putAll(sums.get());
    if (after.size() > TALLIES_MAX) {
      return false;
    }
    try {
      write(after);
    } catch (IOException e) {
      System.err.println("x402 facilitator: " + file + " cannot be written: " + e.getMessage());
      return false;
    }
    tallies = after;
    return true;
  }

  private void write(Map<String, Tally> all) throws IOException {
    ObjectNode json = Json.object();
    all.forEach(
        (name, t) ->
            json.putObject(name)
                .put("amount", t.amount().toString())
                .put("until", t.until().getEpochSecond()));
    Path next = file.resolveSibling(file.getFileName() + ".next");
    try (FileChannel out =
        FileChannel.open(
            next,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.wrap(Json.write(json).getBytes(UTF_8));
      while (bytes.hasRemaining()) {
        int unused = out.write(bytes);
      }
      out.force(true);
    }
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  @Override
  public synchronized Optional<Tally> find(String name, Instant now) {
    return Optional.ofNullable(tallies.get(name)).filter(t -> t.until().isAfter(now));
  }
}
