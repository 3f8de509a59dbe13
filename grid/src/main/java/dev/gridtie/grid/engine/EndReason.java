package dev.gridtie.grid.engine;

/** Why an answer ended. */
public enum EndReason {
  /** The model said so, or a stop text came. */
  STOP,
  /** It had as many tokens as were asked for. */
  LENGTH,
  /** Nobody wants it any more. */
  CANCELLED
}
