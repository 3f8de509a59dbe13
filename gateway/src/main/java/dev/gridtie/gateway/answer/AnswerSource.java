package dev.gridtie.gateway.answer;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Usage;

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

  /** What an image may count as, at most; 0 where it takes none. */
  default int imageTokensMax() {
    return 0;
  }

  /**
   * What it costs to have asked for texts' likeness and not waited for it; nothing where no server
   * elsewhere bills it.
   */
  default Usage spentOn(Embeddings.Request request) {
    return Usage.NONE;
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

    /**
     * What it has used until now, where a server elsewhere bills it: the prompt once that has gone
     * out, and what has come of the answer, estimated. Nothing where it was not asked yet.
     */
    default Usage spent() {
      return Usage.NONE;
    }

    /** Asks for no more pieces until {@link #resume}, where the source can wait. */
    default void pause() {}

    default void resume() {}
  }
}
