package dev.gridtie.gateway.catalog;

import java.time.Duration;
import java.time.InstantSource;
import java.util.Arrays;

/**
 * What was seen of an endpoint lately: the last {@value #KEPT} requests. State: guarded by its own
 * monitor.
 */
public final class Health {
  static final int KEPT = 256;

  /** An outage in this time moves an endpoint to the end of the list. */
  private static final Duration RECENT = Duration.ofSeconds(30);

  private static final int OUTAGE_REQUESTS_MIN = 2;

  private final InstantSource clock;
  private final long[] times = new long[KEPT];
  private final boolean[] good = new boolean[KEPT];
  private final int[] firstByteMs = new int[KEPT];
  private final int[] tokensPerSecond = new int[KEPT];
  private long count;
  private int running;

  public Health(InstantSource clock) {
    this.clock = clock;
  }

  public synchronized void began() {
    running++;
  }

  /**
   * A request has ended.
   *
   * @param firstByte how long its first byte took; zero where none came
   * @param tokens of the answer
   * @param writing from its first byte to its last
   */
  public synchronized void ended(boolean well, Duration firstByte, long tokens, Duration writing) {
    running = Math.max(0, running - 1);
    int at = (int) (count++ % KEPT);
    times[at] = clock.instant().toEpochMilli();
    good[at] = well;
    firstByteMs[at] = (int) Math.min(Integer.MAX_VALUE, firstByte.toMillis());
    long ms = Math.max(1, writing.toMillis());
    tokensPerSecond[at] = (int) Math.min(Integer.MAX_VALUE, tokens * 1000 / ms);
  }

  /** A request was given up for reasons of ours. */
  public synchronized void dropped() {
    running = Math.max(0, running - 1);
  }

  public synchronized int running() {
    return running;
  }

  /** Whether at least half of the latest requests failed. */
  public synchronized boolean hasOutage() {
    long since = clock.instant().minus(RECENT).toEpochMilli();
    int all = 0;
    int bad = 0;
    for (int i = 0; i < kept(); i++) {
      if (times[i] >= since) {
        all++;
        bad += good[i] ? 0 : 1;
      }
    }
    return bad >= OUTAGE_REQUESTS_MIN && bad * 2 >= all;
  }

  private int kept() {
    return (int) Math.min(count, KEPT);
  }

  /** How many of the requests since then went well; 1 where there were none. */
  public synchronized double uptime(Duration last) {
    long since = clock.instant().minus(last).toEpochMilli();
    int all = 0;
    int well = 0;
    for (int i = 0; i < kept(); i++) {
      if (times[i] >= since) {
        all++;
        well += good[i] ? 1 : 0;
      }
    }
    return all == 0 ? 1 : (double) well / all;
  }

  /**
   * A percentile of the time to the first byte, of requests that went well; zero where nothing is
   * known.
   *
   * @param percent from 1 to 99
   */
  public Duration firstByte(int percent) {
    return Duration.ofMillis(percentile(firstByteMs, percent));
  }

  /** A percentile of tokens a second; zero where nothing is known. */
  public int tokensPerSecond(int percent) {
    return percentile(tokensPerSecond, percent);
  }

  private synchronized int percentile(int[] values, int percent) {
    int[] seen = new int[kept()];
    int n = 0;
    for (int i = 0; i < kept(); i++) {
      if (good[i]) {
        seen[n++] = values[i];
      }
    }
    if (n == 0) {
      return 0;
    }
    int[] sorted = Arrays.copyOf(seen, n);
    Arrays.sort(sorted);
    return sorted[Math.min(n - 1, n * percent / 100)];
  }

  public synchronized long requests() {
    return count;
  }
}
