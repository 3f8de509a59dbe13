package dev.gridtie.wire.gemini;

import dev.gridtie.base.Json;
import java.util.Locale;
import java.util.Set;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Gemini's own form of a schema (a part of OpenAPI 3.0) as JSON Schema. */
final class GeminiSchemas {
  /** Fields whose values are schemas by name. */
  private static final Set<String> NAMED = Set.of("properties", "$defs", "definitions");

  /** Fields that JSON Schema does not have. */
  private static final Set<String> OWN = Set.of("nullable", "propertyOrdering", "example");

  /** Counts that protobuf's JSON writes as texts. */
  private static final Set<String> COUNTS =
      Set.of("maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties");

  private GeminiSchemas() {}

  static JsonNode toJsonSchema(JsonNode schema) {
    if (schema.isArray()) {
      ArrayNode list = Json.array();
      schema.forEach(each -> list.add(toJsonSchema(each)));
      return list;
    }
    if (!schema.isObject()) {
      return schema;
    }
    ObjectNode out = Json.object();
    for (var field : schema.properties()) {
      String key = field.getKey();
      JsonNode value = field.getValue();
      if (key.equals("type") && value.isString()) {
        String type = value.stringValue().toLowerCase(Locale.ROOT);
        if (schema.path("nullable").asBoolean(false)) {
          out.putArray("type").add(type).add("null");
        } else {
          out.put("type", type);
        }
      } else if (NAMED.contains(key) && value.isObject()) {
        ObjectNode named = out.putObject(key);
        value.properties().forEach(p -> named.set(p.getKey(), toJsonSchema(p.getValue())));
      } else if (COUNTS.contains(key) && value.isString()) {
        out.put(key, value.asLong(0));
      } else if (key.equals("items") || key.equals("anyOf")) {
        out.set(key, toJsonSchema(value));
      } else if (!OWN.contains(key)) {
        out.set(key, value);
      }
    }
    return out;
  }
}
