package dev.gridtie.grid.dispatch;

/**
 * A node as the dispatcher sees it: what it can do, what it does, how it has done. State: written
 * under its {@link Dispatcher}'s monitor alone.
 */
public final class Slot {
  /** What a node's reliability begins with: a newcomer is not the first choice. */
  private static final double RELIABILITY_NEW = 0.9;

  /** How much one answer moves it. */
  private static final double RELIABILITY_STEP = 0.05;

  private static final double RELIABILITY_MIN = 0.05;
  private static final long QUARANTINE_NANOS = 500_000_000L;
  private static final int QUARANTINE_DOUBLINGS_MAX = 7;

  /** A gap that no other has been seen to exceed is taken for this, until some were seen. */
  static final long GAP_NANOS_UNKNOWN = 700_000_000L;

  static final long FIRST_NANOS_UNKNOWN = 2_000_000_000L;

  private final String node;
  private final int slots;
  private final int tokensPerSecond;
  private final Gaps gaps = new Gaps();
  private final Gaps firsts = new Gaps();
  private long roundTripNanos;
  private double reliability = RELIABILITY_NEW;
  private int running;
  private int elsewhere;
  private int failuresInARow;
  private long quarantinedUntil;
  private boolean accepting = true;
  private long heardAt;

  /** Where it stands among the free ones of its class; −1 where it is not free. */
  int place = -1;

  /** Which class that is. */
  int heldClass;

  /** What it added to its class's weight when it was put there. */
  long heldWeight;

  /** Whether it has left, for whoever still has it. */
  boolean gone;

  /**
   * @param node its address
   * @param slots answers at once
   * @param tokensPerSecond in one slot
   */
  public Slot(String node, int slots, int tokensPerSecond, long nowNanos) {
    if (slots < 1) {
      throw new IllegalArgumentException("a node has at least one slot");
    }
    this.node = node;
    this.slots = slots;
    this.tokensPerSecond = Math.max(1, tokensPerSecond);
    this.heardAt = nowNanos;
  }

  public String node() {
    return node;
  }

  public int slots() {
    return slots;
  }

  public int tokensPerSecond() {
    return tokensPerSecond;
  }

  public int running() {
    return running;
  }

  public double reliability() {
    return reliability;
  }

  /** Parts per million, for the pay. */
  public int reliabilityPpm() {
    return (int) (reliability * 1_000_000);
  }

  public long roundTripNanos() {
    return roundTripNanos;
  }

  public boolean accepting() {
    return accepting;
  }

  public long heardAt() {
    return heardAt;
  }

  long quarantinedUntil() {
    return quarantinedUntil;
  }

  int free() {
    return slots - running - elsewhere;
  }

  /** Tokens a second that a free slot adds, by how sure they are; never 0. */
  long weight() {
    return Math.max(1, (long) (tokensPerSecond * 1_000L * reliability));
  }

  boolean mayTake(long now, long quietMax) {
    return accepting && free() > 0 && now >= quarantinedUntil && now - heardAt <= quietMax;
  }

  /** How soon it would say the first word of an answer; smaller is better. */
  double score() {
    double load = (double) (running + elsewhere) / slots;
    double expected = roundTripNanos + firsts.percentile(50, 0);
    return (load + 0.05 + expected / 1e9 * 0.2) / reliability;
  }

  void took() {
    running++;
  }

  void finished(boolean well, long now) {
    running = Math.max(0, running - 1);
    reliability =
        Math.max(RELIABILITY_MIN, reliability + ((well ? 1 : 0) - reliability) * RELIABILITY_STEP);
    if (well) {
      failuresInARow = 0;
    } else {
      quarantinedUntil =
          now + (QUARANTINE_NANOS << Math.min(failuresInARow, QUARANTINE_DOUBLINGS_MAX));
      failuresInARow++;
    }
  }

  /** It was let go for reasons that say nothing of it. */
  void released() {
    running = Math.max(0, running - 1);
  }

  void heard(long now) {
    heardAt = now;
  }

  void roundTrip(long nanos) {
    roundTripNanos = roundTripNanos == 0 ? nanos : (roundTripNanos * 7 + nanos) / 8;
  }

  void status(boolean newAccepting, int activeInAll) {
    accepting = newAccepting;
    elsewhere = Math.max(0, activeInAll - running);
  }

  void gap(long nanos) {
    gaps.add(nanos);
  }

  void first(long nanos) {
    firsts.add(nanos);
  }

  /** 99 of 100 gaps between its tokens were no longer. */
  long gapNanos() {
    return gaps.percentile(99, GAP_NANOS_UNKNOWN);
  }

  /** 95 of 100 first tokens came no later. */
  long firstNanos() {
    return firsts.percentile(95, FIRST_NANOS_UNKNOWN);
  }
}
