package dev.gridtie.wire.chat;

import dev.gridtie.wire.ApiError;
import org.jspecify.annotations.Nullable;

/** What a streamed answer is made of, in order. */
public sealed interface StreamEvent {
  /**
   * It begins.
   *
   * @param usage what is known of the input, often nothing
   */
  record Started(String id, String model, Usage usage) implements StreamEvent {}

  record TextDelta(String text) implements StreamEvent {}

  /** The signature of the text before it (Gemini). */
  record TextSeal(Seal seal) implements StreamEvent {}

  record ReasoningDelta(String text) implements StreamEvent {}

  /**
   * Ends a block of reasoning with its state; without a delta before it, a block of state alone.
   */
  record ReasoningSeal(Seal seal) implements StreamEvent {}

  /** Ends a block of reasoning that has no state. */
  record ReasoningEnded() implements StreamEvent {}

  record RefusalDelta(String text) implements StreamEvent {}

  /**
   * A call of a tool begins.
   *
   * @param index names the call within this answer
   */
  record ToolCallStarted(int index, String id, String name, @Nullable Seal seal)
      implements StreamEvent {}

  /** A piece of a call's arguments; pieces of several calls may come mixed. */
  record ToolArgumentsDelta(int index, String json) implements StreamEvent {}

  /** A call's arguments are whole. */
  record ToolCallEnded(int index) implements StreamEvent {}

  /** A count of tokens, cumulative. */
  record UsageReported(Usage usage) implements StreamEvent {}

  /** No more content will come; the usage may still. */
  record Finished(FinishReason reason, @Nullable String stopSequence) implements StreamEvent {}

  /** The answer is whole: the last event of every answer that is. */
  record Ended() implements StreamEvent {}

  /** It broke off, by the vendor's own word: the last event. */
  record Failed(ApiError error) implements StreamEvent {}
}
