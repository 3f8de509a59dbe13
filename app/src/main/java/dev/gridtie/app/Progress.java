package dev.gridtie.app;

/** A line on a terminal that says how far long work has come; nothing where nobody looks. */
final class Progress {
  private static final int WIDTH = 30;

  private final String unit;
  private final long total;
  private final boolean isTerminal;
  private final long startedNanos = System.nanoTime();

  /**
   * @param total how much there is to do; 0 where that is not known
   */
  Progress(String unit, long total) {
    this.unit = unit;
    this.total = total;
    this.isTerminal = System.console() != null && System.console().isTerminal();
  }

  void show(long done) {
    if (isTerminal) {
      System.err.print("\r" + line(done) + "\u001b[K");
      System.err.flush();
    }
  }

  /** The line: a bar, what is done of what, how fast, and how long it will take yet. */
  String line(long done) {
    double seconds = Math.max(1e-3, (System.nanoTime() - startedNanos) / 1e9);
    long perSecond = Math.round(done / seconds);
    if (total <= 0) {
      return "%,d %s, %,d/s".formatted(done, unit, perSecond);
    }
    long within = Math.min(done, total);
    int filled = (int) (WIDTH * within / total);
    long left = perSecond == 0 ? 0 : (total - within) / perSecond;
    return "[%s%s] %,d of %,d %s, %,d/s, %d:%02d left"
        .formatted(
            "#".repeat(filled),
            ".".repeat(WIDTH - filled),
            within,
            total,
            unit,
            perSecond,
            left / 60,
            left % 60);
  }

  /** Wipes the line. */
  void end() {
    if (isTerminal) {
      System.err.print("\r\u001b[K");
      System.err.flush();
    }
  }
}
