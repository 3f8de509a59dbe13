package dev.gridtie.gateway.receipts;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Signs receipts: Ed25519 (RFC 8032) over the receipt's canonical JSON (RFC 8785). */
public final class ReceiptSigner {
  private final PrivateKey key;
  private final String publicKey;

  public ReceiptSigner(KeyPair pair) {
    this.key = pair.getPrivate();
    this.publicKey = Base64.getEncoder().encodeToString(pair.getPublic().getEncoded());
  }

  /** The public key: base64 of its X.509 form (RFC 8410). */
  public String publicKey() {
    return publicKey;
  }

  /** The receipt with its signature and the key that checks it. */
  public ObjectNode sign(ObjectNode receipt) {
    try {
      Signature signature = Signature.getInstance("Ed25519");
      signature.initSign(key);
      signature.update(Json.canonical(receipt).getBytes(UTF_8));
      ObjectNode signed = Json.object();
      signed.set("receipt", receipt);
      signed.put("publicKey", publicKey);
      signed.put("signature", Base64.getEncoder().encodeToString(signature.sign()));
      return signed;
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every Java platform has Ed25519", e);
    }
  }

  /** Whether a signed receipt is what the holder of this public key signed. */
  public static boolean verify(JsonNode signed, String publicKey) {
    try {
      PublicKey key =
          KeyFactory.getInstance("Ed25519")
              .generatePublic(new X509EncodedKeySpec(Base64.getDecoder().decode(publicKey)));
      Signature signature = Signature.getInstance("Ed25519");
      signature.initVerify(key);
      signature.update(Json.canonical(signed.path("receipt")).getBytes(UTF_8));
      return signature.verify(Base64.getDecoder().decode(signed.path("signature").asString("")));
    } catch (GeneralSecurityException | IllegalArgumentException e) {
      return false;
    }
  }
}
