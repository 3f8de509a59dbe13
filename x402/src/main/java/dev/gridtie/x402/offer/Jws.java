package dev.gridtie.x402.offer;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.x402.solana.Base58;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * JSON Web Signatures in compact form (RFC 7515) by Ed25519 (RFC 8037), over canonical JSON (RFC
 * 8785). The key is named by itself: {@code did:key} of its multicodec form.
 */
final class Jws {
  private static final String ALGORITHM = "EdDSA";
  private static final String DID = "did:key:z";

  /** Multicodec of an Ed25519 public key, as a varint. */
  private static final byte[] ED25519 = {(byte) 0xed, 0x01};

  /** An Ed25519 key's X.509 form is this and its 32 bytes (RFC 8410). */
  private static final byte[] X509 = {
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00
  };

  private static final int KEY_BYTES = 32;
  private static final int TEXT_MAX = 16 * 1024;
  private static final Base64.Encoder ENCODER = Base64.getUrlEncoder().withoutPadding();
  private static final Base64.Decoder DECODER = Base64.getUrlDecoder();

  private Jws() {}

  /** A key's name: the key itself, and what is signed by it. */
  static String keyId(PublicKey key) {
    byte[] x509 = key.getEncoded();
    byte[] raw = Arrays.copyOfRange(x509, x509.length - KEY_BYTES, x509.length);
    byte[] named = new byte[ED25519.length + KEY_BYTES];
    System.arraycopy(ED25519, 0, named, 0, ED25519.length);
    System.arraycopy(raw, 0, named, ED25519.length, KEY_BYTES);
    String multibase = Base58.encode(named);
    return DID + multibase + "#z" + multibase;
  }

  static String sign(ObjectNode payload, KeyPair key) {
    ObjectNode header = Json.object().put("alg", ALGORITHM).put("kid", keyId(key.getPublic()));
    String signed =
        ENCODER.encodeToString(Json.write(header).getBytes(UTF_8))
            + "."
            + ENCODER.encodeToString(Json.canonical(payload).getBytes(UTF_8));
    try {
      Signature signature = Signature.getInstance("Ed25519");
      signature.initSign(key.getPrivate());
      signature.update(signed.getBytes(US_ASCII));
      return signed + "." + ENCODER.encodeToString(signature.sign());
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every Java platform has Ed25519", e);
    }
  }

  /** What was signed, and by whom. */
  record Checked(ObjectNode payload, String keyId) {}

  /**
   * Reads what the key that it names has signed.
   *
   * @throws MalformedPaymentException where it is none, or the signature is not that key's
   */
  static Checked check(String jws) throws MalformedPaymentException {
    String[] parts = jws.length() > TEXT_MAX ? new String[0] : jws.split("\\.", -1);
    if (parts.length != 3) {
      throw new MalformedPaymentException("a signed statement has three parts");
    }
    try {
      JsonNode header = Json.parse(DECODER.decode(parts[0]));
      String keyId = Json.text(header, "kid");
      if (!ALGORITHM.equals(Json.text(header, "alg")) || keyId == null) {
        throw new MalformedPaymentException("statements are signed by EdDSA with a named key");
      }
      Signature signature = Signature.getInstance("Ed25519");
      signature.initVerify(key(keyId));
      signature.update((parts[0] + "." + parts[1]).getBytes(US_ASCII));
      if (!signature.verify(DECODER.decode(parts[2]))) {
        throw new MalformedPaymentException("the signature is not the key's that it names");
      }
      if (Json.parse(DECODER.decode(parts[1])) instanceof ObjectNode payload) {
        return new Checked(payload, keyId);
      }
    } catch (GeneralSecurityException | IllegalArgumentException | Json.MalformedJsonException e) {
      throw new MalformedPaymentException("a signed statement cannot be read: " + e.getMessage());
    }
    throw new MalformedPaymentException("a signed statement must hold an object");
  }

  private static PublicKey key(String keyId)
      throws MalformedPaymentException, GeneralSecurityException {
    String did = keyId.contains("#") ? keyId.substring(0, keyId.indexOf('#')) : keyId;
    if (!did.startsWith(DID)) {
      throw new MalformedPaymentException("only keys named by did:key are known here, not " + did);
    }
    byte[] named = Base58.decode(did.substring(DID.length()), ED25519.length + KEY_BYTES);
    if (named[0] != ED25519[0] || named[1] != ED25519[1]) {
      throw new MalformedPaymentException("only Ed25519 keys are known here");
    }
    byte[] x509 = Arrays.copyOf(X509, X509.length + KEY_BYTES);
    System.arraycopy(named, ED25519.length, x509, X509.length, KEY_BYTES);
    return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(x509));
  }
}
