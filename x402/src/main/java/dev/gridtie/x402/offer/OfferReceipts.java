package dev.gridtie.x402.offer;

import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.security.KeyPair;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Signs what a 402 offers and that a payment was answered (extension offer-receipt, version 1.0; as
 * JSON Web Signatures): whoever paid can show both to others.
 *
 * @param key Ed25519
 * @param offersValid for how long an offer holds
 */
public record OfferReceipts(KeyPair key, Duration offersValid) {
  public static final String EXTENSION = "offer-receipt";

  private static final int VERSION = 1;

  /** The key's name: {@code did:key:…}. */
  public String keyId() {
    return Jws.keyId(key.getPublic());
  }

  /**
   * What a 402's extensions say: each way to pay, signed.
   *
   * @param accepts in the order of the 402
   */
  public ObjectNode offers(String resourceUrl, List<PaymentRequirements> accepts, Instant now) {
    ObjectNode extension = Json.object();
    ArrayNode offers = extension.putObject("info").putArray("offers");
    for (int i = 0; i < accepts.size(); i++) {
      PaymentRequirements one = accepts.get(i);
      ObjectNode payload = Json.object().put("version", VERSION).put("resourceUrl", resourceUrl);
      payload.put("scheme", one.scheme()).put("network", one.network());
      payload.put("asset", one.asset()).put("payTo", one.payTo());
      payload.put("amount", one.amount().toString());
      payload.put("validUntil", now.plus(offersValid).getEpochSecond());
      offers
          .addObject()
          .put("format", "jws")
          .put("acceptIndex", i)
          .put("signature", Jws.sign(payload, key));
    }
    extension.set("schema", Json.object().put("type", "object"));
    return extension;
  }

  /**
   * What a settled payment's response says: that it was answered.
   *
   * @param transaction that settled it; empty where there was none
   * @param answered when
   */
  public ObjectNode receipt(
      String resourceUrl, String network, String payer, String transaction, Instant answered) {
    ObjectNode payload = Json.object().put("version", VERSION).put("network", network);
    payload.put("resourceUrl", resourceUrl).put("payer", payer);
    payload.put("issuedAt", answered.getEpochSecond());
    if (!transaction.isEmpty()) {
      payload.put("transaction", transaction);
    }
    ObjectNode extension = Json.object();
    extension
        .putObject("info")
        .putObject("receipt")
        .put("format", "jws")
        .put("signature", Jws.sign(payload, key));
    extension.set("schema", Json.object().put("type", "object"));
    return extension;
  }

  /**
   * A signed offer or receipt whose signature is its key's.
   *
   * @param keyId who signed: whether that is whom one deals with is for the reader to know
   */
  public record Statement(ObjectNode payload, String keyId) {
    /** Whether a receipt is for what an offer offered. */
    public boolean isReceiptFor(Statement offer, String payer) {
      return keyId.equals(offer.keyId())
          && same(offer, "resourceUrl")
          && same(offer, "network")
          && payer.equalsIgnoreCase(String.valueOf(Json.text(payload, "payer")));
    }

    private boolean same(Statement other, String field) {
      String mine = Json.text(payload, field);
      return mine != null && mine.equals(Json.text(other.payload(), field));
    }
  }

  /**
   * Reads a signed offer or receipt.
   *
   * @throws MalformedPaymentException where it is none, or not signed by the key that it names
   */
  public static Statement read(JsonNode signed) throws MalformedPaymentException {
    if (!"jws".equals(Json.text(signed, "format"))) {
      throw new MalformedPaymentException("only statements of format jws are known here");
    }
    Jws.Checked checked = Jws.check(Fields.text(signed, "signature"));
    return new Statement(checked.payload(), checked.keyId());
  }
}
