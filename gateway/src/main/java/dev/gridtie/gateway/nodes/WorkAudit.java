package dev.gridtie.gateway.nodes;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.grid.model.Manifest;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Verifier;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * Holds what nodes were paid to what they did, trusting neither table: each part's worth by the
 * formula, each payment's evidence and amount by its parts, each node's sums by all of them; and
 * that no payment in the ledger lacks its parts. Looks on while a ledger is verified.
 */
public final class WorkAudit implements Verifier.Watcher {
  /** What the ledger calls the hash of the parts that are paid together. */
  static final String KIND = "grid-work";

  private static final int FETCH_ROWS = 2_000;

  private final Verifier.Watcher other;
  private final Set<String> witnessed = new HashSet<>();
  private final Map<String, Manifest> models = new HashMap<>();
  private final Map<Whose, BigInteger> sums = new HashMap<>();
  private boolean fromTheBeginning = true;
  private long parts;
  private long payments;
  private long older;

  private record Whose(String node, String pool) {}

  /** Ends an audit at the first problem; never leaves this class. */
  private static final class Found extends Exception {
    private static final long serialVersionUID = 1L;

    Found(String problem) {
      super(problem);
    }
  }

  /**
   * @param other looks on as well, and is asked first
   */
  public WorkAudit(Verifier.Watcher other) {
    this.other = other;
  }

  static String witnessId(String batch) {
    return Ids.derived(KIND + " " + batch);
  }

  /** Parts of answers that were looked at. */
  public long parts() {
    return parts;
  }

  /** Payments that they were held to. */
  public long payments() {
    return payments;
  }

  /** Parts of a form in which they cannot be held to anything. */
  public long older() {
    return older;
  }

  @Override
  public void entry(long seq, String canonical) {
    other.entry(seq, canonical);
    if (canonical.contains("\"kind\":\"" + KIND + "\"")) {
      try {
        JsonNode json = Json.parse(canonical.getBytes(java.nio.charset.StandardCharsets.UTF_8));
        witnessed.add(json.path("id").asString(""));
      } catch (Json.MalformedJsonException e) {
        throw new IllegalStateException("an entry that was replayed is JSON", e);
      }
    }
  }

  @Override
  public String state() {
    return other.state();
  }

  @Override
  public void resume(long seq, String state) {
    fromTheBeginning = false;
    other.resume(seq, state);
  }

