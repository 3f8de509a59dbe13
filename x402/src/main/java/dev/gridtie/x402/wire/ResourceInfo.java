package dev.gridtie.x402.wire;

import dev.gridtie.base.Json;
import tools.jackson.databind.node.ObjectNode;

/** What is being paid for (x402 v2 §5.1.1). */
public record ResourceInfo(String url, String description, String mimeType) {
  public ObjectNode toJson() {
    ObjectNode json = Json.object();
    json.put("url", url);
    json.put("description", description);
    json.put("mimeType", mimeType);
    return json;
  }
}
