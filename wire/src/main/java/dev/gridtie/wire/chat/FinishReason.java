package dev.gridtie.wire.chat;

/** Why an answer ended. */
public enum FinishReason {
  STOP,
  LENGTH,
  TOOL_CALLS,
  CONTENT_FILTER,
  /** The vendor pauses a long turn; send it again to go on (Anthropic {@code pause_turn}). */
  PAUSE,
  /** The vendor reports that it could not go on. */
  ERROR
}
