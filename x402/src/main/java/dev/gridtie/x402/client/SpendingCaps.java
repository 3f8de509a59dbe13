package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.InstantSource;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * How much may be signed away for one request and on one day (UTC), in pico-dollars. What is signed
 * counts before it is sent, and it counts whatever the server answers: on the day it was signed for
 * good, unless the chain shows that it expired unused; and on following days for as long as it can
 * still be settled. The sum stands in a file, locked while it changes: it holds across restarts,
 * and for all processes that share the file.
 */
public final class SpendingCaps {
  /** How many signatures that can still be settled are followed; more are not made. */
  private static final int OPEN_MAX = 1024;

  /** How many expired signatures the chain is asked about to make room for one. */
  private static final int LOOKS_MAX = 16;

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
  private final Path path;
  private final JsonFile file;
  private final InstantSource clock;
  private final NonceWatch watch;

  /**
   * A signature that can still be settled, or of which the chain has not been asked.
   *
   * @param day on which it was signed
   */
  private record Open(
      String id, BigInteger pico, LocalDate day, long until, Optional<Nonce> nonce) {
    ObjectNode toJson() {
      ObjectNode json = Json.object().put("id", id).put("pico", pico.toString());
      json.put("day", day.toString()).put("until", until);
      nonce.ifPresent(n -> json.set("nonce", n.toJson()));
      return json;
    }

    static Open fromJson(JsonNode json) {
      return new Open(
          String.valueOf(Json.text(json, "id")),
          new BigInteger(String.valueOf(Json.text(json, "pico"))),
          LocalDate.parse(String.valueOf(Json.text(json, "day"))),
          json.path("until").asLong(0),
          Nonce.fromJson(json.path("nonce")));
    }
  }

  /**
   * What counts, read from the file.
   *
   * @param signed on this day, and not known to be void
   */
  private record Book(LocalDate day, BigInteger signed, List<Open> open) {
    BigInteger counted() {
      return open.stream()
          .filter(o -> o.day().isBefore(day))
          .map(Open::pico)
          .reduce(signed, BigInteger::add);
    }

    void write(ObjectNode json) {
      json.removeAll();
      json.put("day", day.toString()).put("spentPico", signed.toString());
      ArrayNode all = json.putArray("open");
      open.forEach(o -> all.add(o.toJson()));
    }
  }

  /** {@link #SpendingCaps(BigInteger, BigInteger, Path, InstantSource, NonceWatch)}, no chain. */
  public SpendingCaps(
      BigInteger perRequestMax, BigInteger perDayMax, Path file, InstantSource clock)
      throws IOException {
    this(perRequestMax, perDayMax, file, clock, NonceWatch.NONE);
  }

  /**
   * @param perRequestMax pico-dollars
   * @param perDayMax pico-dollars
   * @param file where the day's sum is kept
   * @param watch tells what has expired unused; without it, what was signed counts for good
   * @throws IOException where the file is there and cannot be read
   */
  public SpendingCaps(
      BigInteger perRequestMax,
      BigInteger perDayMax,
      Path file,
      InstantSource clock,
      NonceWatch watch)
      throws IOException {
    this.perRequestMax = perRequestMax;
    this.perDayMax = perDayMax;
    this.path = file;
    this.file = new JsonFile(file);
    this.clock = clock;
    this.watch = watch;
    var unused = spentToday();
  }

  public BigInteger perRequestMax() {
    return perRequestMax;
  }

  /**
   * Counts what is about to be sent, durably.
   *
   * @param id names the signature
   * @param price what it can take for this request, and what others for the same request can
   * @param pico what it can take in all: more than the price where it also deposits
   * @return whether both caps allow it; where not, nothing is counted
   * @throws UnavailableException where that cannot be noted; nothing is counted
   */
  public boolean reserve(String id, BigInteger price, BigInteger pico, Commitment commitment)
      throws IOException {
    if (price.compareTo(perRequestMax) > 0) {
      return false;
    }
    try {
      return tryReserve(id, pico, commitment) || (dropVoid() && tryReserve(id, pico, commitment));
    } catch (IOException e) {
      throw new UnavailableException(path, e);
    } catch (DateTimeException | NumberFormatException e) {
      throw new UnavailableException(path, new IOException("it is not what was written", e));
    }
  }

