package dev.gridtie.base;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.databind.node.ValueNode;

/** JSON trees, read strictly: no duplicate keys, nothing behind the value, bounded depth. */
public final class Json {
  /** How deep objects and arrays may nest. */
  public static final int NESTING_MAX = 64;

  /** How many digits a number may have: enough for a uint256. */
  public static final int NUMBER_DIGITS_MAX = 100;

  /**
   * The largest exponent of a number, in either direction: enough for every double. What exceeds it
   * is a few characters, and gigabytes where it is written out.
   */
  public static final int NUMBER_EXPONENT_MAX = 500;

  /** Makes numbers within bounds, so that no tree holds one that is dear to calculate with. */
  private static final class BoundedNumbers extends JsonNodeFactory {
    private static final long serialVersionUID = 1L;

    @Override
    public ValueNode numberNode(@Nullable BigDecimal number) {
      if (number != null && Math.abs((long) number.scale()) > NUMBER_EXPONENT_MAX) {
        throw new StreamConstraintsException("a number's exponent exceeds " + NUMBER_EXPONENT_MAX);
      }
      return super.numberNode(number);
    }
  }

  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(NESTING_MAX)
                          .maxNumberLength(NUMBER_DIGITS_MAX)
                          .build())
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .nodeFactory(new BoundedNumbers())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .build();

  private Json() {}

  /** Says why a text is not JSON, and where, without repeating the text. */
  public static final class MalformedJsonException extends Exception {
    private static final long serialVersionUID = 1L;

    MalformedJsonException(String message) {
      super(message);
    }
  }

  /**
   * Reads one JSON value from UTF-8 bytes.
   *
   * @throws MalformedJsonException where the bytes are not exactly one JSON value
   */
  public static JsonNode parse(byte[] utf8) throws MalformedJsonException {
    requireUtf8(utf8);
    try {
      JsonNode node = MAPPER.readTree(utf8);
      if (node.isMissingNode()) {
        throw new MalformedJsonException("empty, where a JSON value was expected");
      }
      return node;
    } catch (JacksonException e) {
      var at = e.getLocation();
      String where =
          at == null ? "" : " at line " + at.getLineNr() + ", column " + at.getColumnNr();
      String why = e.getOriginalMessage();
      throw new MalformedJsonException(
          "not valid JSON" + where + ": " + why.lines().findFirst().orElse("").split(" \\(", 2)[0]);
    } catch (NumberFormatException e) { // Jackson lets it through where an exponent has 10 digits
      throw new MalformedJsonException("not valid JSON: a number's exponent exceeds all bounds");
    }
  }

  /**
   * Requires the one encoding that JSON between programs has (RFC 8259 §8.1): a reader that guesses
   * would read UTF-16, whose bytes are not where others think they are.
   *
   * @throws MalformedJsonException where the bytes are not UTF-8, or are UTF-16 or UTF-32
   */
  public static void requireUtf8(byte[] bytes) throws MalformedJsonException {
    for (int i = 0; i < Math.min(bytes.length, 4); i++) {
      if (bytes[i] == 0) {
        throw new MalformedJsonException("not UTF-8: JSON is sent in UTF-8");
      }
    }
    if (!Utf8.isValid(bytes)) {
      throw new MalformedJsonException("not UTF-8: JSON is sent in UTF-8");
    }
  }

  /** Says that something is not the JSON that was expected. */
  public static MalformedJsonException malformed(String message) {
    return new MalformedJsonException(message);
  }

  /** Reads JSON that this program wrote itself. */
  public static JsonNode trusted(String json) {
    return MAPPER.readTree(json);
  }

  public static ObjectNode object() {
    return MAPPER.createObjectNode();
  }

  public static ArrayNode array() {
    return MAPPER.createArrayNode();
  }

  /** Compact JSON, keys in the order they were put. */
  public static String write(JsonNode node) {
    return MAPPER.writeValueAsString(node);
  }

  /** A text as JSON writes it, in quotes. */
  public static String quote(String text) {
    return MAPPER.writeValueAsString(text);
  }

  /** Compact JSON as UTF-8 bytes, keys in the order they were put. */
  public static byte[] writeBytes(JsonNode node) {
    return MAPPER.writeValueAsBytes(node);
  }

  /**
   * Canonical JSON (RFC 8785) of a tree whose numbers are all integers of at most 53 bits; that is
   * all the records that we hash or sign hold.
   *
   * @throws IllegalArgumentException for any other number
   */
  public static String canonical(JsonNode node) {
    StringBuilder out = new StringBuilder();
    canonical(node, out);
    return out.toString();
  }

  private static void canonical(JsonNode node, StringBuilder out) {
    if (node.isObject()) {
      List<String> keys = new ArrayList<>(node.propertyNames());
      keys.sort(String::compareTo); // UTF-16 code units, as RFC 8785 §3.2.3 orders them
      char before = '{';
      for (String key : keys) {
        out.append(before).append(MAPPER.writeValueAsString(key)).append(':');
        canonical(node.path(key), out);
        before = ',';
      }
      out.append(keys.isEmpty() ? "{}" : "}");
    } else if (node.isArray()) {
      char before = '[';
      for (JsonNode item : node) {
        out.append(before);
        canonical(item, out);
        before = ',';
      }
      out.append(node.isEmpty() ? "[]" : "]");
    } else if (node.isNumber()) {
      if (!node.isIntegralNumber() || node.bigIntegerValue().bitLength() > 53) {
        throw new IllegalArgumentException(
            "only integers of at most 53 bits have a canonical form here: " + node);
      }
      out.append(node.bigIntegerValue());
    } else {
      out.append(MAPPER.writeValueAsString(node));
    }
  }

  /** The text under {@code key}, or null where it is absent, null or no string. */
  public static @Nullable String text(JsonNode object, String key) {
    JsonNode value = object.path(key);
    return value.isString() ? value.stringValue() : null;
  }
}
