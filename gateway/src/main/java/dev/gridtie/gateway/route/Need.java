package dev.gridtie.gateway.route;

import dev.gridtie.gateway.catalog.Feature;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Part;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/**
 * What a request needs of an endpoint.
 *
 * @param promptTokens probably
 * @param maxTokens of the answer; 0 where unsaid
 * @param onlyDialect where only a server of the client's dialect can know what to do with it
 */
public record Need(
    Set<Feature> features, long promptTokens, int maxTokens, Optional<Dialect> onlyDialect) {

  /** What a request needs that was read. */
  public static Need of(ChatRequest request, long promptTokens) {
    Set<Feature> features = EnumSet.noneOf(Feature.class);
    if (!request.tools().isEmpty()) {
      features.add(Feature.TOOLS);
    }
    if (request.has(Part.MediaKind.IMAGE)) {
      features.add(Feature.IMAGES);
    }
    if (request.has(Part.MediaKind.AUDIO)) {
      features.add(Feature.AUDIO);
    }
    if (request.has(Part.MediaKind.DOCUMENT)) {
      features.add(Feature.DOCUMENTS);
    }
    if (request.format() instanceof OutputFormat.JsonSchema) {
      features.add(Feature.JSON_SCHEMA);
    }
    if (request.thinking().isAsked()) {
      features.add(Feature.REASONING);
    }
    if (request.sampling().logprobs() != null) {
      features.add(Feature.LOGPROBS);
    }
    Integer max = request.maxTokens();
    return new Need(features, promptTokens, max == null ? 0 : max, Optional.empty());
  }

  /** A request that nobody here could read. */
  public static Need unread(Dialect dialect, int maxTokens) {
    return new Need(Set.of(), 0, maxTokens, Optional.of(dialect));
  }
}