  private boolean tryReserve(String id, BigInteger pico, Commitment commitment) throws IOException {
    boolean[] reserved = new boolean[1];
    file.change(
        json -> {
          Book book = book(json);
          boolean follow = Commitment.isOpen(commitment.openUntil(), now().getEpochSecond());
          if (book.counted().add(pico).compareTo(perDayMax) > 0
              || (follow && !hasRoom(book.open()))) {
            return;
          }
          if (follow) {
            book.open()
                .add(new Open(id, pico, book.day(), commitment.openUntil(), commitment.nonce()));
          }
          new Book(book.day(), book.signed().add(pico), book.open()).write(json);
          reserved[0] = true;
        });
    return reserved[0];
  }

  /** Makes room by forgetting what has expired, which then counts for good on its day. */
  private boolean hasRoom(List<Open> open) {
    if (open.size() >= OPEN_MAX) {
      open.removeIf(o -> !Commitment.isOpen(o.until(), now().getEpochSecond()));
    }
    return open.size() < OPEN_MAX;
  }

  /** Stops counting a signature that was never sent. */
  public void withdraw(String id) throws IOException {
    drop(Set.of(), Set.of(id));
  }

  /** Asks the chain about what has expired, and stops counting what was not used. */
  private boolean dropVoid() throws IOException {
    Set<String> used = new HashSet<>();
    Set<String> unused = new HashSet<>();
    long now = now().getEpochSecond();
    read().open().stream()
        .filter(o -> !Commitment.isOpen(o.until(), now) && o.nonce().isPresent())
        .limit(LOOKS_MAX)
        .forEach(
            o -> {
              switch (watch.fate(o.nonce().get(), o.until())) {
                case VOID -> unused.add(o.id());
                case USED -> used.add(o.id());
                case OPEN -> {}
              }
            });
    if (used.isEmpty() && unused.isEmpty()) {
      return false;
    }
    drop(used, unused);
    return !unused.isEmpty();
  }

  /**
   * Stops following signatures.
   *
   * @param counted of them count for good on their day
   * @param unused of them can never move money
   */
  private void drop(Set<String> counted, Set<String> unused) throws IOException {
    file.change(
        json -> {
          Book book = book(json);
          BigInteger back =
              book.open().stream()
                  .filter(o -> unused.contains(o.id()) && o.day().equals(book.day()))
                  .map(Open::pico)
                  .reduce(BigInteger.ZERO, BigInteger::add);
          book.open().removeIf(o -> counted.contains(o.id()) || unused.contains(o.id()));
          new Book(book.day(), book.signed().subtract(back).max(BigInteger.ZERO), book.open())
              .write(json);
        });
  }

  /**
   * What counts today, by everybody who shares the file: what was signed today, and what was signed
   * before and can still be settled.
   */
  public BigInteger spentToday() throws IOException {
    return read().counted();
  }

  private Book read() throws IOException {
    try {
      return book(file.read());
    } catch (IOException | DateTimeException | NumberFormatException e) {
      throw new IOException(
          path + " cannot be read, so today's spending is not known; mend or remove it", e);
    }
  }

  private Instant now() {
    return clock.instant();
  }

  /** What a file says, as of now: of earlier days only what can still be settled. */
  private Book book(ObjectNode json) {
    LocalDate today = LocalDate.ofInstant(now(), ZoneOffset.UTC);
    if (json.isEmpty()) {
      return new Book(today, BigInteger.ZERO, new ArrayList<>());
    }
    LocalDate noted = LocalDate.parse(String.valueOf(Json.text(json, "day")));
    BigInteger signed = new BigInteger(String.valueOf(Json.text(json, "spentPico")));
    boolean over = noted.isBefore(today); // a clock that was set back begins no new day
    List<Open> open = new ArrayList<>();
    for (JsonNode one : json.path("open")) {
      Open o = Open.fromJson(one);
      boolean earlier = o.day().isBefore(over ? today : noted);
      if (!earlier || Commitment.isOpen(o.until(), now().getEpochSecond())) {
        open.add(o);
      }
    }
    return new Book(over ? today : noted, over ? BigInteger.ZERO : signed, open);
  }
}
