package dev.gridtie.gateway.relay;

import dev.gridtie.gateway.answer.AnswerSink;

/** Hears an answer, and from whom it is. */
public interface RelaySink extends AnswerSink {
  /** The first byte is there: from now on it is this one's answer, or none. */
  default void committed(Leg leg) {}
}
