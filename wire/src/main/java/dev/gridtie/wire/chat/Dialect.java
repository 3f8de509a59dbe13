package dev.gridtie.wire.chat;

import java.util.Locale;

/** The forms in which conversations travel. */
public enum Dialect {
  /** {@code POST /v1/chat/completions}. */
  OPENAI,
  /** {@code POST /v1/responses}. */
  RESPONSES,
  /** {@code POST /v1/messages}. */
  ANTHROPIC,
  /** {@code POST /v1beta/models/…:generateContent}. */
  GEMINI;

  /** Its name in configuration, headers and metrics. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
