package dev.gridtie.wire.chat;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * A function that the model may call.
 *
 * @param parameters JSON Schema of its arguments
 * @param strict whether arguments must follow the schema exactly
 * @param cacheControl Anthropic's mark that a prompt may be cached up to here
 */
public record ToolSpec(
    String name,
    @Nullable String description,
    JsonNode parameters,
    @Nullable Boolean strict,
    @Nullable JsonNode cacheControl) {}
