package dev.gridtie.grid.dispatch;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Gives requests to the nodes that can answer them equally: those of one model, build, pool and
 * region. A conversation goes where its prompt is cached, if there is room; else {@link FreeSlots}
 * picks; where nobody has room it waits here, not at a node, in a bounded queue. State: guarded by
 * its own monitor; takers are called outside of it.
 */
public final class Dispatcher {
  /** A node that has the prompt is taken unless it is fuller than this. */
  private static final double AFFINITY_LOAD_MAX = 0.75;

  /** Building the table of conversations anew sooner than this would cost more than it gives. */
  private static final long TABLE_NANOS_MIN = 1_000_000_000L;

  /** And with many nodes it takes longer. */
  private static final long TABLE_NANOS_PER_NODE = 100_000L;

  /** Tokens a second that a node counts for while none was measured: what a small machine has. */
  private static final int NEWCOMER_SPEED = 8;

  private final LongSupplier nanos;
  private final RandomGenerator random;
  private final int waitingMax;
  private final long quietNanosMax;
  private final Map<String, Slot> nodes = new HashMap<>();
  private final FreeSlots free = new FreeSlots();
  private final Waiting waiting = new Waiting();

  /** Nodes that may be taken again at some time, though nobody says so then. */
  private final PriorityQueue<Later> later = new PriorityQueue<>();

  private final Turns turns;
  private Maglev table = Maglev.of(List.of());
  private boolean tableStale;
  private long tableBuiltAt;
  private Slot.Usual usual = new Slot.Usual(NEWCOMER_SPEED, Integer.MAX_VALUE, 0);
  private long usualAt;

  private record Later(long at, Slot slot) implements Comparable<Later> {
    @Override
    public int compareTo(Later other) {
      return Long.compare(at, other.at);
    }
  }

  /**
   * @param waitingMax how many requests may wait
   * @param quietNanosMax a node that was not heard for longer gets no work
   */
  public Dispatcher(
      LongSupplier nanos, RandomGenerator random, int waitingMax, long quietNanosMax) {
    this.nanos = nanos;
    this.random = random;
    this.waitingMax = waitingMax;
    this.quietNanosMax = quietNanosMax;
    this.turns = new Turns(nanos.getAsLong());
    this.tableBuiltAt = nanos.getAsLong() - TABLE_NANOS_MIN;
  }

  private record Given(Request request, Slot slot) {
    void tell() {
      request.taker().take(slot);
    }
  }

  /** A node answers from now on. */
  public void join(Slot slot) {
    List<Given> given;
    synchronized (this) {
      if (nodes.putIfAbsent(slot.node(), slot) != null) {
        throw new IllegalArgumentException(slot.node() + " is here already");
      }
      tableStale = true;
      slot.usual(usual);
      given = changed(slot);
    }
    given.forEach(Given::tell);
  }

  /** A node answers no more. */
  public synchronized void leave(Slot slot) {
    if (nodes.remove(slot.node(), slot)) {
      slot.gone = true;
      tableStale = true;
      free.settle(slot, false);
    }
  }

  /**
   * Finds a node for a request: at once, or when one has room.
   *
   * @return false where too many wait; the taker hears nothing then
   */
  public boolean submit(Request request) {
    Given given = null;
    synchronized (this) {
      Slot slot = waiting.size() > 0 ? null : choose(request);
      if (slot == null) {
        if (waiting.size() >= waitingMax) {
          return false;
        }
        waiting.add(request, nanos.getAsLong());
      } else {
        given = give(request, slot);
      }
    }
    if (given != null) {
      given.tell();
    }
    return true;
  }

  /** A request for a second node, which does not wait; null where nobody has room. */
  public @Nullable Slot spare(Request request) {
    synchronized (this) {
      Slot slot = waiting.size() > 0 ? null : free.pick(request.not(), random);
      if (slot != null && !slot.mayTake(nanos.getAsLong(), quietNanosMax)) {
        free.settle(slot, false);
        slot = null;
      }
      return slot == null ? null : give(request, slot).slot();
    }
  }

  /** Nobody wants it any more; whether it was waiting. */
  public synchronized boolean withdraw(Request request) {
    return waiting.remove(request);
  }

  private Given give(Request request, Slot slot) {
    long now = nanos.getAsLong();
    slot.took();
    turns.add(now);
    free.settle(slot, slot.mayTake(now, quietNanosMax));
    return new Given(request, slot);
  }

  private @Nullable Slot choose(Request request) {
    long now = nanos.getAsLong();
    if (request.key() != 0) {
      Slot home = home(request.key(), now);
      if (home != null
          && home.place >= 0
          && home.mayTake(now, quietNanosMax)
          && !request.not().contains(home.node())
          && home.running() < Math.max(1, AFFINITY_LOAD_MAX * home.slots())) {
        return home;
      }
    }
    while (true) {
      Slot slot = free.pick(request.not(), random);
      if (slot == null || slot.mayTake(now, quietNanosMax)) {
        return slot;
      }
      free.settle(slot, false); // it has gone quiet; it is back when it is heard
    }
  }

  private @Nullable Slot home(long key, long now) {
    if (tableStale && now - tableBuiltAt >= pauseNanos()) {
      table = Maglev.of(new ArrayList<>(nodes.values()));
      tableStale = false;
      tableBuiltAt = now;
    }
    return table.isEmpty() ? null : table.of(key);
  }

  private long pauseNanos() {
    return Math.max(TABLE_NANOS_MIN, TABLE_NANOS_PER_NODE * nodes.size());
  }

