package dev.gridtie.gateway.receipts;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Signs receipts: a JWS in flattened JSON serialization (RFC 7515 §7.2.2) by EdDSA (RFC 8037),
 * whose payload is the receipt's canonical JSON (RFC 8785). The receipt stands beside it once more
 * to be read, as a member that other programs ignore.
 */
public final class ReceiptSigner {
  /** What the signature's header says it is. */
  public static final String TYPE = "gridtie-receipt+jws";

  /** An Ed25519 key's X.509 form (RFC 8410) ends in the key itself. */
  private static final int KEY_BYTES = 32;

  private final PrivateKey key;
  private final String publicKey;
  private final String header;

  public ReceiptSigner(KeyPair pair) {
    this.key = pair.getPrivate();
    byte[] x509 = pair.getPublic().getEncoded();
    this.publicKey = Base64.getEncoder().encodeToString(x509);
    ObjectNode jwk = Json.object();
    jwk.put("crv", "Ed25519").put("kty", "OKP");
    jwk.put("x", url(Arrays.copyOfRange(x509, x509.length - KEY_BYTES, x509.length)));
    ObjectNode json = Json.object();
    json.put("alg", "EdDSA").put("typ", TYPE);
    json.put("kid", url(Hashes.sha256(Json.canonical(jwk).getBytes(UTF_8)))); // RFC 7638
    json.set("jwk", jwk);
    this.header = url(Json.canonical(json).getBytes(UTF_8));
  }

  /** The public key: base64 of its X.509 form (RFC 8410). */
  public String publicKey() {
    return publicKey;
  }

  private static String url(byte[] bytes) {
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }

  /** The receipt with its signature and the key that checks it. */
  public ObjectNode sign(ObjectNode receipt) {
    try {
      String payload = url(Json.canonical(receipt).getBytes(UTF_8));
      Signature signature = Signature.getInstance("Ed25519");
      signature.initSign(key);
      signature.update((header + "." + payload).getBytes(UTF_8));
      ObjectNode signed = Json.object();
      signed.set("receipt", receipt);
      signed.put("publicKey", publicKey);
      signed.put("protected", header);
      signed.put("payload", payload);
      signed.put("signature", url(signature.sign()));
      return signed;
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every Java platform has Ed25519", e);
    }
  }

  /**
   * Whether a signed receipt is what the holder of this public key signed, and reads as what was
   * signed.
   */
  public static boolean verify(JsonNode signed, String publicKey) {
    try {
      PublicKey key =
          KeyFactory.getInstance("Ed25519")
              .generatePublic(new X509EncodedKeySpec(Base64.getDecoder().decode(publicKey)));
      String header = signed.path("protected").asString("");
      String payload = signed.path("payload").asString("");
      JsonNode said = Json.parse(Base64.getUrlDecoder().decode(header));
      Signature signature = Signature.getInstance("Ed25519");
      signature.initVerify(key);
      signature.update((header + "." + payload).getBytes(UTF_8));
      return said.path("alg").asString("").equals("EdDSA")
          && said.path("typ").asString("").equals(TYPE)
          && !said.has("crit")
          && payload.equals(url(Json.canonical(signed.path("receipt")).getBytes(UTF_8)))
          && signature.verify(Base64.getUrlDecoder().decode(signed.path("signature").asString("")));
    } catch (GeneralSecurityException | Json.MalformedJsonException | IllegalArgumentException e) {
      return false;
    }
  }
}
