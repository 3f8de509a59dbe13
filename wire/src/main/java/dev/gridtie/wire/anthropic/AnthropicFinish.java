package dev.gridtie.wire.anthropic;

import dev.gridtie.wire.chat.FinishReason;
import org.jspecify.annotations.Nullable;

/** {@code stop_reason} of messages. */
final class AnthropicFinish {
  private AnthropicFinish() {}

  static FinishReason read(String reason) {
    return switch (reason) {
      case "max_tokens", "model_context_window_exceeded" -> FinishReason.LENGTH;
      case "tool_use" -> FinishReason.TOOL_CALLS;
      case "refusal" -> FinishReason.CONTENT_FILTER;
      case "pause_turn" -> FinishReason.PAUSE;
      default -> FinishReason.STOP;
    };
  }

  static String write(FinishReason reason, @Nullable String stopSequence) {
    return switch (reason) {
      case STOP -> stopSequence == null ? "end_turn" : "stop_sequence";
      case ERROR -> "end_turn";
      case LENGTH -> "max_tokens";
      case TOOL_CALLS -> "tool_use";
      case CONTENT_FILTER -> "refusal";
      case PAUSE -> "pause_turn";
    };
  }
}
