package dev.gridtie.gateway.answer;

/** Hears an answer; called by one thread at a time, in order, and not after its end. */
public interface AnswerSink {
  /** The source has taken the request. */
  default void begun(Beginning beginning) {}

  void piece(Piece piece);

  /** The answer is whole: every piece has been heard. */
  void ended(Ending ending);

  /** It will not be whole. */
  void failed(Failure failure);
}
