package dev.gridtie.wire.chat;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** What form the answer's text must have. */
public sealed interface OutputFormat {
  record Plain() implements OutputFormat {}

  /** Any JSON object. */
  record JsonObject() implements OutputFormat {}

  /** JSON that follows a schema. */
  record JsonSchema(
      String name, @Nullable String description, JsonNode schema, @Nullable Boolean strict)
      implements OutputFormat {}
}
