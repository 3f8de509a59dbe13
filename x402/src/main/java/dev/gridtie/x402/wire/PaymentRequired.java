package dev.gridtie.x402.wire;

import dev.gridtie.base.Json;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a 402 says (x402 v2 §5.1): in v2 the {@code PAYMENT-REQUIRED} header, in v1 the body.
 *
 * @param error why the request was not served
 * @param resource what would be paid for
 * @param accepts the ways to pay, at least one
 * @param extensions by their names; may be empty
 */
public record PaymentRequired(
    String error, ResourceInfo resource, List<PaymentRequirements> accepts, ObjectNode extensions) {

  public PaymentRequired(String error, ResourceInfo resource, List<PaymentRequirements> accepts) {
    this(error, resource, accepts, Json.object());
  }

  public PaymentRequired {
    accepts = List.copyOf(accepts);
    if (accepts.isEmpty()) {
      throw new IllegalArgumentException("a 402 offers at least one way to pay");
    }
  }

  /** The same, where the {@code extra} of a scheme's offers says more. */
  public PaymentRequired corrected(String scheme, ObjectNode more) {
    return new PaymentRequired(
        error,
        resource,
        accepts.stream().map(a -> a.scheme().equals(scheme) ? a.withExtra(more) : a).toList(),
        extensions);
  }

  public ObjectNode toJson() {
    ObjectNode json = Json.object();
    json.put("x402Version", 2);
    json.put("error", error);
    json.set("resource", resource.toJson());
    ArrayNode list = json.putArray("accepts");
    accepts.forEach(a -> list.add(a.toJson()));
    if (!extensions.isEmpty()) {
      json.set("extensions", extensions);
    }
    return json;
  }

  /** The value of the {@code PAYMENT-REQUIRED} header. */
  public String toHeader() {
    return Headers.encode(toJson());
  }

  /** The v1 list of requirements: those that v1 knew. */
  public ArrayNode toV1Accepts() {
    ArrayNode list = Json.array();
    accepts.stream()
        .filter(PaymentRequirements::isOfV1)
        .forEach(a -> list.add(a.toV1Json(resource)));
    return list;
  }

  /** The body of a v1 402. */
  public ObjectNode toV1Json() {
    ObjectNode json = Json.object();
    json.put("x402Version", 1);
    json.put("error", error);
    json.set("accepts", toV1Accepts());
    return json;
  }

  /**
   * What a client found in a 402: the version to answer with, the ways to pay, and the resource as
   * it was sent.
   */
  public record Offer(
      int version,
      List<PaymentRequirements> accepts,
      List<JsonNode> raw,
      @Nullable JsonNode resource) {}

  /**
   * Reads the value of a {@code PAYMENT-REQUIRED} header. Requirements of a kind that we cannot
   * read are left out, as long as one remains.
   *
   * @throws MalformedPaymentException where it is none, or nothing in it could be read
   */
  public static Offer fromHeader(String header) throws MalformedPaymentException {
    JsonNode json = Headers.decode(header);
    if (json.path("x402Version").asInt(0) != 2) {
      throw new MalformedPaymentException("PAYMENT-REQUIRED is not of x402 version 2");
    }
    JsonNode resource = json.path("resource");
    return offer(2, json.path("accepts"), resource.isObject() ? resource : null);
  }

  /**
   * Reads the body of a v1 402.
   *
   * @throws MalformedPaymentException where it is none, or nothing in it could be read
   */
  public static Offer fromV1Body(JsonNode body) throws MalformedPaymentException {
    if (body.path("x402Version").asInt(0) != 1) {
      throw new MalformedPaymentException("the body is not of x402 version 1");
    }
    return offer(1, body.path("accepts"), null);
  }

  private static Offer offer(int version, JsonNode list, @Nullable JsonNode resource)
      throws MalformedPaymentException {
    List<PaymentRequirements> accepts = new ArrayList<>();
    List<JsonNode> raw = new ArrayList<>();
    MalformedPaymentException last = new MalformedPaymentException("accepts is empty");
    for (JsonNode one : list) {
      try {
        accepts.add(
            version == 2 ? PaymentRequirements.fromJson(one) : PaymentRequirements.fromV1Json(one));
        raw.add(one);
      } catch (MalformedPaymentException e) {
        last = e;
      }
    }
    if (accepts.isEmpty()) {
      throw last;
    }
    return new Offer(version, List.copyOf(accepts), List.copyOf(raw), resource);
  }
}
