package dev.gridtie.gateway.catalog;

import java.util.Locale;

/** What an endpoint can do besides text. */
public enum Feature {
  TOOLS,
  IMAGES,
  AUDIO,
  DOCUMENTS,
  JSON_SCHEMA,
  REASONING,
  EMBEDDINGS,
  LOGPROBS;

  /** Its name in configuration. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
