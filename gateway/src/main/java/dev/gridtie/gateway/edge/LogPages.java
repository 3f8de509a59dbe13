package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.base.Utf8;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.log.LedgerLog;
import dev.gridtie.ledger.log.Tile;
import dev.gridtie.ledger.log.Witness;
import dev.gridtie.wire.ApiError;
import io.vertx.core.buffer.Buffer;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The ledger as a public log under {@code /log/} (C2SP tlog-tiles): {@code checkpoint} and {@code
 * tile/…} for anybody; the entries themselves, which say who paid what, for the operator; and
 * proofs, for those who do not want to read tiles.
 */
final class LogPages {
  static final String PREFIX = "/log/";

  private static final String TEXT = "text/plain; charset=utf-8";
  private static final String FOREVER = "public, max-age=31536000, immutable";

  /** Where other logs bring their checkpoints to be cosigned. */
  static final String WITNESS = PREFIX + "witness/add-checkpoint";

  private final LedgerLog log;
  private final Witness witness;

  LogPages(LedgerLog log, Witness witness) {
    this.log = log;
    this.witness = witness;
  }

  /** C2SP tlog-witness: {@code POST add-checkpoint}. */
  void addCheckpoint(byte[] body, Reply reply) {
    if (!Utf8.isValid(body)) {
      refuse(reply, 400, "a request is text in UTF-8");
      return;
    }
    switch (witness.add(new String(body, UTF_8))) {
      case Witness.Answer.Cosigned good ->
          reply.sendWhole(200, TEXT, Buffer.buffer(good.line().written()));
      case Witness.Answer.Conflict other ->
          reply.sendWhole(409, "text/x.tlog.size", Buffer.buffer(other.size() + "\n"));
      case Witness.Answer.Malformed bad -> refuse(reply, 400, bad.why());
      case Witness.Answer.UnknownLog log ->
          refuse(reply, 404, log.origin() + " is not watched here");
      case Witness.Answer.NotSigned no -> refuse(reply, 403, "its log has not signed it");
      case Witness.Answer.Unproved no ->
          refuse(reply, 422, "the log does not begin with what was seen of it");
    }
  }

  private static void refuse(Reply reply, int status, String why) {
    reply.sendWhole(status, TEXT, Buffer.buffer(why + "\n"));
  }

  /**
   * @param path behind the prefix
   * @param operator whether the operator asks, who may see who paid what
   */
  void handle(String path, boolean operator, Reply reply) {
    switch (path) {
      case "checkpoint" -> checkpoint(reply);
      case "witness/key" -> text(reply, witness.verifierKey() + "\n", "public, max-age=3600");
      case "key" -> text(reply, log.verifierKey() + "\n", "public, max-age=3600");
      case String p when p.startsWith("proof/") -> inclusion(p.substring("proof/".length()), reply);
      case String p when p.startsWith("consistency/") ->
          consistency(p.substring("consistency/".length()), reply);
      default -> tile(path, operator, reply);
    }
  }

  private static void text(Reply reply, String text, String caching) {
    reply.header("Access-Control-Allow-Origin", "*").header("Cache-Control", caching);
    reply.sendWhole(200, TEXT, Buffer.buffer(text.getBytes(UTF_8)));
  }

  private void checkpoint(Reply reply) {
    Optional<LedgerLog.Signed> last = log.latest();
    if (last.isEmpty()) {
      reply.error(nothing("There is no checkpoint yet; come again in a few seconds."));
    } else {
      text(reply, last.get().note().written(), "no-cache");
    }
  }

  private void tile(String path, boolean operator, Reply reply) {
    Optional<Tile> tile = Tile.of(path);
    if (tile.isPresent() && tile.get().level() == Tile.ENTRIES && !operator) {
      reply.error(
          ApiError.of(
              ApiError.Kind.PERMISSION,
              "entries_not_published",
              "The log's entries say who paid what, and are for its operator. Ask for the hashes"
                  + " (tile/0/…), or for the proof of a receipt you hold (proof/ENTRY)."));
      return;
    }
    Optional<byte[]> bytes = tile.flatMap(log::tile);
    if (bytes.isEmpty()) {
      reply.error(
          nothing(
              "The log has no "
                  + (tile.isPresent() ? "such tile under its last checkpoint" : "such page")
                  + ": ask for checkpoint, key, tile/LEVEL/NNN, proof/ENTRY or consistency/SIZE."));
      return;
    }
    boolean entries = tile.get().level() == Tile.ENTRIES;
    reply
        .header("Access-Control-Allow-Origin", "*")
        .header("Cache-Control", entries ? "private, no-store" : FOREVER);
    reply.sendWhole(200, "application/octet-stream", Buffer.buffer(bytes.get()));
  }

  /** Of receipts only: other entries are their account's business. */
  private void inclusion(String entryId, Reply reply) {
    Optional<LedgerLog.Inclusion> proof = log.prove(entryId);
    if (proof.isEmpty() || !(Entry.parse(proof.get().entry()) instanceof Entry.Witness)) {
      reply.error(
          nothing(
              "No receipt's entry "
                  + entryId
                  + " stands under the last checkpoint; a new one does after a few seconds."));
      return;
    }
    ObjectNode json = Json.object().put("index", proof.get().index());
    json.put("entry", proof.get().entry());
    json.set("path", base64(proof.get().path()));
    json.put("checkpoint", proof.get().in().note().written());
    reply.header("Access-Control-Allow-Origin", "*").header("Cache-Control", "no-cache");
    reply.sendQuietly(200, json);
  }

  private void consistency(String size, Reply reply) {
    Optional<List<byte[]>> proof =
        size.matches("[1-9][0-9]{0,17}") ? log.consistency(Long.parseLong(size)) : Optional.empty();
    if (proof.isEmpty()) {
      reply.error(nothing("The last checkpoint is not over so many entries: " + size));
      return;
    }
    ObjectNode json = Json.object();
    json.set("path", base64(proof.get()));
    json.put("checkpoint", log.latest().orElseThrow().note().written());
    reply.header("Access-Control-Allow-Origin", "*").header("Cache-Control", "no-cache");
    reply.sendQuietly(200, json);
  }

  private static ArrayNode base64(List<byte[]> hashes) {
    ArrayNode all = Json.array();
    hashes.forEach(hash -> all.add(Base64.getEncoder().encodeToString(hash)));
    return all;
  }

  private static ApiError nothing(String why) {
    return ApiError.of(ApiError.Kind.NOT_FOUND, "not_found", why);
  }
}
