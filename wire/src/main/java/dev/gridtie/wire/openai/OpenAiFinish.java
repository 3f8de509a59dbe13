package dev.gridtie.wire.openai;

import dev.gridtie.wire.chat.FinishReason;

/** {@code finish_reason} of chat completions. */
final class OpenAiFinish {
  private OpenAiFinish() {}

  static FinishReason read(String reason) {
    return switch (reason) {
      case "length", "max_tokens" -> FinishReason.LENGTH;
      case "tool_calls", "function_call" -> FinishReason.TOOL_CALLS;
      case "content_filter" -> FinishReason.CONTENT_FILTER;
      case "error" -> FinishReason.ERROR;
      default -> FinishReason.STOP;
    };
  }

  static String write(FinishReason reason) {
    return switch (reason) {
      case STOP, PAUSE -> "stop";
      case LENGTH -> "length";
      case TOOL_CALLS -> "tool_calls";
      case CONTENT_FILTER -> "content_filter";
      case ERROR -> "error";
    };
  }
}
