package dev.gridtie.gateway.till;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.StoreException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Which gateways write this database, and which of them is this one. Each has a number that it lets
 * grow; one whose number has stood still for a while, by the clock of whoever looks, is gone, and
 * what it was doing is taken over. State: the numbers last seen, guarded by the monitor.
 */
public final class Presence implements AutoCloseable {
  /** How often a gateway lets its number grow. */
  static final Duration BEAT_EVERY = Duration.ofSeconds(3);

  /** A gateway whose number has stood still for so long is gone. */
  static final Duration GONE_AFTER = Duration.ofSeconds(15);

  /** A gateway that has not grown its number for so long does nothing that others could undo. */
  static final Duration STALE_AFTER = Duration.ofSeconds(9);

  /** Whoever has a file has it alone, in this run and the next. */
  private static final String ALONE = "here";

  /** A number, and when it was first seen, in nanoseconds. */
  private record Seen(long beat, long since) {}

  private final Database database;
  private final String id;
  private final boolean isAlone;
  private final LongSupplier nanoTime;
  private final Map<String, Seen> others = new HashMap<>();
  private final Set<String> gone = new HashSet<>();

  /** Locked as long as this gateway has its home, and says who it is. */
  private final @Nullable FileChannel home;

  private final Thread thread;
  private volatile boolean closed;
  private volatile long lastBeat;
  private final AtomicLong joined = new AtomicLong();

  /**
   * Joins those that write this database.
   *
   * @param nanoTime {@link System#nanoTime}
   */
  public Presence(Database database, RandomGenerator random, LongSupplier nanoTime) {
    this.database = database;
    this.isAlone = database.where() instanceof Location.OnFile;
    this.id = isAlone ? ALONE : Ids.random("gw-", random);
    this.nanoTime = nanoTime;
    this.thread = Thread.ofPlatform().name("presence").daemon(true).unstarted(this::run);
    this.home = isAlone ? null : takeHome(database.where().head().resolveSibling("gateway.id"));
    if (isAlone) {
      forgetAll();
    } else {
      beat();
      look();
      thread.start();
    }
  }

  /** Whoever is known of wrote this ledger where it was before. */
  private void forgetAll() {
    int unused =
        database.write(
            (c, log) -> {
              try (PreparedStatement delete = c.prepareStatement("DELETE FROM gateway")) {
                return delete.executeUpdate();
              }
            });
  }

