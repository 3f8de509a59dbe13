package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.InstantSource;
import java.time.LocalDate;
import java.time.ZoneOffset;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * How much may be spent for one request and on one day (UTC), in pico-dollars. What is about to be
 * signed is reserved first, so that requests at the same time cannot exceed a cap together. The
 * day's sum stands in a file, locked while it changes: it holds across restarts, and for all
 * processes that share the file.
 */
public final class SpendingCaps {
  /** The day's sum cannot be read or noted, and so nothing may be spent. */
  public static final class UnavailableException extends IOException {
    private static final long serialVersionUID = 1L;

    UnavailableException(Path file, IOException cause) {
      super(
          "today's spending cannot be noted in "
              + file
              + ", so nothing was paid: "
              + cause.getMessage(),
          cause);
    }
  }

  private final BigInteger perRequestMax;
  private final BigInteger perDayMax;
  private final Path file;
  private final InstantSource clock;

  /**
   * @param perRequestMax pico-dollars
   * @param perDayMax pico-dollars
   * @param file where the day's sum is kept
   * @throws IOException where the file is there and cannot be read
   */
  public SpendingCaps(
      BigInteger perRequestMax, BigInteger perDayMax, Path file, InstantSource clock)
      throws IOException {
    this.perRequestMax = perRequestMax;
    this.perDayMax = perDayMax;
    this.file = file;
    this.clock = clock;
    var unused = spentToday();
  }

  public BigInteger perRequestMax() {
    return perRequestMax;
  }

  /**
   * Reserves an amount, durably.
   *
   * @return whether both caps allow it; where not, nothing is reserved
   * @throws UnavailableException where that cannot be noted; nothing is reserved
   */
  public synchronized boolean reserve(BigInteger pico) throws IOException {
    try (FileChannel channel = lockFile();
        FileLock lock = channel.lock()) {
      BigInteger after = spentToday().add(pico);
      if (pico.compareTo(perRequestMax) > 0 || after.compareTo(perDayMax) > 0) {
        return false;
      }
      store(after);
      return lock.isValid();
    } catch (IOException e) {
      throw new UnavailableException(file, e);
    }
  }

  /** Gives back what was reserved and certainly not paid. */
  public synchronized void release(BigInteger pico) throws IOException {
    try (FileChannel channel = lockFile();
        FileLock lock = channel.lock()) {
      if (lock.isValid()) {
        store(spentToday().subtract(pico).max(BigInteger.ZERO));
      }
    }
  }

  private FileChannel lockFile() throws IOException {
    return FileChannel.open(
        file.resolveSibling(file.getFileName() + ".lock"),
        StandardOpenOption.CREATE,
        StandardOpenOption.WRITE);
  }

  /** What was spent today, by everybody who shares the file. */
  public BigInteger spentToday() throws IOException {
    if (!Files.exists(file)) {
      return BigInteger.ZERO;
    }
    try {
      JsonNode json = Json.parse(Files.readAllBytes(file));
      return today().toString().equals(Json.text(json, "day"))
          ? new BigInteger(String.valueOf(Json.text(json, "spentPico")))
          : BigInteger.ZERO;
    } catch (Json.MalformedJsonException | NumberFormatException e) {
      throw new IOException(
          file + " cannot be read, so today's spending is not known; mend or remove it");
    }
  }

  private LocalDate today() {
    return LocalDate.ofInstant(clock.instant(), ZoneOffset.UTC);
  }

  private void store(BigInteger sum) throws IOException {
    ObjectNode json = Json.object();
    json.put("day", today().toString());
    json.put("spentPico", sum.toString());
    Path next = file.resolveSibling(file.getFileName() + ".next");
    Files.write(next, Json.writeBytes(json));
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }
}
