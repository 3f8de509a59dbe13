package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.grid.fleet.GridEvent;
import io.vertx.core.buffer.Buffer;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import tools.jackson.databind.node.ObjectNode;

/**
 * What happens on the grid, as server-sent events for those who look on. Who is slow misses some.
 * Safe for use by many threads.
 */
public final class GridFeed {
  /** How many may look on at once. */
  static final int READERS_MAX = 64;

  private final Map<Reply, String> readers = new ConcurrentHashMap<>();

  /** Tells everybody who may know. */
  public void accept(GridEvent event) {
    if (readers.isEmpty() || event.kind().equals("status")) {
      return; // every node says every second that it is well
    }
    ObjectNode json = Json.object();
    json.put("node", event.node());
    json.put("detail", event.detail());
    json.put("tokens", event.tokens());
    Buffer bytes = Buffer.buffer("event: " + event.kind() + "\ndata: " + Json.write(json) + "\n\n");
    readers.forEach(
        (reader, pool) -> {
          if (event.pool().isEmpty() || event.pool().equals(pool) || pool.equals(ALL)) {
            reader.sendUnlessFull(bytes);
          }
        });
  }

  /** Stands for every pool: no pool has this name. */
  static final String ALL = "*";

  /**
   * Lets somebody look on.
   *
   * @param pool whose nodes they may see besides the public ones; {@link #ALL} for all
   * @return false where too many do
   */
  boolean join(Reply reply, String pool) {
    if (readers.size() >= READERS_MAX) {
      return false;
    }
    reply.beginStream("text/event-stream");
    reply.sendUnlessFull(Buffer.buffer(": the grid\n\n"));
    readers.put(reply, pool);
    reply.whenOver(() -> readers.remove(reply));
    return true;
  }
}
