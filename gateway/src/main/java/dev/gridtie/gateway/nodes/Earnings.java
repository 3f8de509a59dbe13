package dev.gridtie.gateway.nodes;

import dev.gridtie.gateway.till.Credits;
import dev.gridtie.grid.fleet.WorkDone;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.ledger.StoreException;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * Pays nodes for what they have done. One thread writes what has come in together: a row for each
 * part of an answer, and an entry for each node, whose evidence is the hash of the rows since the
 * last one. What is less than a micro-credit is carried over to the next time. Work of a pool whose
 * operator vouches for it is minted; other work is kept in escrow until it is verified.
 */
public final class Earnings implements AutoCloseable {
  /** How much may wait to be written; more is lost, and said so. */
  static final int WAITING_MAX = 100_000;

  private static final int BATCH_MAX = 500;
  private static final long PAUSE_MS = 200;
  private static final int TRIES_MAX = 50;
  private static final int FLUSH_SECONDS_MAX = 5;

  private final Database database;
  private final Function<String, Boolean> sharedPool;
  private final BigInteger flopPerKwh;
  private final InstantSource clock;
  private final Told told;
  private final BlockingQueue<WorkDone> waiting = new LinkedBlockingQueue<>(WAITING_MAX);
  private final Thread thread;

  /** Models that are known to be in the database: no more than are offered. */
  private final Set<String> kept = ConcurrentHashMap.newKeySet();

  private volatile boolean closed;

  /** Hears what a node was paid. */
  public interface Told {
    void paid(String address, long micro, boolean pending);
  }

  /**
   * @param sharedPool whether a pool's earnings are the pool's
   * @param flopPerKwh what electricity costs, in FLOP; 0 where that is not known
   */
  public Earnings(
      Database database,
      Function<String, Boolean> sharedPool,
      BigInteger flopPerKwh,
      InstantSource clock,
      Told told) {
    this.database = database;
    this.sharedPool = sharedPool;
    this.flopPerKwh = flopPerKwh;
    this.clock = clock;
    this.told = told;
    this.thread = Thread.ofVirtual().name("earnings").start(this::write);
  }

  /** Takes note of work; never blocks. */
  public void add(WorkDone work) {
    if (!waiting.offer(work)) {
      System.err.println("gridtie: work of " + work.node() + " is not paid: too much waits");
    }
  }

  private void write() {
    List<WorkDone> batch = new ArrayList<>();
    while (!closed || !waiting.isEmpty()) {
      try {
        WorkDone first = waiting.poll(PAUSE_MS, TimeUnit.MILLISECONDS);
        if (first == null) {
          continue;
        }
        batch.add(first);
        waiting.drainTo(batch, BATCH_MAX - 1);
        write(batch);
        batch.clear();
        Thread.sleep(PAUSE_MS); // what comes meanwhile is written together
      } catch (InterruptedException e) {
        // Closing: what waits is written still.
      }
    }
  }

  /** Until it is written, or the gateway ends. */
  private void write(List<WorkDone> batch) throws InterruptedException {
    Map<String, List<WorkDone>> byNode = new LinkedHashMap<>();
    batch.forEach(
        w -> byNode.computeIfAbsent(w.node() + " " + w.pool(), k -> new ArrayList<>()).add(w));
    for (int i = 0; i < TRIES_MAX; i++) {
      try {
        List<Paid> paid =
            database.writeOrRefuse(
                (c, log) -> {
                  List<Paid> all = new ArrayList<>();
                  for (List<WorkDone> works : byNode.values()) {
                    all.add(pay(c, log, works));
                  }
                  return all;
                });
        batch.forEach(w -> kept.add(w.manifestHash()));
        paid.stream()
            .filter(p -> p.micro() > 0)
            .forEach(p -> told.paid(p.node(), p.micro(), p.pending()));
        return;
      } catch (RefusedException e) {
        System.err.println("gridtie: work is not paid: " + e.why());
        return;
      } catch (StoreException e) {
        Thread.sleep(closed ? 10 : PAUSE_MS * Math.min(25, i + 1));
      }
    }
    System.err.println("gridtie: work is not paid: the ledger cannot be written");
  }

  private record Paid(String node, long micro, boolean pending) {}

  private Paid pay(Connection c, LedgerTx log, List<WorkDone> works)
      throws SQLException, RefusedException {
    WorkDone first = works.getFirst();
    Instant now = clock.instant();
    Standing before = Standing.read(c, first.node(), first.pool());
    BigInteger flop = before.carry();
    long tokens = 0;
    int parts = 0;
    for (WorkDone work : works) {
      keep(c, work);
      Part part = Part.of(work, flopPerKwh, before.openBatch());
      if (part.insert(c, now)) {
        flop = flop.add(part.flop());
        tokens += work.work().decodeTokens();
        parts++;
      }
    }
    BigInteger[] micro = flop.divideAndRemainder(Credits.FLOP_PER_MICRO);
    boolean pending = !first.vouched();
    if (micro[0].signum() > 0) {
      BigInteger whole = micro[0].multiply(Credits.FLOP_PER_MICRO);
      credit(c, log, first, before.openBatch(), whole, now);
    }
    before.plus(micro[1], tokens, parts, micro[0], pending).write(c);
    return new Paid(first.node(), micro[0].longValueExact(), pending);
  }

  /** The model's shape, by which its work was counted. */
  private void keep(Connection c, WorkDone work) throws SQLException {
    if (kept.contains(work.manifestHash())) {
      return;
    }
    try (PreparedStatement insert =
        c.prepareStatement(
            "INSERT INTO grid_manifest (hash, json) VALUES (?, ?) ON CONFLICT DO NOTHING")) {
      insert.setString(1, work.manifestHash());
      insert.setString(2, work.manifest().canonical());
      int unused = insert.executeUpdate();
    }
  }

  private void credit(
      Connection c, LedgerTx log, WorkDone first, String batch, BigInteger flop, Instant now)
      throws SQLException, RefusedException {
    boolean shared = !first.pool().isEmpty() && sharedPool.apply(first.pool());
    String holder = shared ? "pool:" + first.pool() : first.node();
    String evidence = Part.evidence(Part.ofBatch(c, batch));
    LedgerTx.Applied unusedToo =
        log.apply(new Entry.Witness(WorkAudit.witnessId(batch), now, WorkAudit.KIND, evidence));
    if (first.vouched()) {
      BigInteger unused =
          Credits.mint(c, log, new Credits.VerifiedWork(batch, holder, flop, evidence), now);
    } else {
      BigInteger unused = Credits.escrow(log, batch, holder, flop, now);
    }
  }

  /** Writes what waits, and ends. */
  @Override
  public void close() {
    closed = true;
    try {
      boolean unused = thread.join(java.time.Duration.ofSeconds(FLUSH_SECONDS_MAX));
      thread.interrupt();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
