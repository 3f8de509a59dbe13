package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.InstantSource;
import java.time.LocalDate;
import java.time.ZoneOffset;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * How much may be spent for one request and on one day (UTC). What is about to be signed is
 * reserved first, so that requests at the same time cannot exceed a cap together; and it is written
 * to a file first, so that a restart does not start the day anew.
 */
public final class SpendingCaps {
  private final BigInteger perRequestMax;
  private final BigInteger perDayMax;
  private final Path file;
  private final InstantSource clock;
  private LocalDate day;
  private BigInteger spent;

  /**
   * @param perRequestMax atomic units
   * @param perDayMax atomic units
   * @param file where the day's sum is kept
   */
  public SpendingCaps(
      BigInteger perRequestMax, BigInteger perDayMax, Path file, InstantSource clock)
      throws IOException {
    this.perRequestMax = perRequestMax;
    this.perDayMax = perDayMax;
    this.file = file;
    this.clock = clock;
    this.day = today();
    this.spent = BigInteger.ZERO;
    if (Files.exists(file)) {
      try {
        JsonNode json = Json.parse(Files.readAllBytes(file));
        if (day.toString().equals(Json.text(json, "day"))) {
          spent = new BigInteger(String.valueOf(Json.text(json, "spent")));
        }
      } catch (Json.MalformedJsonException | NumberFormatException e) {
        throw new IOException(
            file + " cannot be read, so today's spending is not known; mend or remove it");
      }
    }
  }

  private LocalDate today() {
    return LocalDate.ofInstant(clock.instant(), ZoneOffset.UTC);
  }

  public BigInteger perRequestMax() {
    return perRequestMax;
  }

  /**
   * Reserves an amount, durably.
   *
   * @return whether both caps allow it; where not, nothing is reserved
   */
  public synchronized boolean reserve(BigInteger atomic) throws IOException {
    roll();
    if (atomic.compareTo(perRequestMax) > 0 || spent.add(atomic).compareTo(perDayMax) > 0) {
      return false;
    }
    store(spent.add(atomic));
    return true;
  }

  /** Gives back what was reserved and certainly not paid. */
  public synchronized void release(BigInteger atomic) throws IOException {
    roll();
    store(spent.subtract(atomic).max(BigInteger.ZERO));
  }

  /** What was spent today. */
  public synchronized BigInteger spentToday() {
    roll();
    return spent;
  }

  private void roll() {
    if (!today().equals(day)) {
      day = today();
      spent = BigInteger.ZERO;
    }
  }

  private void store(BigInteger sum) throws IOException {
    ObjectNode json = Json.object();
    json.put("day", day.toString());
    json.put("spent", sum.toString());
    Path next = file.resolveSibling(file.getFileName() + ".next");
    Files.write(next, Json.writeBytes(json));
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    spent = sum;
  }
}
