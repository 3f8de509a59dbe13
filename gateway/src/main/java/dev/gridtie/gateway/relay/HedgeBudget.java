package dev.gridtie.gateway.relay;

/**
 * How many requests may be asked twice: a share of all, so that a slow day does not double the
 * bill. State: guarded by its own monitor.
 */
public final class HedgeBudget {
  private static final double BURST_MAX = 10;

  private final double share;
  private double tokens = 1;

  /**
   * @param percent of requests that may be hedged; 0 for none
   */
  public HedgeBudget(int percent) {
    this.share = percent / 100.0;
  }

  /** A request came: it earns its share of a hedge. */
  synchronized void request() {
    tokens = Math.min(BURST_MAX, tokens + share);
  }

  /** Whether one may be hedged now; counts it. */
  synchronized boolean trySpend() {
    if (share == 0 || tokens < 1) {
      return false;
    }
    tokens--;
    return true;
  }
}
