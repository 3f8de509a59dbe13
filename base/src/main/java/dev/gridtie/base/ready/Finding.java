package dev.gridtie.base.ready;

/** What a check has found. */
public sealed interface Finding {
  /**
   * What was tested holds.
   *
   * @param detail a few words for the operator; may be empty
   */
  record Ok(String detail) implements Finding {}

  /**
   * What was tested holds still, and soon may not. Does not make a gateway unready.
   *
   * @param reason as in {@link Failed}
   * @param detail as in {@link Failed}
   * @param remedy as in {@link Failed}
   */
  record Warning(String reason, String detail, String remedy) implements Finding {}

  /**
   * What was tested does not hold.
   *
   * @param reason for everyone to read: names no secret, no path, and no address that is not public
   * @param detail what the operator needs besides: paths, hosts, numbers; may be empty
   * @param remedy what the operator does about it, in a sentence
   */
  record Failed(String reason, String detail, String remedy) implements Finding {}

  /** The check does not apply here, and why. */
  record NotApplicable(String why) implements Finding {}

  static Finding ok() {
    return new Ok("");
  }

  static Finding ok(String detail) {
    return new Ok(detail);
  }

  static Finding failed(String reason, String remedy) {
    return new Failed(reason, "", remedy);
  }

  /** Whether a paid request is not hindered by it. */
  default boolean isPassed() {
    return !(this instanceof Failed);
  }
}
