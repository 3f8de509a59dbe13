package dev.gridtie.grid.engine;

/**
 * Why an engine did not do what was asked.
 *
 * @param code a stable name
 * @param retryable whether the same request may succeed when sent again
 */
public record EngineFailure(Code code, String message, boolean retryable) {
  /** Stable names. */
  public enum Code {
    /** The process ended in the middle of it. */
    CRASHED,
    /** The process is not up at present. */
    UNAVAILABLE,
    /** Too much is waiting. */
    OVERLOADED,
    /** Prompt and answer together exceed the context. */
    CONTEXT_LENGTH_EXCEEDED,
    /** The model's template refuses these messages. */
    INVALID_MESSAGES
  }

  public static EngineFailure crashed() {
    return new EngineFailure(
        Code.CRASHED, "the engine ended while it was answering; send the request again", true);
  }

  /**
   * The engine was ended.
   *
   * @param why as {@link ChildWatch} says
   */
  static EngineFailure hung(String why) {
    return new EngineFailure(
        Code.CRASHED, why + ", and starts again; send the request again", true);
  }

  /**
   * The engine is up, and nothing can be sent to it.
   *
   * @param why as {@link ChildWatch} says
   */
  static EngineFailure mute(String why) {
    return new EngineFailure(Code.UNAVAILABLE, why + "; send the request again later", true);
  }

  static EngineFailure unavailable() {
    return new EngineFailure(
        Code.UNAVAILABLE, "the engine is starting; send the request again in a moment", true);
  }
}
