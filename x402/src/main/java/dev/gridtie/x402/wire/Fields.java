package dev.gridtie.x402.wire;

import java.math.BigInteger;
import tools.jackson.databind.JsonNode;

/** Reads single fields of payment messages, strictly. */
public final class Fields {
  /** The longest text that any field of a payment may be. */
  public static final int TEXT_LENGTH_MAX = 4096;

  private Fields() {}

  /** A non-empty text of at most {@value #TEXT_LENGTH_MAX} characters. */
  public static String text(JsonNode object, String key) throws MalformedPaymentException {
    JsonNode value = object.path(key);
    if (!value.isString() || value.stringValue().isEmpty()) {
      throw new MalformedPaymentException(key + " must be a text");
    }
    if (value.stringValue().length() > TEXT_LENGTH_MAX) {
      throw new MalformedPaymentException(
          key + " is longer than " + TEXT_LENGTH_MAX + " characters");
    }
    return value.stringValue();
  }

  /** A whole number written as a decimal text, without sign or leading zeros. */
  public static BigInteger decimal(JsonNode object, String key, int digitsMax)
      throws MalformedPaymentException {
    String text = text(object, key);
    if (text.length() > digitsMax || !text.matches("0|[1-9][0-9]*")) {
      throw new MalformedPaymentException(key + " must be a whole number as a decimal text");
    }
    return new BigInteger(text);
  }

  /** An object. */
  public static JsonNode object(JsonNode object, String key) throws MalformedPaymentException {
    JsonNode value = object.path(key);
    if (!value.isObject()) {
      throw new MalformedPaymentException(key + " must be an object");
    }
    return value;
  }
}
