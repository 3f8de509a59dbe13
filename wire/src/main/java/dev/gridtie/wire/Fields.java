package dev.gridtie.wire;

import dev.gridtie.base.Json;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * A JSON object while it is read: it knows its place, for messages, and which of its fields nobody
 * has asked for. Null counts as absent.
 */
public final class Fields {
  private static final int SHOWN_MAX = 40;

  private final JsonNode json;
  private final String path;
  private final Set<String> read = new HashSet<>();

  private Fields(JsonNode json, String path) {
    this.json = json;
    this.path = path;
  }

  /** Ends reading with a refusal. */
  public static final class RefusedException extends Exception {
    private static final long serialVersionUID = 1L;
    private final transient ApiError error;

    public RefusedException(String code, String message, @Nullable String parameter) {
      super(message);
      this.error = ApiError.invalid(code, message, parameter);
    }

    public ApiError error() {
      return error;
    }
  }

  /** Reading that may end in a refusal. */
  public interface Reading<T> {
    T read() throws RefusedException;
  }

  /** Runs a reading and gives what came of it. */
  public static <T> Outcome<T> outcome(Reading<T> reading) {
    try {
      return Outcome.ok(reading.read());
    } catch (RefusedException e) {
      return Outcome.refused(e.error());
    }
  }

  /** The root of a request. */
  public static Fields root(JsonNode json) throws RefusedException {
    if (!json.isObject()) {
      throw new RefusedException("invalid_json", "The body must be a JSON object.", null);
    }
    return new Fields(json, "");
  }

  /** An object somewhere within. */
  public static Fields of(JsonNode json, String path) throws RefusedException {
    if (!json.isObject()) {
      throw new RefusedException("invalid_type", "'" + path + "' must be an object.", path);
    }
    return new Fields(json, path);
  }

  /** The path of a field of this object. */
  public String path(String key) {
    return path.isEmpty() ? key : path + "." + key;
  }

  public String path() {
    return path;
  }

  /** The first of these keys that is there with a value. */
  public String first(String... keys) {
    for (String key : keys) {
      if (has(key)) {
        return key;
      }
    }
    return keys[0];
  }

  /** Whether the field is there and not null; does not count as reading it. */
  public boolean has(String key) {
    JsonNode value = json.path(key);
    return !value.isMissingNode() && !value.isNull();
  }

  /** The value as it stands; a missing node where it is absent or null. */
  public JsonNode raw(String key) {
    read.add(key);
    JsonNode value = json.path(key);
    return value.isNull() ? Json.object().path(key) : value;
  }

  public @Nullable JsonNode rawOrNull(String key) {
    JsonNode value = raw(key);
    return value.isMissingNode() ? null : value;
  }

  public @Nullable String text(String key) throws RefusedException {
    JsonNode value = raw(key);
    if (value.isMissingNode()) {
      return null;
    }
    if (!value.isString()) {
      throw wrongType(key, "a text");
    }
    return value.stringValue();
  }

  public String requiredText(String key) throws RefusedException {
    String value = text(key);
    if (value == null || value.isEmpty()) {
      throw new RefusedException(
          "missing_required_parameter", "'" + path(key) + "' must be a text.", path(key));
    }
    return value;
  }

  public @Nullable Boolean flag(String key) throws RefusedException {
    JsonNode value = raw(key);
    if (value.isMissingNode()) {
      return null;
    }
    if (!value.isBoolean()) {
      throw wrongType(key, "true or false");
    }
    return value.booleanValue();
  }

  public boolean isTrue(String key) throws RefusedException {
    return Boolean.TRUE.equals(flag(key));
  }

  public @Nullable Double number(String key, double min, double max) throws RefusedException {
    JsonNode value = raw(key);
    if (value.isMissingNode()) {
      return null;
    }
    if (!value.isNumber()) {
      throw wrongType(key, "a number");
    }
    double number = value.doubleValue();
    if (!(number >= min && number <= max)) {
      throw new RefusedException(
          "invalid_value",
          "'" + path(key) + "' must be from " + min + " to " + max + ".",
          path(key));
    }
    return number;
  }

