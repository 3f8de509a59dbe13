package dev.gridtie.gateway.relay;

import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.openai.ChatRequest;

/** Whatever answers chat requests: an engine on this machine. */
public interface AnswerSource {
  /** Hears an answer; called by one thread, in order. */
  interface Sink {
    void text(String text, int completionTokens);

    void ended(EndReason reason, int promptTokens, int completionTokens);

    void failed(ApiError error);
  }

  /** Stops an answer before its next token. */
  interface Cancellation {
    void cancel();
  }

  /** The tokens of a request's prompt, exactly. */
  Outcome<Integer> countPrompt(ChatRequest request);

  /**
   * Starts an answer.
   *
   * @param seed of the sampler
   */
  Outcome<Cancellation> answer(ChatRequest request, int maxTokens, long seed, Sink sink);

  /** Whether it would answer now. */
  boolean isReady();
}
