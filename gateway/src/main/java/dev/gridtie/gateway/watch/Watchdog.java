package dev.gridtie.gateway.watch;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Notices what is stuck: an event loop that has not run a task for several looks, threads for
 * requests that get no processor, a request whose thread was computing at every look. A request
 * that waits, for an engine or a client, is not stuck however long it waits. Counts looks rather
 * than time, and begins anew where time has jumped, so that a machine that was paused finds nothing
 * stuck. Looks from a platform thread of its own. State: what was seen at the last looks, by that
 * thread alone; the requests and the finding, by any.
 */
public final class Watchdog implements AutoCloseable {
  /** The status of a process that ended because it was stuck; its launcher starts it again. */
  public static final int STUCK_STATUS = 86;

  private static final Duration LOOK_EVERY = Duration.ofSeconds(1);

  /** Between two looks that lie further apart, the process was paused. */
  private static final Duration PAUSED = Duration.ofSeconds(3);

  /**
   * After how many looks, one a second.
   *
   * @param loopLooks an event loop, or the threads for requests, count as stuck
   * @param requestLooks a request that computes counts as stuck
   * @param endLooks what is stuck has the process ended, counted from when it was found
   */
  public record Patience(int loopLooks, int requestLooks, int endLooks) {
    public static final Patience USUAL = new Patience(5, 30, 30);
  }

  /** What is done about what is stuck. */
  public interface Remedy {
    /** Writes down what all threads do, once for each finding. */
    void dump(String what);

    /** Ends the process, to be started again. */
    void end(String what);
  }

  private final Patience patience;
  private final LongSupplier nanos;
  private final Remedy remedy;
  private final Map<String, Turning> turning = new LinkedHashMap<>();
  private final Set<Request> requests = ConcurrentHashMap.newKeySet();
  private volatile String stuck = "";
  private long lastLook;
  private int stuckLooks;
  private volatile @Nullable Thread looking;

  /** Something that must run what it is given. */
  private static final class Turning {
    private final Executor executor;
    private volatile boolean ran = true;
    private int missed;

    Turning(Executor executor) {
      this.executor = executor;
    }

    void look() {
      if (!ran) {
        missed++;
        return;
      }
      missed = 0;
      ran = false;
      executor.execute(() -> ran = true);
    }
  }

  /** A request that a thread works on, until it is closed. */
  public final class Request implements AutoCloseable {
    private final Supplier<Thread.State> state;
    private int computing;

    private Request(Supplier<Thread.State> state) {
      this.state = state;
    }

    @Override
    public void close() {
      requests.remove(this);
    }
  }

  /**
   * @param turning what must run what it is given, by name: each event loop, and the threads for
   *     requests
   */
  public Watchdog(
      Patience patience, Map<String, Executor> turning, LongSupplier nanos, Remedy remedy) {
    this.patience = patience;
    this.nanos = nanos;
    this.remedy = remedy;
    turning.forEach((name, executor) -> this.turning.put(name, new Turning(executor)));
    this.lastLook = nanos.getAsLong();
  }

  /** Begins to look. */
  public void start() {
    looking =
        Thread.ofPlatform()
            .name("watchdog")
            .daemon()
            .start(
                () -> {
                  try {
                    while (true) {
                      Thread.sleep(LOOK_EVERY);
                      look();
                    }
                  } catch (InterruptedException e) {
                    // Closed.
                  }
                });
  }

  /** This thread begins to work on a request. */
  public Request begin() {
    Thread thread = Thread.currentThread();
    return begin(thread::getState);
  }

  Request begin(Supplier<Thread.State> state) {
    Request request = new Request(state);
    requests.add(request);
    return request;
  }

  /** What is stuck; empty where nothing is. */
  public String stuck() {
    return stuck;
  }

  void look() {
    long now = nanos.getAsLong();
    boolean paused = now - lastLook > PAUSED.toNanos();
    lastLook = now;
    if (paused) {
      turning.values().forEach(t -> t.missed = 0);
      requests.forEach(r -> r.computing = 0);
      stuckLooks = 0;
      return;
    }
    List<String> found = new ArrayList<>();
    turning.forEach(
        (name, each) -> {
          each.look();
          if (each.missed >= patience.loopLooks()) {
            found.add(name);
          }
        });
    int computing = 0;
    for (Request request : requests) {
      request.computing = request.state.get() == Thread.State.RUNNABLE ? request.computing + 1 : 0;
      if (request.computing >= patience.requestLooks()) {
        computing++;
      }
    }
    if (computing > 0) {
      found.add(computing + (computing == 1 ? " request" : " requests"));
    }
    decide(String.join(", ", found));
  }

  private void decide(String found) {
    boolean before = !stuck.isEmpty();
    stuck = found;
    if (found.isEmpty()) {
      stuckLooks = 0;
      return;
    }
    if (!before) {
      remedy.dump(found);
    }
    stuckLooks++;
    if (stuckLooks == patience.endLooks()) {
      remedy.end(found);
    }
  }

  @Override
  public void close() {
    Thread running = looking;
    if (running != null) {
      running.interrupt();
    }
  }
}