  @Override
  public Optional<String> end(Connection c) throws SQLException {
    Optional<String> problem = other.end(c);
    if (problem.isPresent() || !hasTables(c)) {
      return problem;
    }
    try {
      readModels(c);
      readParts(c);
      checkSums(c);
      if (fromTheBeginning && !witnessed.isEmpty()) {
        throw new Found(
            "entry " + witnessed.iterator().next() + ": the nodes' work that it pays is missing");
      }
      return Optional.empty();
    } catch (Found e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  /** A ledger that no gateway has used, or none of this version, has no nodes' work. */
  private static boolean hasTables(Connection c) throws SQLException {
    try (ResultSet table = c.getMetaData().getTables(null, null, "grid_manifest", null)) {
      return table.next();
    }
  }

  private void readModels(Connection c) throws SQLException, Found {
    try (PreparedStatement select = c.prepareStatement("SELECT hash, json FROM grid_manifest");
        ResultSet row = select.executeQuery()) {
      while (row.next()) {
        String hash = row.getString("hash");
        try {
          byte[] bytes = row.getString("json").getBytes(java.nio.charset.StandardCharsets.UTF_8);
          Manifest model = Manifest.of(Json.parse(bytes));
          if (!model.hash().equals(hash)) {
            throw new Found("model " + hash + " was changed: its hash is " + model.hash());
          }
          models.put(hash, model);
        } catch (Json.MalformedJsonException | IllegalArgumentException e) {
          throw new Found("model " + hash + " was changed: " + e.getMessage());
        }
      }
    }
  }

  private void readParts(Connection c) throws SQLException, Found {
    try (PreparedStatement select =
        c.prepareStatement("SELECT * FROM grid_work WHERE manifest <> '' ORDER BY batch")) {
      select.setFetchSize(FETCH_ROWS);
      try (ResultSet row = select.executeQuery()) {
        List<Part> batch = new ArrayList<>();
        while (row.next()) {
          Part part = Part.of(row);
          if (!batch.isEmpty() && !batch.getFirst().batch().equals(part.batch())) {
            checkBatch(c, batch);
            batch.clear();
          }
          batch.add(part);
          checkPart(part);
        }
        if (!batch.isEmpty()) {
          checkBatch(c, batch);
        }
      }
    }
  }

  private void checkPart(Part part) throws Found {
    parts++;
    Manifest model = models.get(part.manifest());
    if (model == null) {
      throw new Found("work " + part.id() + " is of a model that is not known");
    }
    BigInteger worth = part.worth(model);
    if (!worth.equals(part.flop())) {
      throw new Found("work " + part.id() + " is worth " + worth + " FLOP, not " + part.flop());
    }
    sums.merge(new Whose(part.node(), part.pool()), worth, BigInteger::add);
  }

  /** Parts that were paid together are those of the evidence, and were paid what they are worth. */
  private void checkBatch(Connection c, List<Part> batch) throws SQLException, Found {
    Part first = batch.getFirst();
    String name = "work " + first.id() + " of " + first.node();
    LedgerReader ledger = new LedgerReader(c);
    String witness = witnessId(first.batch());
    Optional<Entry> entry = ledger.entry(witness);
    if (entry.isEmpty()) {
      if (!Standing.read(c, first.node(), first.pool()).openBatch().equals(first.batch())) {
        throw new Found(name + " was never paid");
      }
      return;
    }
    boolean same =
        entry.get() instanceof Entry.Witness w
            && w.kind().equals(KIND)
            && w.sha256().equals(Part.evidence(batch));
    if (!same) {
      throw new Found(name + " is not what entry " + witness + " is the evidence of");
    }
    witnessed.remove(witness);
    payments++;
    BigInteger paid = paid(ledger, first.batch()).multiply(Credits.FLOP_PER_MICRO);
    BigInteger worth = batch.stream().map(Part::flop).reduce(BigInteger.ZERO, BigInteger::add);
    if (paid.subtract(worth).abs().compareTo(Credits.FLOP_PER_MICRO) >= 0) {
      throw new Found(name + " was paid " + paid + " FLOP, and is worth " + worth);
    }
  }

  /** Micro-credits that were minted for a batch, or put in escrow. */
  private static BigInteger paid(LedgerReader ledger, String batch) throws SQLException {
    Optional<Entry> minted = ledger.entry(Credits.mintId(batch));
    Optional<Entry> kept = ledger.entry(Credits.escrowId(batch));
    return kept.or(() -> minted)
        .map(
            e ->
                switch (e) {
                  case Entry.Transfer t -> t.amount();
                  case Entry.Hold h -> h.amount();
                  default -> BigInteger.ZERO;
                })
        .orElse(BigInteger.ZERO);
  }

  private void checkSums(Connection c) throws SQLException, Found {
    older = count(c, "SELECT count(*) FROM grid_work WHERE manifest = ''");
    if (older > 0) {
      return;
    }
    try (PreparedStatement select = c.prepareStatement("SELECT * FROM grid_node");
        ResultSet row = select.executeQuery()) {
      while (row.next()) {
        Standing standing = Standing.of(row);
        BigInteger paid = standing.earned().multiply(Credits.FLOP_PER_MICRO).add(standing.carry());
        BigInteger worth = sums.remove(new Whose(standing.node(), standing.pool()));
        if (!paid.equals(worth)) {
          throw new Found(
              "node "
                  + standing.node()
                  + " was paid "
                  + paid
                  + " FLOP, and its work is worth "
                  + worth);
        }
      }
    }
    if (!sums.isEmpty()) {
      throw new Found("node " + sums.keySet().iterator().next().node() + " was never paid");
    }
  }

  private static long count(Connection c, String query) throws SQLException {
    try (PreparedStatement select = c.prepareStatement(query);
        ResultSet row = select.executeQuery()) {
      return row.next() ? row.getLong(1) : 0;
    }
  }
}
