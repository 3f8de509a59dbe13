package dev.gridtie.wire.gemini;

import dev.gridtie.wire.chat.Usage;
import tools.jackson.databind.JsonNode;

/** Gemini's usage: the prompt includes what was cached, candidates leave out what was thought. */
public final class GeminiUsage {
  private GeminiUsage() {}

  public static Usage read(JsonNode usage) {
    return GeminiAnswers.usage(usage);
  }
}