  public @Nullable Integer whole(String key, int min) throws RefusedException {
    JsonNode value = raw(key);
    if (value.isMissingNode()) {
      return null;
    }
    if (!value.isNumber() || value.doubleValue() != Math.rint(value.doubleValue())) {
      throw wrongType(key, "a whole number");
    }
    double number = value.doubleValue();
    if (number < min || number > Integer.MAX_VALUE) {
      throw wrongValue(
          key,
          "is %s and must be a whole number from %d to %d."
              .formatted(clip(value.asString()), min, Integer.MAX_VALUE));
    }
    return (int) number;
  }

  public @Nullable Long wholeLong(String key) throws RefusedException {
    JsonNode value = raw(key);
    if (value.isMissingNode()) {
      return null;
    }
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw wrongType(
          key, "a whole number from " + Long.MIN_VALUE + " to " + Long.MAX_VALUE + " (64 bits)");
    }
    return value.longValue();
  }

  /** The object under a key, or null. */
  public @Nullable Fields object(String key) throws RefusedException {
    JsonNode value = raw(key);
    return value.isMissingNode() ? null : of(value, path(key));
  }

  /** The objects of a list; none where it is absent. */
  public List<Fields> objects(String key, int max) throws RefusedException {
    List<Fields> objects = new ArrayList<>();
    JsonNode value = raw(key);
    if (value.isMissingNode()) {
      return objects;
    }
    for (JsonNode each : list(value, key, max)) {
      objects.add(of(each, path(key) + "[" + objects.size() + "]"));
    }
    return objects;
  }

  /** The texts of a list, or the one text that stands for it. */
  public List<String> texts(String key, int max) throws RefusedException {
    JsonNode value = raw(key);
    if (value.isMissingNode()) {
      return List.of();
    }
    if (value.isString()) {
      return List.of(value.stringValue());
    }
    List<String> texts = new ArrayList<>();
    for (JsonNode each : list(value, key, max)) {
      if (!each.isString()) {
        throw wrongType(key, "a list of texts");
      }
      texts.add(each.stringValue());
    }
    return texts;
  }

  private JsonNode list(JsonNode value, String key, int max) throws RefusedException {
    if (!value.isArray()) {
      throw wrongType(key, "a list");
    }
    if (value.size() > max) {
      throw new RefusedException(
          "invalid_value",
          "'" + path(key) + "' has " + value.size() + " entries; at most " + max + " are taken.",
          path(key));
    }
    return value;
  }

  public RefusedException wrongType(String key, String expected) {
    return new RefusedException(
        "invalid_type", "'" + path(key) + "' must be " + expected + ".", path(key));
  }

  public RefusedException wrongValue(String key, String what) {
    return new RefusedException("invalid_value", "'" + path(key) + "' " + what, path(key));
  }

  public RefusedException unsupported(String key, String why) {
    return new RefusedException("unsupported_parameter", "'" + path(key) + "' " + why, path(key));
  }

  /** The fields that nobody has asked for, nulls left out. */
  public Map<String, JsonNode> rest() {
    Map<String, JsonNode> rest = new LinkedHashMap<>();
    json.properties()
        .forEach(
            field -> {
              if (!read.contains(field.getKey()) && !field.getValue().isNull()) {
                rest.put(field.getKey(), field.getValue());
              }
            });
    return rest;
  }

  /** Refuses fields that nobody has asked for and that do not stand in {@code ignorable}. */
  public void refuseRest(Set<String> ignorable, Function<String, String> why)
      throws RefusedException {
    for (String key : rest().keySet()) {
      if (!ignorable.contains(key)) {
        throw unsupported(key, why.apply(key));
      }
    }
  }

  public static String clip(String text) {
    return text.length() <= SHOWN_MAX ? text : text.substring(0, SHOWN_MAX) + "…";
  }
}
