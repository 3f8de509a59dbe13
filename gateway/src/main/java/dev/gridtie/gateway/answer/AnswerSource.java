package dev.gridtie.gateway.answer;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;

/** Whatever answers requests: an engine on this machine, or a server elsewhere. */
public interface AnswerSource {
  /**
   * The tokens of a request's prompt: exactly, or at most. Refused where this source cannot take
   * the request; may block.
   */
  Outcome<Integer> promptTokens(ChatRequest request);

  /** Starts an answer; what comes of it, failures included, the sink hears. Never blocks long. */
  Running start(Job job, AnswerSink sink);

  /** Computes what texts are like; blocks until that is done. */
  default Embeddings.Result embed(Embeddings.Request request) throws InterruptedException {
    return new Embeddings.Result.Failed(
        Failure.of(
            Failure.Kind.UNFIT,
            ApiError.invalid("unsupported_operation", "This model gives no embeddings.", "model")));
  }

  /** Whether it would answer now. */
  boolean isReady();

  /**
   * What it can do beside others of the grid, in tokens a second; 0 for a source that is not of it.
   */
  default long capacity() {
    return 0;
  }

  /** An answer being given. */
  interface Running {
    /** Nothing runs. */
    Running NOTHING = () -> {};

    /** Stops it before its next token. */
    void cancel();

    /** Asks for no more pieces until {@link #resume}, where the source can wait. */
    default void pause() {}

    default void resume() {}
  }
}
