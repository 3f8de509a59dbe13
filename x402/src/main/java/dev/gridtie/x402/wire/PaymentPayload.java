package dev.gridtie.x402.wire;

import dev.gridtie.base.Json;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A client's payment, v2 ({@code PAYMENT-SIGNATURE}, x402 v2 §5.2) or v1 ({@code X-PAYMENT}).
 *
 * @param version 1 or 2
 * @param scheme such as {@code exact}
 * @param network CAIP-2, also for v1
 * @param accepted the requirement that the client chose; v1 does not say it
 * @param payload what the scheme defines, an object
 * @param raw the whole message as it came
 */
public record PaymentPayload(
    int version,
    String scheme,
    String network,
    Optional<PaymentRequirements> accepted,
    JsonNode payload,
    JsonNode raw) {

  /**
   * Reads the value of a {@code PAYMENT-SIGNATURE} header.
   *
   * @throws MalformedPaymentException naming what is wrong
   */
  public static PaymentPayload fromHeader(String header) throws MalformedPaymentException {
    return fromJson(Headers.decode(header));
  }

  /**
   * Reads the v2 form.
   *
   * @throws MalformedPaymentException naming what is wrong
   */
  public static PaymentPayload fromJson(JsonNode json) throws MalformedPaymentException {
    requireVersion(json, 2, Headers.PAYMENT_SIGNATURE);
    PaymentRequirements accepted = PaymentRequirements.fromJson(Fields.object(json, "accepted"));
    return new PaymentPayload(
        2,
        accepted.scheme(),
        accepted.network(),
        Optional.of(accepted),
        Fields.object(json, "payload"),
        json);
  }

  /**
   * Reads the value of an {@code X-PAYMENT} header.
   *
   * @throws MalformedPaymentException naming what is wrong
   */
  public static PaymentPayload fromV1Header(String header) throws MalformedPaymentException {
    return fromV1Json(Headers.decode(header));
  }

  /**
   * Reads the v1 form.
   *
   * @throws MalformedPaymentException naming what is wrong
   */
  public static PaymentPayload fromV1Json(JsonNode json) throws MalformedPaymentException {
    requireVersion(json, 1, Headers.X_PAYMENT);
    String name = Fields.text(json, "network");
    String network =
        Networks.caip2(name)
            .orElseThrow(
                () ->
                    new MalformedPaymentException(
                        "network " + name + " is not a v1 network known here"));
    return new PaymentPayload(
        1,
        Fields.text(json, "scheme"),
        network,
        Optional.empty(),
        Fields.object(json, "payload"),
        json);
  }

  /** What came along by an extension (x402 v2 §5.2.2); missing where it did not. */
  public JsonNode extension(String name) {
    return raw.path("extensions").path(name).path("info");
  }

  private static void requireVersion(JsonNode json, int version, String header)
      throws MalformedPaymentException {
    if (!json.isObject()) {
      throw new MalformedPaymentException("an x402 payment is a JSON object");
    }
    JsonNode given = json.path("x402Version");
    if (!given.isInt() || given.intValue() != version) {
      throw new MalformedPaymentException(
          "invalid_x402_version: "
              + header
              + " carries x402 version "
              + version
              + ", and this says "
              + (given.isInt() ? given : given.getNodeType()));
    }
  }

  /** The v2 message, its keys in the order that the official client writes them. */
  public static ObjectNode v2(JsonNode payload, JsonNode resource, JsonNode accepted) {
    ObjectNode json = Json.object();
    json.put("x402Version", 2);
    json.set("payload", payload);
    if (resource.isObject()) {
      json.set("resource", resource);
    }
    json.set("accepted", accepted);
    return json;
  }

  /** The v1 message. */
  public static ObjectNode v1(JsonNode payload, String scheme, String v1Network) {
    ObjectNode json = Json.object();
    json.put("x402Version", 1);
    json.put("scheme", scheme);
    json.put("network", v1Network);
    json.set("payload", payload);
    return json;
  }
}