  /** Takes the home: whoever had it before has ended, and is forgotten at once. */
  private FileChannel takeHome(Path file) {
    try {
      FileChannel channel =
          FileChannel.open(
              file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      if (!isLocked(channel)) {
        channel.close();
        throw new StoreException(
            file.getParent() + " is in use by another gateway; choose another --home");
      }
      String before = Files.readString(file, US_ASCII).strip();
      if (!before.isEmpty()) {
        boolean unused =
            database.write(
                (c, log) -> {
                  forget(c, before);
                  return true;
                });
      }
      channel.truncate(0);
      int written = channel.write(ByteBuffer.wrap(id.getBytes(US_ASCII)), 0);
      return channel;
    } catch (IOException e) {
      throw new StoreException("taking the home of " + file, e);
    }
  }

  private static boolean isLocked(FileChannel channel) throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  /** This gateway; on PostgreSQL, in this run. */
  public String id() {
    return id;
  }

  private void run() {
    while (!closed) {
      try {
        Thread.sleep(BEAT_EVERY);
        beat();
        look();
      } catch (InterruptedException e) {
        return;
      } catch (StoreException e) {
        // Whoever cannot reach the database is gone for the others in a while, and right so.
      }
    }
  }

  private void beat() {
    long now = nanoTime.getAsLong();
    boolean forgotten =
        database.write(
            (c, log) -> {
              try (PreparedStatement grow =
                  c.prepareStatement("UPDATE gateway SET beat = beat + 1 WHERE id = ?")) {
                grow.setString(1, id);
                if (grow.executeUpdate() == 1) {
                  return false;
                }
              }
              try (PreparedStatement insert =
                  c.prepareStatement("INSERT INTO gateway (id, beat) VALUES (?, 1)")) {
                insert.setString(1, id);
                return insert.executeUpdate() == 1;
              }
            });
    if (forgotten) {
      joined.incrementAndGet();
    }
    lastBeat = now;
  }

  /** Tells the others, who may have forgotten it, that it is there. */
  public void rejoin() {
    beat();
  }

  /**
   * Sees to it that the others know of this gateway. Blocks where they may have forgotten it.
   *
   * @return which time it is that it has joined them: what it had leased before is void
   */
  public long assured() {
    if (!isCurrent()) {
      beat();
    }
    return joined.get();
  }

  private void look() {
    Map<String, Long> beats =
        database.read(
            c -> {
              Map<String, Long> all = new HashMap<>();
              try (PreparedStatement select = c.prepareStatement("SELECT id, beat FROM gateway");
                  ResultSet row = select.executeQuery()) {
                while (row.next()) {
                  all.put(row.getString(1), row.getLong(2));
                }
              }
              return all;
            });
    note(beats, nanoTime.getAsLong());
  }

  private synchronized void note(Map<String, Long> beats, long now) {
    others.keySet().retainAll(beats.keySet());
    gone.retainAll(beats.keySet());
    beats.forEach(
        (other, beat) -> {
          Seen seen = others.get(other);
          if (other.equals(id)) {
            return;
          }
          if (seen == null || seen.beat() != beat) {
            others.put(other, new Seen(beat, now));
            gone.remove(other);
          } else if (now - seen.since() > GONE_AFTER.toNanos()) {
            gone.add(other);
          }
        });
  }

  /** Whether this is the one gateway that the database has. */
  public boolean isAlone() {
    return isAlone;
  }

  /** How many gateways write the database, this one included. */
  public synchronized int count() {
    return 1 + others.size() - gone.size();
  }

  /** Whether this is the one that does what only one should: the first by name of those alive. */
  public synchronized boolean isFirst() {
    return others.keySet().stream()
        .filter(o -> !gone.contains(o))
        .allMatch(o -> o.compareTo(id) > 0);
  }

  /** Whether the others can be sure that this gateway is not gone. */
  private boolean isCurrent() {
    return isAlone || nanoTime.getAsLong() - lastBeat < STALE_AFTER.toNanos();
  }

  /** Whether somebody else is alive who is called this; one who has just come is. */
  public boolean isAliveElsewhere(Connection c, String owner) throws SQLException {
    if (owner.isEmpty() || owner.equals(id)) {
      return false;
    }
    synchronized (this) {
      if (others.containsKey(owner)) {
        return !gone.contains(owner);
      }
    }
    try (PreparedStatement select = c.prepareStatement("SELECT 1 FROM gateway WHERE id = ?")) {
      select.setString(1, owner);
      try (ResultSet row = select.executeQuery()) {
        return row.next();
      }
    }
  }

  /** Those that have gone and are not forgotten yet. */
  public synchronized Set<String> gone() {
    return Set.copyOf(gone);
  }

  /** Everything of a gateway that has gone was taken over; what it had leased is void. */
  public void forget(Connection c, String other) throws SQLException {
    try (PreparedStatement delete =
        c.prepareStatement("DELETE FROM budget_lease WHERE gateway = ?")) {
      delete.setString(1, other);
      int unused = delete.executeUpdate();
    }
    try (PreparedStatement delete = c.prepareStatement("DELETE FROM gateway WHERE id = ?")) {
      delete.setString(1, other);
      int unused = delete.executeUpdate();
    }
  }

  /** Leaves: the others find it gone in a while, and take over what is to be looked after. */
  @Override
  public void close() {
    if (home == null) {
      return;
    }
    closed = true;
    thread.interrupt();
    try {
      thread.join(Duration.ofSeconds(2));
      home.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      // The lock goes with the process.
    }
  }
}
