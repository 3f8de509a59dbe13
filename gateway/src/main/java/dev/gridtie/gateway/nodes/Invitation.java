package dev.gridtie.gateway.nodes;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import java.net.URI;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.time.Instant;
import java.util.Base64;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Opens a pool to one node: what it says, in canonical JSON, and the gateway's Ed25519 signature of
 * that, both base64url. The first node that shows it is the one it is for.
 *
 * @param id names it, for revoking it
 * @param gateway where to join
 */
public record Invitation(String id, String pool, String gateway, Instant expires) {
  private static final String PREFIX = "gtinv_";

  /** Longer ones are none. */
  public static final int LENGTH_MAX = 2048;

  private ObjectNode json() {
    ObjectNode json = Json.object();
    json.put("v", 1);
    json.put("id", id);
    json.put("pool", pool);
    json.put("gateway", gateway);
    json.put("expires", expires.getEpochSecond());
    return json;
  }

  /** As it is handed on. */
  public String signedBy(PrivateKey key) {
    try {
      byte[] said = Json.canonical(json()).getBytes(UTF_8);
      Signature signature = Signature.getInstance("Ed25519");
      signature.initSign(key);
      signature.update(said);
      Base64.Encoder url = Base64.getUrlEncoder().withoutPadding();
      return PREFIX + url.encodeToString(said) + "." + url.encodeToString(signature.sign());
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every Java platform has Ed25519", e);
    }
  }

  /** What it says, whoever signed it: for a node, which learns where to join. */
  public static Optional<Invitation> read(String token) {
    String[] parts = parts(token);
    if (parts.length != 2) {
      return Optional.empty();
    }
    try {
      JsonNode json = Json.parse(Base64.getUrlDecoder().decode(parts[0]));
      URI gateway = URI.create(json.path("gateway").asString(""));
      return json.path("v").asInt(0) == 1 && gateway.getHost() != null
          ? Optional.of(
              new Invitation(
                  json.path("id").asString(""),
                  json.path("pool").asString(""),
                  gateway.toString(),
                  Instant.ofEpochSecond(json.path("expires").asLong(0))))
          : Optional.empty();
    } catch (Json.MalformedJsonException | RuntimeException e) {
      return Optional.empty();
    }
  }

  private static String[] parts(String token) {
    boolean mayBe = token.startsWith(PREFIX) && token.length() <= LENGTH_MAX;
    return mayBe ? token.substring(PREFIX.length()).split("\\.", -1) : new String[0];
  }

  /** What it says, where this key has signed it. */
  public static Optional<Invitation> verified(String token, PublicKey key) {
    String[] parts = parts(token);
    if (parts.length != 2) {
      return Optional.empty();
    }
    try {
      Signature signature = Signature.getInstance("Ed25519");
      signature.initVerify(key);
      signature.update(Base64.getUrlDecoder().decode(parts[0]));
      return signature.verify(Base64.getUrlDecoder().decode(parts[1]))
          ? read(token)
          : Optional.empty();
    } catch (GeneralSecurityException | IllegalArgumentException e) {
      return Optional.empty();
    }
  }
}
