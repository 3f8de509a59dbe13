package dev.gridtie.gateway.nodes;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import dev.gridtie.grid.fleet.WorkDone;
import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.pay.PayFormula;
import java.math.BigInteger;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A row of {@code grid_work}: what a node did for one answer, and all that its worth was computed
 * from.
 *
 * @param batch that it is paid with
 * @param manifest the model's hash; empty in rows of an older form
 * @param flop what it was worth
 */
record Part(
    String id,
    String node,
    String pool,
    String batch,
    String model,
    String manifest,
    String quantization,
    PayFormula.Work work,
    int reliabilityPpm,
    PayFormula.Energy energy,
    BigInteger flop) {

  /**
   * What work is worth.
   *
   * @param flopPerKwh what electricity costs; a stranger's word on its own counts for nothing
   */
  static Part of(WorkDone done, BigInteger flopPerKwh, String batch) {
    PayFormula.Energy energy =
        done.vouched()
            ? new PayFormula.Energy(done.joules(), flopPerKwh)
            : PayFormula.Energy.UNKNOWN;
    return new Part(
        done.id(),
        done.node(),
        done.pool(),
        batch,
        done.manifest().id(),
        done.manifestHash(),
        done.quantization(),
        done.work(),
        done.reliabilityPpm(),
        energy,
        PayFormula.pay(
            done.manifest(), done.quantization(), done.work(), done.reliabilityPpm(), energy));
  }

  /** What it is worth by the formula, computed anew. */
  BigInteger worth(Manifest model) {
    return PayFormula.pay(model, quantization, work, reliabilityPpm, energy);
  }

  /** Whether it was not there before. */
  boolean insert(Connection c, Instant now) throws SQLException {
    try (PreparedStatement insert =
        c.prepareStatement(
            "INSERT INTO grid_work (id, node, pool, batch, model, manifest, quantization, prefill,"
                + " cached, decode, reliability, joules, flop_per_kwh, flop, created)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")) {
      insert.setString(1, id);
      insert.setString(2, node);
      insert.setString(3, pool);
      insert.setString(4, batch);
      insert.setString(5, model);
      insert.setString(6, manifest);
      insert.setString(7, quantization);
      insert.setInt(8, work.prefillTokens());
      insert.setInt(9, work.cachedTokens());
      insert.setInt(10, work.decodeTokens());
      insert.setInt(11, reliabilityPpm);
      insert.setLong(12, energy.joules());
      insert.setString(13, energy.flopPerKwh().toString());
      insert.setString(14, flop.toString());
      insert.setLong(15, now.toEpochMilli());
      return insert.executeUpdate() == 1;
    }
  }

  static Part of(ResultSet row) throws SQLException {
    return new Part(
        row.getString("id"),
        row.getString("node"),
        row.getString("pool"),
        row.getString("batch"),
        row.getString("model"),
        row.getString("manifest"),
        row.getString("quantization"),
        new PayFormula.Work(row.getInt("prefill"), row.getInt("cached"), row.getInt("decode")),
        row.getInt("reliability"),
        new PayFormula.Energy(row.getLong("joules"), new BigInteger(row.getString("flop_per_kwh"))),
        new BigInteger(row.getString("flop")));
  }

  /** All that are paid together. */
  static List<Part> ofBatch(Connection c, String batch) throws SQLException {
    List<Part> parts = new ArrayList<>();
    try (PreparedStatement select = c.prepareStatement("SELECT * FROM grid_work WHERE batch = ?")) {
      select.setString(1, batch);
      try (ResultSet row = select.executeQuery()) {
        while (row.next()) {
          parts.add(of(row));
        }
      }
    }
    return parts;
  }

  /** SHA-256 of the parts' canonical JSON, by their ids, hexadecimal: what the ledger witnesses. */
  static String evidence(List<Part> parts) {
    ArrayNode all = Json.array();
    parts.stream().sorted(Comparator.comparing(Part::id)).forEach(p -> all.add(p.json()));
    return HexFormat.of().formatHex(Hashes.sha256(Json.canonical(all).getBytes(UTF_8)));
  }

  private ObjectNode json() {
    ObjectNode json = Json.object();
    json.put("id", id);
    json.put("node", node);
    json.put("pool", pool);
    json.put("batch", batch);
    json.put("model", model);
    json.put("manifest", manifest);
    json.put("quantization", quantization);
    json.put("prefill", work.prefillTokens());
    json.put("cached", work.cachedTokens());
    json.put("decode", work.decodeTokens());
    json.put("reliability_ppm", reliabilityPpm);
    json.put("joules", energy.joules());
    json.put("flop_per_kwh", energy.flopPerKwh().toString());
    json.put("flop", flop.toString());
    return json;
  }
}
