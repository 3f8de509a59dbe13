package dev.gridtie.gateway.nodes;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.grid.fleet.WorkDone;
import dev.gridtie.grid.pay.PayFormula;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.ledger.StoreException;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Pays nodes for what they have done. One thread writes what has come in together: a row for each
 * part of an answer, and an entry for each node, whose evidence is the hash of its rows. What is
 * less than a micro-credit is carried over to the next time. Work of a pool whose operator vouches
 * for it is minted; other work is kept in escrow until it is verified.
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
    ArrayNode evidence = Json.array();
    long tokens = 0;
    String batch = Ids.derived("batch " + works.getFirst().id());
    for (WorkDone work : works) {
      // What a stranger says of its own electricity is worth nothing.
      PayFormula.Energy energy =
          work.vouched()
              ? new PayFormula.Energy(work.joules(), flopPerKwh)
              : PayFormula.Energy.UNKNOWN;
      BigInteger worth =
          PayFormula.pay(
              work.manifest(), work.quantization(), work.work(), work.reliabilityPpm(), energy);
      if (insert(c, work, worth, batch, now)) {
        flop = flop.add(worth);
        tokens += work.work().decodeTokens();
        evidence.add(row(work, worth));
      }
    }
    BigInteger[] micro = flop.divideAndRemainder(Credits.FLOP_PER_MICRO);
    boolean pending = !first.vouched();
    if (micro[0].signum() > 0) {
      mint(c, log, first, batch, micro[0].multiply(Credits.FLOP_PER_MICRO), evidence, now);
    }
    before.plus(micro[1], tokens, evidence.size(), micro[0], pending).write(c);
    return new Paid(first.node(), micro[0].longValueExact(), pending);
  }

  private void mint(
      Connection c,
      LedgerTx log,
      WorkDone first,
      String batch,
      BigInteger flop,
      ArrayNode evidence,
      Instant now)
      throws SQLException, RefusedException {
    boolean shared = !first.pool().isEmpty() && sharedPool.apply(first.pool());
    String holder = shared ? "pool:" + first.pool() : first.node();
    if (first.vouched()) {
      byte[] hash = Hashes.sha256(Json.canonical(evidence).getBytes(UTF_8));
      BigInteger unused =
          Credits.mint(
              c,
              log,
              new Credits.VerifiedWork(batch, holder, flop, HexFormat.of().formatHex(hash)),
              now);
    } else {
      BigInteger unused = Credits.escrow(log, batch, holder, flop, now);
    }
  }

  private static ObjectNode row(WorkDone work, BigInteger flop) {
    ObjectNode json = Json.object();
    json.put("id", work.id());
    json.put("node", work.node());
    json.put("model", work.manifest().id());
    json.put("quantization", work.quantization());
    json.put("prefill", work.work().prefillTokens());
    json.put("decode", work.work().decodeTokens());
    json.put("flop", flop.toString());
    return json;
  }

  /** Whether it was not there before. */
  private static boolean insert(
      Connection c, WorkDone work, BigInteger flop, String batch, Instant now) throws SQLException {
    try (PreparedStatement insert =
        c.prepareStatement(
            "INSERT INTO grid_work (id, node, pool, model, quantization, prefill, decode, flop, batch,"
                + " created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")) {
      insert.setString(1, work.id());
      insert.setString(2, work.node());
      insert.setString(3, work.pool());
      insert.setString(4, work.manifest().id());
      insert.setString(5, work.quantization());
      insert.setInt(6, work.work().prefillTokens());
      insert.setInt(7, work.work().decodeTokens());
      insert.setString(8, flop.toString());
      insert.setString(9, batch);
      insert.setLong(10, now.toEpochMilli());
      return insert.executeUpdate() == 1;
    }
  }

  /**
   * What a node has come to in a pool.
   *
   * @param carry FLOP that are less than a micro-credit
   * @param released micro-credits that were minted for it
   * @param pending micro-credits that were put in escrow for it, ever
   */
  public record Standing(
      String node,
      String pool,
      BigInteger carry,
      long tokens,
      long parts,
      BigInteger released,
      BigInteger pending) {
    static Standing read(Connection c, String node, String pool) throws SQLException {
      try (PreparedStatement select =
          c.prepareStatement("SELECT * FROM grid_node WHERE address = ? AND pool = ?")) {
        select.setString(1, node);
        select.setString(2, pool);
        try (ResultSet row = select.executeQuery()) {
          return row.next()
              ? of(row)
              : new Standing(node, pool, BigInteger.ZERO, 0, 0, BigInteger.ZERO, BigInteger.ZERO);
        }
      }
    }

    private static Standing of(ResultSet row) throws SQLException {
      return new Standing(
          row.getString("address"),
          row.getString("pool"),
          new BigInteger(row.getString("carry")),
          row.getLong("tokens"),
          row.getLong("answers"),
          new BigInteger(row.getString("released")),
          new BigInteger(row.getString("pending")));
    }

    /** Of all nodes of a pool, the one that has done most first. */
    public static List<Standing> all(Connection c, String pool) throws SQLException {
      List<Standing> all = new ArrayList<>();
      try (PreparedStatement select =
          c.prepareStatement("SELECT * FROM grid_node WHERE pool = ? ORDER BY tokens DESC")) {
        select.setString(1, pool);
        try (ResultSet row = select.executeQuery()) {
          while (row.next()) {
            all.add(of(row));
          }
        }
      }
      return all;
    }

    Standing plus(
        BigInteger newCarry, long moreTokens, int moreParts, BigInteger micro, boolean isPending) {
      return new Standing(
          node,
          pool,
          newCarry,
          tokens + moreTokens,
          parts + moreParts,
          isPending ? released : released.add(micro),
          isPending ? pending.add(micro) : pending);
    }

    void write(Connection c) throws SQLException {
      try (PreparedStatement upsert =
          c.prepareStatement(
              "INSERT INTO grid_node (address, pool, carry, tokens, answers, released, pending)"
                  + " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (address, pool) DO UPDATE SET"
                  + " carry = excluded.carry, tokens = excluded.tokens, answers = excluded.answers,"
                  + " released = excluded.released, pending = excluded.pending")) {
        upsert.setString(1, node);
        upsert.setString(2, pool);
        upsert.setString(3, carry.toString());
        upsert.setLong(4, tokens);
        upsert.setLong(5, parts);
        upsert.setString(6, released.toString());
        upsert.setString(7, pending.toString());
        int unused = upsert.executeUpdate();
      }
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
