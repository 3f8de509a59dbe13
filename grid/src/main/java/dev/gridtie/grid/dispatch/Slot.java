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

  /** So many slots a node is given at first; more are opened as it proves that it fills them. */
  static final int SLOTS_NEW = 4;

  /** Shorter answers say little of a speed: most of their time is the prompt's. */
  public static final int MEASURED_TOKENS_MIN = 8;

  /** How much one answer moves what was measured, once some were. */
  private static final double SPEED_STEP = 0.2;

  /** One answer raises what is believed of a speed to at most so many times what it was. */
  private static final double SPEED_GROWTH_MAX = 2;

  /** More slots must not cost more of the throughput than this leaves. */
  private static final double THROUGHPUT_LEFT_MIN = 0.9;

  /** Tokens a second that nothing is slower than, to what counts here. */
  private static final double MIN_SPEED = 0.01;

  private static final long QUARANTINE_NANOS = 500_000_000L;
  private static final int QUARANTINE_DOUBLINGS_MAX = 7;

  /** A gap that no other has been seen to exceed is taken for this, until some were seen. */
  static final long GAP_NANOS_UNKNOWN = 700_000_000L;

  static final long FIRST_NANOS_UNKNOWN = 2_000_000_000L;

  private final String node;
  private final int slots;
  private final int claimed;
  private final boolean trusted;
  private int opened;
  private double measured;
  private int measurements;
  private double throughputBest;
  private Usual usual = Usual.UNKNOWN;
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
   * What is usual among the nodes of a dispatcher, by what was measured of them.
   *
   * @param newcomer tokens a second that a node counts for until it was measured itself
   * @param most tokens a second that a node counts for, unless it is trusted
   * @param soonestNanos until its first token; none counts as sooner, unless it is trusted
   */
  record Usual(int newcomer, int most, long soonestNanos) {
    /** Of nodes that no dispatcher has: what they claim. */
    static final Usual UNKNOWN = new Usual(Integer.MAX_VALUE, Integer.MAX_VALUE, 0);
  }

  /**
   * @param node its address
   * @param slots answers at once, as it claims
   * @param claimed tokens a second in one slot, as it claims: it counts for less where less was
   *     measured, and never for more than was
   * @param trusted whether a pool's operator vouches for it
   */
  public Slot(String node, int slots, int claimed, boolean trusted, long nowNanos) {
    if (slots < 1) {
      throw new IllegalArgumentException("a node has at least one slot");
    }
    this.node = node;
    this.slots = slots;
    this.claimed = Math.max(1, claimed);
    this.trusted = trusted;
    this.opened = Math.min(slots, SLOTS_NEW);
    this.heardAt = nowNanos;
  }

  public String node() {
    return node;
  }

  /** Answers that it is given at once now: no more than it claims. */
  public int slots() {
    return opened;
  }

  /** In one slot: as was measured, or what a newcomer counts for; a claim only lowers it. */
  public int tokensPerSecond() {
    double believed =
        measured == 0 ? usual.newcomer() : trusted ? measured : Math.min(measured, usual.most());
    return (int) Math.clamp(believed, 1, claimed);
  }

  /** Tokens a second in one slot, as was measured here; 0 where nothing was. */
  double measured() {
    return measured;
  }

  void usual(Usual newUsual) {
    usual = newUsual;
  }

  /** An answer has taken so long, from its request until now, at whatever else it does. */
  void measured(int tokens, long tookNanos) {
    double before = measured == 0 ? tokensPerSecond() : measured;
    double rate = Math.min(tokens * 1e9 / Math.max(1, tookNanos), before * SPEED_GROWTH_MAX);
    double step = Math.max(SPEED_STEP, 1.0 / (measurements + 1));
    measured = Math.max(MIN_SPEED, before + (rate - before) * step);
    measurements++;
  }

  /** Opens more slots where all are needed, and those that are open bring what they should. */
  private void open() {
    double throughput = measured * opened;
    boolean full = running + elsewhere >= opened;
    if (full && opened < slots && throughput > throughputBest * THROUGHPUT_LEFT_MIN) {
      throughputBest = Math.max(throughputBest, throughput);
      opened = Math.min(slots, 2 * opened);
    }
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
    return opened - running - elsewhere;
  }

  /** Tokens a second that a free slot adds, by how sure they are; never 0. */
  long weight() {
    return Math.max(1, (long) (tokensPerSecond() * 1_000L * reliability));
  }

  boolean mayTake(long now, long quietMax) {
    return accepting && free() > 0 && now >= quarantinedUntil && now - heardAt <= quietMax;
  }

  /** How soon it would say the first word of an answer; smaller is better. */
  double score() {
    double load = (double) (running + elsewhere) / opened;
    long soon = soonNanos();
    double expected = trusted ? soon : Math.max(soon, usual.soonestNanos());
    return (load + 0.05 + expected / 1e9 * 0.2) / reliability;
  }

  /** Until its first token, half of the time; 0 where too little was seen. */
  long soonNanos() {
    return roundTripNanos + firsts.percentile(50, 0);
  }

  void took() {
    running++;
  }

  void finished(boolean well, long now) {
    if (well) {
      open();
    } else {
      opened = Math.min(opened, Math.max(Math.min(slots, SLOTS_NEW), opened / 2));
    }
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