  /** A node has room, or less: puts it in its place, and gives it what waits. */
  private List<Given> changed(Slot slot) {
    long now = nanos.getAsLong();
    boolean here = !slot.gone && nodes.get(slot.node()) == slot;
    free.settle(slot, here && slot.mayTake(now, quietNanosMax));
    return serveWaiting();
  }

  private List<Given> serveWaiting() {
    List<Given> given = new ArrayList<>();
    List<Request> passedOver = new ArrayList<>();
    while (free.size() > 0 && waiting.size() > 0 && passedOver.size() < 4) {
      Request next = waiting.poll();
      if (next == null) {
        break;
      }
      Slot slot = choose(next);
      if (slot == null) {
        passedOver.add(next); // the only free ones are those it was lost on
      } else {
        given.add(give(next, slot));
      }
    }
    long now = nanos.getAsLong();
    passedOver.forEach(r -> waiting.add(r, now - Waiting.HEAD_START_NANOS));
    return given;
  }

  /**
   * An answer has ended at a node.
   *
   * @param well whether it was brought to its end
   */
  public void finished(Slot slot, boolean well) {
    update(slot, () -> slot.finished(well, nanos.getAsLong()));
    if (!well) {
      synchronized (this) {
        later.add(new Later(slot.quarantinedUntil(), slot));
      }
    }
  }

  /**
   * A node has said so much of an answer: what it counts for follows from this alone.
   *
   * @param tookNanos from the request to the last token, as seen here
   */
  public synchronized void measured(Slot slot, int tokens, long tookNanos) {
    if (tokens < Slot.MEASURED_TOKENS_MIN) {
      return;
    }
    slot.measured(tokens, tookNanos);
    long now = nanos.getAsLong();
    if (now - usualAt >= pauseNanos()) {
      usualAt = now;
      lookWhatIsUsual();
    }
  }

  /**
   * A newcomer counts for what the slower ones give, and a stranger for no more than the faster
   * ones, and no sooner than half of them: so a few nodes that answer much too fast or too slowly
   * move neither.
   */
  private void lookWhatIsUsual() {
    double[] speeds =
        nodes.values().stream().mapToDouble(Slot::measured).filter(s -> s > 0).sorted().toArray();
    if (speeds.length == 0) {
      return;
    }
    int lower = (int) Math.max(1, speeds[(speeds.length - 1) / 4]);
    int upper = (int) Math.max(1, speeds[(speeds.length - 1) * 3 / 4]);
    // Conversations stay with their nodes unless speeds are no more what the table was built for.
    tableStale |= upper < usual.most() * 3L / 4 || upper > usual.most() * 4L / 3;
    long[] soon = nodes.values().stream().mapToLong(Slot::soonNanos).sorted().toArray();
    usual = new Slot.Usual(lower, upper, soon[(soon.length - 1) / 2]);
    nodes.values().forEach(n -> n.usual(usual));
  }

  /** An answer was taken from a node for reasons that say nothing of the node. */
  public void released(Slot slot) {
    update(slot, slot::released);
  }

  /** A node was heard. */
  public void heard(Slot slot) {
    boolean wasQuiet;
    synchronized (this) {
      long now = nanos.getAsLong();
      wasQuiet = now - slot.heardAt() > quietNanosMax || slot.place < 0;
      slot.heard(now);
    }
    if (wasQuiet) {
      update(slot, () -> {});
    }
  }

  public synchronized void roundTrip(Slot slot, long roundTripNanos) {
    slot.roundTrip(roundTripNanos);
  }

  public synchronized void gap(Slot slot, long gapNanos) {
    slot.gap(gapNanos);
  }

  public synchronized void first(Slot slot, long firstNanos) {
    slot.first(firstNanos);
  }

  /** What a node says of itself. */
  public void status(Slot slot, boolean accepting, int activeInAll) {
    update(slot, () -> slot.status(accepting, activeInAll));
  }

  private void update(Slot slot, Runnable change) {
    List<Given> given;
    synchronized (this) {
      change.run();
      given = changed(slot);
    }
    given.forEach(Given::tell);
  }

  /** Looks at the time: lets requests go that are late, and nodes back that have sat out. */
  public void tick() {
    List<Request> late = new ArrayList<>();
    List<Given> given = new ArrayList<>();
    synchronized (this) {
      long now = nanos.getAsLong();
      for (Later l = later.peek(); l != null && l.at() <= now; l = later.peek()) {
        later.remove();
        given.addAll(changed(l.slot()));
      }
      for (Request r = waiting.late(now); r != null; r = waiting.late(now)) {
        late.add(r);
      }
    }
    given.forEach(Given::tell);
    late.forEach(r -> r.taker().late());
  }

  /** How long one that came now would wait for its turn, by how soon others had theirs. */
  public synchronized long expectedWaitNanos() {
    return free.size() > 0 ? 0 : turns.nanosFor(waiting.size() + 1, nanos.getAsLong());
  }

  public synchronized int waiting() {
    return waiting.size();
  }

  public synchronized int nodes() {
    return nodes.size();
  }

  /** How many nodes have room now. */
  public synchronized int free() {
    return free.size();
  }

  /** A gap between tokens after which a node counts as stalled: three times its own usual. */
  public synchronized long stallNanos(Slot slot, long least) {
    return Math.max(least, 3 * slot.gapNanos());
  }

  /** A wait for the first token after which another node is asked. */
  public synchronized long firstNanos(Slot slot) {
    return slot.firstNanos();
  }
}
