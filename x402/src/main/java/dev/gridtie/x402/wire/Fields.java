package dev.gridtie.x402.wire;

import dev.gridtie.base.Numbers;
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
    try {
      return Numbers.natural(text, digitsMax);
    } catch (NumberFormatException e) {
      throw new MalformedPaymentException(
          key + " must be a whole number of at most " + digitsMax + " digits, as a decimal text");
    }
  }

  /** A uint256 written as a decimal text, without sign or leading zeros. */
  public static BigInteger uint256(JsonNode object, String key) throws MalformedPaymentException {
    String text = text(object, key);
    try {
      return Numbers.uint256(text);
    } catch (NumberFormatException e) {
      throw new MalformedPaymentException(
          key + " must be a whole number below 2^256, as a decimal text");
    }
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
