package dev.gridtie.gateway.answer;

import java.util.List;

/** Hears an answer; called by one thread at a time, in order, and not after its end. */
public interface AnswerSink {
  /**
   * The source has taken the request.
   *
   * @param dropped fields that had no place there and do not change the answer
   */
  default void begun(List<String> dropped) {}

  void piece(Piece piece);

  /** The answer is whole: every piece has been heard. */
  void ended(Ending ending);

  /** It will not be whole. */
  void failed(Failure failure);
}
