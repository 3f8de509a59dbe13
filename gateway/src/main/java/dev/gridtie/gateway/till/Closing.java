package dev.gridtie.gateway.till;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.StoreException;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.InstantSource;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.HexFormat;
import java.util.Optional;

/**
 * Closes each day's books once it is over: what moved, and what was open at its end, as canonical
 * JSON whose hash goes into the log. Days are UTC's. An entry that comes after its day was closed
 * counts to the next.
 */
public final class Closing implements AutoCloseable {
  /** How often it is looked whether a day is over. */
  private static final Duration EVERY = Duration.ofSeconds(30);

  /** How long after midnight a day is closed: what was on its way has arrived. */
  private static final Duration AFTER = Duration.ofMinutes(5);

  private final Database database;
  private final InstantSource clock;
  private final Thread thread;

  public Closing(Database database, InstantSource clock) {
    this.database = database;
    this.clock = clock;
    this.thread = Thread.ofVirtual().name("closing").start(this::run);
  }

  private void run() {
    LocalDate looked = LocalDate.MIN; // whether anything happened is read from the log, once a day
    while (!Thread.currentThread().isInterrupted()) {
      try {
        LocalDate over =
            LocalDate.ofInstant(clock.instant().minus(AFTER), ZoneOffset.UTC).minusDays(1);
        if (!over.equals(looked)) {
          Optional<String> unused = close(database, over, clock);
          looked = over;
        }
        Thread.sleep(EVERY);
      } catch (InterruptedException e) {
        return;
      } catch (StoreException e) {
        rest(); // the day is closed when the ledger can be written again
      } catch (RuntimeException e) {
        System.err.println("gridtie: a day is not closed: " + e);
        rest();
      }
    }
  }

  private static void rest() {
    try {
      Thread.sleep(EVERY);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** A day that was closed. */
  public record Closed(LocalDate day, long untilSeq, String json) {}

  /** The last day that was closed. */
  public static Optional<Closed> last(Connection c) throws SQLException {
    return read(c, "SELECT day, until_seq, json FROM closing ORDER BY day DESC LIMIT 1", "");
  }

  /** A day's closed books. */
  public static Optional<Closed> of(Connection c, LocalDate day) throws SQLException {
    return read(c, "SELECT day, until_seq, json FROM closing WHERE day = ?", day.toString());
  }

  private static Optional<Closed> read(Connection c, String sql, String day) throws SQLException {
    try (PreparedStatement select = c.prepareStatement(sql)) {
      if (!day.isEmpty()) {
        select.setString(1, day);
      }
      try (ResultSet row = select.executeQuery()) {
        return row.next()
            ? Optional.of(
                new Closed(LocalDate.parse(row.getString(1)), row.getLong(2), row.getString(3)))
            : Optional.empty();
      }
    }
  }

  /**
   * Closes the books up to the end of a day, if that was not done.
   *
   * @return the closed books' JSON; empty where the day is closed already, or nothing has happened
   */
  public static Optional<String> close(Database database, LocalDate day, InstantSource clock) {
    Optional<Closed> before = database.read(Closing::last);
    if (before.isPresent() && !before.get().day().isBefore(day)) {
      return Optional.empty();
    }
    long from = before.map(Closed::untilSeq).orElse(0L);
    Books books =
        database.read(
            c ->
                Books.of(
                    c,
                    from,
                    new LedgerReader(c).size(),
                    day.plusDays(1).atStartOfDay(ZoneOffset.UTC).toInstant()));
    if (books.untilSeq() == from) {
      return Optional.empty();
    }
    String json = Json.canonical(books.toJson().put("day", day.toString()));
    String hash = HexFormat.of().formatHex(Hashes.sha256(json.getBytes(UTF_8)));
    return database.write(
        (c, log) -> {
          if (of(c, day).isPresent()) {
            return Optional.empty(); // another gateway has been faster
          }
          try (PreparedStatement insert =
              c.prepareStatement("INSERT INTO closing (day, until_seq, json) VALUES (?, ?, ?)")) {
            insert.setString(1, day.toString());
            insert.setLong(2, books.untilSeq());
            insert.setString(3, json);
            int unused = insert.executeUpdate();
          }
          log.apply(
              new Entry.Witness(Ids.derived("closing " + day), clock.instant(), "closing", hash));
          return Optional.of(json);
        });
  }

  @Override
  public void close() {
    thread.interrupt();
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
