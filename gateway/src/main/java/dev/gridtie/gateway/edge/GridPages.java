package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.nodes.GridFiles;
import dev.gridtie.grid.fleet.Grid;
import dev.gridtie.grid.fleet.Grid.NodeView;
import dev.gridtie.grid.fleet.Group;
import dev.gridtie.grid.link.Protocol;
import dev.gridtie.grid.model.Variant;
import dev.gridtie.wire.ApiError;
import io.vertx.core.MultiMap;
import io.vertx.core.buffer.Buffer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code /v1/grid/…}: the nodes, their models, and models' files. Everybody sees the public nodes;
 * a pool's are seen by its keys, and by the operator.
 */
final class GridPages {
  static final String PREFIX = "/v1/grid/";
  private static final Pattern RANGE = Pattern.compile("bytes=(\\d{1,15})-(\\d{1,15})");

  private final GridDesk desk;

  GridPages(GridDesk desk) {
    this.desk = desk;
  }

  /**
   * Serves a page.
   *
   * @param pool whose nodes the asker may see besides the public ones
   * @return whether there is such a page
   */
  boolean handle(String page, String pool, Reply reply) {
    switch (page) {
      case "nodes" -> reply.sendQuietly(200, nodes(pool));
      case "models" -> reply.sendQuietly(200, models(pool));
      case "stats" -> reply.sendQuietly(200, stats(pool));
      case "events" -> {
        if (!desk.feed().join(reply, pool)) {
          reply.error(
              ApiError.of(
                  ApiError.Kind.RATE_LIMITED, "too_many_readers", "Too many look on already."));
        }
      }
      default -> {
        return false;
      }
    }
    return true;
  }

  private static boolean sees(String reader, String pool) {
    return pool.isEmpty() || pool.equals(reader) || reader.equals(GridFeed.ALL);
  }

  private List<NodeView> seen(String pool) {
    List<NodeView> seen = new ArrayList<>(desk.grid().nodes());
    seen.removeIf(n -> !sees(pool, n.pool()));
    seen.sort(Comparator.comparing(NodeView::address));
    return seen;
  }

  private ObjectNode nodes(String pool) {
    ObjectNode json = Json.object();
    ArrayNode data = json.putArray("data");
    for (NodeView n : seen(pool)) {
      ObjectNode one = data.addObject();
      one.put("id", n.address());
      one.put("name", n.name());
      one.put("pool", n.pool());
      one.put("region", n.region());
      one.put("hardware", n.hardware());
      one.put("model", n.model());
      one.put("quantization", n.quantization());
      one.put("slots", n.slots());
      one.put("running", n.running());
      one.put("status", n.accepting() ? "ready" : "resting");
      one.put("why", n.why());
      one.put("reliability_ppm", (long) (n.reliability() * 1_000_000));
      one.put("round_trip_ms", Math.round(n.roundTripMs()));
      one.put("tokens_per_second", n.decodeTps());
      one.put("answers", n.answers());
      one.put("tokens", n.tokens());
      one.put("lost", n.lost());
      one.put("micro_credits", n.micro());
    }
    return json;
  }

  private ObjectNode models(String pool) {
    ObjectNode json = Json.object();
    ArrayNode data = json.putArray("data");
    for (Group group : desk.grid().groups()) {
      if (sees(pool, group.key().pool())) {
        ObjectNode one = data.addObject();
        one.put("id", group.manifest().id());
        one.put("manifest", group.key().manifest());
        one.put("file", group.key().file());
        one.put("quantization", group.variant().quantization());
        one.put("licence", group.manifest().licence());
        one.put("build", group.key().build());
        one.put("pool", group.key().pool());
        one.put("region", group.key().region());
        one.put("nodes", group.size());
        one.put("tokens_per_second", group.capacity());
        one.put("waiting", group.waiting());
        one.put("context_tokens", group.contextTokens());
        one.put("can_go_on", group.key().sampled());
      }
    }
    return json;
  }

  private ObjectNode stats(String pool) {
    List<NodeView> seen = seen(pool);
    ObjectNode json = Json.object();
    json.put("nodes", seen.size());
    json.put("ready", seen.stream().filter(NodeView::accepting).count());
    json.put("slots", seen.stream().mapToInt(NodeView::slots).sum());
    json.put("running", seen.stream().mapToInt(NodeView::running).sum());
    json.put("answering", desk.grid().answering());
    json.put("answers", seen.stream().mapToLong(NodeView::answers).sum());
    json.put("tokens", seen.stream().mapToLong(NodeView::tokens).sum());
    json.put("lost", seen.stream().mapToLong(NodeView::lost).sum());
    json.put("bytes_passed_on", desk.files().passedOn());
    return json;
  }

  // Files

  /** A range of a model's file, for a node that is connected; blocks. */
  void file(String sha256, MultiMap headers, Reply reply) {
    String authorization = String.valueOf(headers.get("Authorization"));
    String token =
        authorization.startsWith("Bearer ") ? authorization.substring("Bearer ".length()) : "";
    Optional<Variant> file = desk.files().opened(token, sha256);
    if (file.isEmpty()) {
      reply.error(
          ApiError.of(
              ApiError.Kind.NOT_FOUND,
              "file_not_found",
              "There is no such file for this node. Files are for nodes that are connected."));
      return;
    }
    Matcher range = RANGE.matcher(String.valueOf(headers.get("Range")));
    long from = range.matches() ? Long.parseLong(range.group(1)) : -1;
    long to = range.matches() ? Long.parseLong(range.group(2)) : -1;
    if (!GridFiles.isRange(file.get(), from, to)) {
      reply.error(
          ApiError.invalid(
              "invalid_range",
              "Ask for a range of at most "
                  + Variant.PIECE_BYTES_MAX
                  + " bytes: Range: bytes=FROM-TO.",
              null));
      return;
    }
    give(token, file.get(), from, to, reply);
  }

  private void give(String token, Variant file, long from, long to, Reply reply) {
    boolean[] begun = {false};
    try {
      desk.files()
          .give(
              token,
              file,
              from,
              to,
              bytes -> {
                if (!begun[0]) {
                  begun[0] = true;
                  reply.beginPart(to - from + 1, "bytes " + from + "-" + to + "/" + file.bytes());
                }
                write(reply, bytes);
              });
      reply.endStream(Buffer.buffer());
    } catch (IOException e) {
      reply.error( // breaks the connection where a part is out
          ApiError.of(
              ApiError.Kind.UNAVAILABLE, "file_unavailable", String.valueOf(e.getMessage())));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void write(Reply reply, byte[] bytes) throws IOException {
    try {
      reply.write(Buffer.buffer(bytes));
    } catch (Reply.GoneException e) {
      throw new IOException("the node is gone", e);
    }
  }

  static boolean isFile(String page) {
    return (PREFIX + page).startsWith(Protocol.FILES);
  }

  static String fileOf(String page) {
    return (PREFIX + page).substring(Protocol.FILES.length());
  }

  Grid grid() {
    return desk.grid();
  }
}
