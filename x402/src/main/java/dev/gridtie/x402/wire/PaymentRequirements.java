package dev.gridtie.x402.wire;

import dev.gridtie.base.Json;
import java.math.BigInteger;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * One way to pay that a server accepts (x402 v2 §5.1.2).
 *
 * @param scheme such as {@code exact}
 * @param network CAIP-2
 * @param amount atomic units of the asset
 * @param asset the token's address
 * @param payTo the payee's address
 * @param maxTimeoutSeconds how long a payment made now must stay valid
 * @param extra what the scheme needs besides, an object
 */
public record PaymentRequirements(
    String scheme,
    String network,
    BigInteger amount,
    String asset,
    String payTo,
    long maxTimeoutSeconds,
    ObjectNode extra) {

  /** As v2 writes it. */
  public ObjectNode toJson() {
    ObjectNode json = Json.object();
    json.put("scheme", scheme);
    json.put("network", network);
    json.put("amount", amount.toString());
    json.put("asset", asset);
    json.put("payTo", payTo);
    json.put("maxTimeoutSeconds", maxTimeoutSeconds);
    if (!extra.isEmpty()) {
      json.set("extra", extra.deepCopy());
    }
    return json;
  }

  /** Whether v1 knew this way to pay: scheme exact by EIP-3009, on a network that it named. */
  public boolean isOfV1() {
    return scheme.equals("exact")
        && Networks.v1Name(network).isPresent()
        && !extra.has("assetTransferMethod");
  }

  /** The same for another amount: of a ceiling, what was used. */
  public PaymentRequirements withAmount(BigInteger newAmount) {
    return new PaymentRequirements(
        scheme, network, newAmount, asset, payTo, maxTimeoutSeconds, extra);
  }

  /** As v1 writes it: the network by name, the resource inside. Only for networks that v1 named. */
  public ObjectNode toV1Json(ResourceInfo resource) {
    ObjectNode json = Json.object();
    json.put("scheme", scheme);
    json.put("network", Networks.v1Name(network).orElseThrow());
    json.put("maxAmountRequired", amount.toString());
    json.put("resource", resource.url());
    json.put("description", resource.description());
    json.put("mimeType", resource.mimeType());
    json.put("payTo", payTo);
    json.put("maxTimeoutSeconds", maxTimeoutSeconds);
    json.put("asset", asset);
    json.set("outputSchema", Json.object());
    if (!extra.isEmpty()) {
      json.set("extra", extra.deepCopy());
    }
    return json;
  }

  /**
   * Reads the v2 form.
   *
   * @throws MalformedPaymentException naming the field that is missing or wrong
   */
  public static PaymentRequirements fromJson(JsonNode json) throws MalformedPaymentException {
    return read(json, "amount", Fields.text(json, "network"));
  }

  /**
   * Reads the v1 form.
   *
   * @throws MalformedPaymentException naming the field that is missing or wrong
   */
  public static PaymentRequirements fromV1Json(JsonNode json) throws MalformedPaymentException {
    String name = Fields.text(json, "network");
    String network =
        Networks.caip2(name)
            .orElseThrow(
                () ->
                    new MalformedPaymentException(
                        "network " + name + " has no v1 name known here"));
    return read(json, "maxAmountRequired", network);
  }

  private static PaymentRequirements read(JsonNode json, String amountKey, String network)
      throws MalformedPaymentException {
    JsonNode timeout = json.path("maxTimeoutSeconds");
    if (!timeout.isIntegralNumber() || !timeout.canConvertToLong() || timeout.longValue() < 0) {
      throw new MalformedPaymentException("maxTimeoutSeconds must be a whole number, not below 0");
    }
    JsonNode extra = json.path("extra");
    if (!extra.isObject() && !extra.isMissingNode() && !extra.isNull()) {
      throw new MalformedPaymentException("extra must be an object");
    }
    return new PaymentRequirements(
        Fields.text(json, "scheme"),
        network,
        Fields.uint256(json, amountKey),
        Fields.text(json, "asset"),
        Fields.text(json, "payTo"),
        timeout.longValue(),
        extra.isObject() ? (ObjectNode) extra : Json.object());
  }

  /** The same with more in {@code extra}. */
  public PaymentRequirements withExtra(ObjectNode more) {
    ObjectNode all = extra.deepCopy();
    more.properties().forEach(e -> all.set(e.getKey(), e.getValue()));
    return new PaymentRequirements(scheme, network, amount, asset, payTo, maxTimeoutSeconds, all);
  }

  /**
   * Whether a client's {@code accepted} names this requirement: every field that we declared is
   * equal (addresses without regard to case); the client may have added keys to {@code extra}.
   */
  public boolean isMatchedBy(PaymentRequirements accepted) {
    if (!scheme.equals(accepted.scheme)
        || !network.equals(accepted.network)
        || !amount.equals(accepted.amount)
        || !asset.equalsIgnoreCase(accepted.asset)
        || !payTo.equalsIgnoreCase(accepted.payTo)
        || maxTimeoutSeconds != accepted.maxTimeoutSeconds) {
      return false;
    }
    for (var declared : extra.properties()) {
      if (!declared.getValue().equals(accepted.extra.path(declared.getKey()))) {
        return false;
      }
    }
    return true;
  }
}
