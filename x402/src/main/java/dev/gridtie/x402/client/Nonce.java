package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The number that a chain marks as used once what was signed under it has moved money.
 *
 * @param network CAIP-2
 * @param contract that keeps it: the token (EIP-3009), or Permit2
 * @param payer whose it is
 * @param value 0x and 64 hexadecimal digits
 */
public record Nonce(Kind kind, String network, String contract, String payer, String value) {
  /** How a contract keeps nonces. */
  public enum Kind {
    /** {@code authorizationState(payer, nonce)}. */
    EIP3009,
    /** A bit in {@code nonceBitmap(payer, nonce >> 8)}. */
    PERMIT2
  }

  ObjectNode toJson() {
    return Json.object()
        .put("kind", kind.name())
        .put("network", network)
        .put("contract", contract)
        .put("payer", payer)
        .put("value", value);
  }

  /** Reads what {@link #toJson} wrote; empty where it is something else. */
  static Optional<Nonce> fromJson(JsonNode json) {
    for (Kind kind : Kind.values()) {
      if (kind.name().equals(Json.text(json, "kind"))) {
        return Optional.of(
            new Nonce(
                kind,
                json.path("network").asString(""),
                json.path("contract").asString(""),
                json.path("payer").asString(""),
                json.path("value").asString("")));
      }
    }
    return Optional.empty();
  }
}
