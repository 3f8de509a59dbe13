package dev.gridtie.gateway.relay;

import dev.gridtie.gateway.answer.AnswerSink;

/** Hears an answer, and from whom it is. */
public interface RelaySink extends AnswerSink {
  /** This one is asked now. */
  default void asked(Leg leg) {}

  /** The first byte is there: from now on it is this one's answer, or none. */
  default void committed(Leg leg) {}
}
