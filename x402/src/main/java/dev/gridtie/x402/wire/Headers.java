package dev.gridtie.x402.wire;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import java.util.Base64;
import tools.jackson.databind.JsonNode;

/** Header names, and their common form: standard base64 of UTF-8 JSON (x402 v2, transport HTTP). */
public final class Headers {
  public static final String PAYMENT_REQUIRED = "PAYMENT-REQUIRED";
  public static final String PAYMENT_SIGNATURE = "PAYMENT-SIGNATURE";
  public static final String PAYMENT_RESPONSE = "PAYMENT-RESPONSE";
  public static final String X_PAYMENT = "X-PAYMENT";
  public static final String X_PAYMENT_RESPONSE = "X-PAYMENT-RESPONSE";

  /** The longest header value that is read, in characters. */
  public static final int LENGTH_MAX = 16 * 1024;

  private Headers() {}

  public static String encode(JsonNode json) {
    return Base64.getEncoder().encodeToString(Json.write(json).getBytes(UTF_8));
  }

  /**
   * Reads a header value into a JSON object.
   *
   * @throws MalformedPaymentException where it is too long, not base64, or not a JSON object
   */
  public static JsonNode decode(String header) throws MalformedPaymentException {
    if (header.length() > LENGTH_MAX) {
      throw new MalformedPaymentException(
          "the header is longer than " + LENGTH_MAX + " characters");
    }
    byte[] bytes;
    try {
      bytes = Base64.getDecoder().decode(header.strip().getBytes(US_ASCII));
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException("the header is not base64 (standard alphabet)");
    }
    try {
      JsonNode json = Json.parse(bytes);
      if (!json.isObject()) {
        throw new MalformedPaymentException("the header is base64, but not of a JSON object");
      }
      return json;
    } catch (Json.MalformedJsonException e) {
      throw new MalformedPaymentException("the header is base64, but " + e.getMessage());
    }
  }
}
