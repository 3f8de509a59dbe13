package dev.gridtie.x402.wire;

import dev.gridtie.base.Json;
import java.math.BigInteger;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What became of a payment (x402 v2 §5.3): the {@code PAYMENT-RESPONSE} header, and the answer of
 * {@code /settle}.
 *
 * @param transaction the transaction's hash, or "" where there is none
 * @param network CAIP-2, or the v1 name towards a v1 client
 * @param extra what the scheme says besides
 * @param extensions by their names; may be empty
 */
public record SettleResponse(
    boolean success,
    @Nullable String errorReason,
    @Nullable String errorMessage,
    String transaction,
    String network,
    @Nullable String payer,
    @Nullable BigInteger amount,
    ObjectNode extra,
    ObjectNode extensions) {

  public SettleResponse(
      boolean success,
      @Nullable String errorReason,
      @Nullable String errorMessage,
      String transaction,
      String network,
      @Nullable String payer,
      @Nullable BigInteger amount) {
    this(
        success,
        errorReason,
        errorMessage,
        transaction,
        network,
        payer,
        amount,
        Json.object(),
        Json.object());
  }

  public static SettleResponse settled(
      String transaction, String network, String payer, @Nullable BigInteger amount) {
    return new SettleResponse(true, null, null, transaction, network, payer, amount);
  }

  public static SettleResponse refused(Refusal why, String transaction, String network) {
    return new SettleResponse(false, why.code(), why.message(), transaction, network, null, null);
  }

  /** The same with what the scheme says besides. */
  public SettleResponse withExtra(ObjectNode more) {
    return new SettleResponse(
        success, errorReason, errorMessage, transaction, network, payer, amount, more, extensions);
  }

  /** The same with what an extension says. */
  public SettleResponse withExtension(String name, ObjectNode says) {
    ObjectNode all = extensions.deepCopy();
    all.set(name, says);
    return new SettleResponse(
        success, errorReason, errorMessage, transaction, network, payer, amount, extra, all);
  }

  public ObjectNode toJson() {
    ObjectNode json = Json.object();
    json.put("success", success);
    if (errorReason != null) {
      json.put("errorReason", errorReason);
    }
    if (errorMessage != null) {
      json.put("errorMessage", errorMessage);
    }
    json.put("transaction", transaction);
    json.put("network", network);
    if (payer != null) {
      json.put("payer", payer);
    }
    if (amount != null) {
      json.put("amount", amount.toString());
    }
    if (!extra.isEmpty()) {
      json.set("extra", extra.deepCopy());
    }
    if (!extensions.isEmpty()) {
      json.set("extensions", extensions.deepCopy());
    }
    return json;
  }

  public String toHeader() {
    return Headers.encode(toJson());
  }

  /**
   * Reads the value of a {@code PAYMENT-RESPONSE} header.
   *
   * @throws MalformedPaymentException where it is none
   */
  public static SettleResponse fromHeader(String header) throws MalformedPaymentException {
    JsonNode json = Headers.decode(header);
    if (!json.path("success").isBoolean()) {
      throw new MalformedPaymentException("success must be true or false");
    }
    String amount = Json.text(json, "amount");
    String transaction = Json.text(json, "transaction");
    return new SettleResponse(
        json.path("success").booleanValue(),
        Json.text(json, "errorReason"),
        Json.text(json, "errorMessage"),
        transaction == null ? "" : transaction,
        Fields.text(json, "network"),
        Json.text(json, "payer"),
        amount == null || amount.isEmpty() ? null : Fields.uint256(json, "amount"),
        json.path("extra") instanceof ObjectNode more ? more : Json.object(),
        json.path("extensions") instanceof ObjectNode says ? says : Json.object());
  }
}
