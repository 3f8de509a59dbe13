package dev.gridtie.wire.chat;

import org.jspecify.annotations.Nullable;

/**
 * How much the model shall think before it answers.
 *
 * @param effort {@code none}, {@code minimal}, {@code low}, {@code medium}, {@code high}, {@code
 *     xhigh} or {@code max}
 * @param budgetTokens the most tokens of thought; -1 leaves it to the model
 * @param show whether thoughts, or a summary of them, are wanted in the answer
 */
public record Thinking(
    @Nullable String effort, @Nullable Integer budgetTokens, @Nullable Boolean show) {
  /** Nothing was asked for. */
  public static final Thinking UNSAID = new Thinking(null, null, null);

  /** Budgets that stand for efforts where a dialect knows only budgets, in tokens. */
  private static final int LOW = 1024;

  private static final int MEDIUM = 8192;
  private static final int HIGH = 24_576;

  /** Whether a request says anything of thinking but to leave it out. */
  public boolean isAsked() {
    return (effort != null && !effort.equals("none"))
        || (budgetTokens != null && budgetTokens != 0);
  }

  /** Whether a request says that there shall be none. */
  public boolean isForbidden() {
    return "none".equals(effort) || (budgetTokens != null && budgetTokens == 0);
  }

  /** The effort that was named, or the nearest to the budget. */
  public @Nullable String effortOrNearest() {
    if (effort != null || budgetTokens == null) {
      return effort;
    }
    int budget = budgetTokens;
    if (budget < 0) {
      return "medium";
    }
    return budget == 0 ? "none" : budget <= 2 * LOW ? "low" : budget <= MEDIUM ? "medium" : "high";
  }

  /** The budget that was named, or the one that stands for the effort; null where none does. */
  public @Nullable Integer budgetOrNearest() {
    if (budgetTokens != null || effort == null) {
      return budgetTokens;
    }
    return switch (effort) {
      case "none" -> 0;
      case "minimal", "low" -> LOW;
      case "medium" -> MEDIUM;
      default -> HIGH;
    };
  }
}
