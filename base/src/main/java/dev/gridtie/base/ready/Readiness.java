package dev.gridtie.base.ready;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * All checks of one program, run together: each on a thread of its own and within its deadline. A
 * report is kept for {@link #KEPT} and given to all who ask meanwhile, so that probes put no load
 * on the chain or the database; a check that hangs is not started a second time. Safe for use by
 * many threads, which wait for the report; not for event loops.
 */
public final class Readiness {
  /** How long a report is given again. */
  public static final Duration KEPT = Duration.ofSeconds(3);

  /** How many checks there may be. */
  private static final int CHECKS_MAX = 1024;

  private final LongSupplier nanoTime;
  private final Map<String, Check> checks = new LinkedHashMap<>();

  /** Checks whose probe has not returned since an earlier report, by name. */
  private final Map<String, FutureTask<Finding>> hanging = new ConcurrentHashMap<>();

  /** Held while checks run; guards {@code last} and {@code lastAt}. */
  private final ReentrantLock running = new ReentrantLock();

  private @Nullable Report last;
  private long lastAt;

  /**
   * @param nanoTime monotonic, such as {@link System#nanoTime}
   */
  public Readiness(LongSupplier nanoTime) {
    this.nanoTime = nanoTime;
  }

  /**
   * Adds a check, which the next new report has.
   *
   * @throws IllegalArgumentException where its name is taken
   */
  public void add(Check check) {
    synchronized (checks) {
      if (checks.size() >= CHECKS_MAX || checks.putIfAbsent(check.name(), check) != null) {
        throw new IllegalArgumentException("the check " + check.name() + " is there already");
      }
    }
  }

  public void addAll(List<Check> more) {
    more.forEach(this::add);
  }

  /** The report, at most {@link #KEPT} old. */
  public Report report() {
    return report(KEPT);
  }

  /** A report made now. */
  public Report now() {
    return report(Duration.ZERO);
  }

  private Report report(Duration ageMax) {
    running.lock();
    try {
      Report known = last;
      if (known != null && nanoTime.getAsLong() - lastAt < ageMax.toNanos()) {
        return known;
      }
      Report made = run();
      last = made;
      lastAt = nanoTime.getAsLong();
      return made;
    } finally {
      running.unlock();
    }
  }

  private Report run() {
    List<Check> all;
    synchronized (checks) {
      all = List.copyOf(checks.values());
    }
    Map<String, Started> started = new LinkedHashMap<>();
    all.forEach(check -> started.put(check.name(), start(check)));
    List<Report.Result> results = new ArrayList<>();
    for (Check check : all) {
      Started one = started.get(check.name());
      if (one != null) {
        Finding finding = one.await(nanoTime.getAsLong());
        results.add(
            new Report.Result(
                check, finding, Duration.ofNanos(nanoTime.getAsLong() - one.since())));
      }
    }
    return new Report(results);
  }

  private Started start(Check check) {
    FutureTask<Finding> before = hanging.get(check.name());
    if (before != null) {
      return new Started(check, before, nanoTime.getAsLong());
    }
    FutureTask<Finding> task =
        new FutureTask<>(
            () -> {
              try {
                return check.probe().look();
              } finally {
                hanging.remove(check.name());
              }
            });
    hanging.put(check.name(), task);
    Thread unused = Thread.ofVirtual().name("check " + check.name()).start(task);
    return new Started(check, task, nanoTime.getAsLong());
  }

  /**
   * A check under way.
   *
   * @param since when it was asked for now, by the injected clock
   */
  private record Started(Check check, FutureTask<Finding> task, long since) {
    /**
     * What it finds; one that is late is interrupted, and stays in {@code hanging} until it ends.
     */
    Finding await(long now) {
      try {
        return task.get(
            Math.max(0, since + check.deadline().toNanos() - now), TimeUnit.NANOSECONDS);
      } catch (TimeoutException | CancellationException e) {
        boolean unused = task.cancel(true);
        return tooLate(check);
      } catch (ExecutionException e) {
        return broken(check, e.getCause());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return tooLate(check);
      }
    }
  }

  private static Finding tooLate(Check check) {
    return new Finding.Failed(
        "no answer within " + check.deadline().toMillis() + " ms",
        "",
        "see whether what it asks hangs or is overloaded: " + check.tests());
  }

  /** What a probe threw may name anything: it is for the operator alone. */
  private static Finding broken(Check check, @Nullable Throwable e) {
    String said = e == null ? "" : String.valueOf(e.getMessage());
    return new Finding.Failed(
        "the check itself has failed",
        said.equals("null") ? String.valueOf(e) : said,
        "see what is said, and the log: " + check.tests());
  }
}
