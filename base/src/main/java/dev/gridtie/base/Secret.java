package dev.gridtie.base;

/** A text that must never be seen: it can be used, and not printed. */
public final class Secret {
  private final String value;

  public Secret(String value) {
    this.value = value;
  }

  /** The text itself, for the one who must be shown it. */
  public String reveal() {
    return value;
  }

  public boolean isEmpty() {
    return value.isEmpty();
  }

  @Override
  public String toString() {
    return "[secret]";
  }
}
