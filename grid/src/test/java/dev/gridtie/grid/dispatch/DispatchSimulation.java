package dev.gridtie.grid.dispatch;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.testkit.Size;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * The dispatcher as it is, in virtual time: nodes of mixed hardware that come and go with the sun,
 * and requests with the day. Beside it an oracle that knows every queue and every length beforehand
 * and takes, for the same requests in the same order, whichever node ends its wait soonest.
 */
class DispatchSimulation {
  private static final int NODES = Size.of(3_000, 100_000);
  private static final int REQUESTS = Size.of(60_000, 1_000_000);

  /** What comes first finds all nodes idle and the compiler busy: neither share nor time counts. */
  private static final int WARM_UP = REQUESTS / 10;

  private static final long SECOND = 1_000_000_000L;

  /** How full the grid is, in the middle of the day; at its busiest for a while more than full. */
  private static final double LOAD = NODES > 10_000 ? 1.15 : 0.95; // a node answers fewer there

  /** As long as the requests last: a day in which a node answers a few. */
  private long day;

  /** Tokens a second and slots of what people own, and how many of a thousand own it. */
  private record Kind(String name, int speed, int slots, int perMille) {}

  private static final List<Kind> KINDS =
      List.of(
          new Kind("Jetson", 8, 1, 120),
          new Kind("GTX 1060", 14, 1, 230),
          new Kind("laptop", 24, 1, 350),
          new Kind("RTX 4090", 60, 4, 280),
          new Kind("H100", 45, 16, 20));

  /** A node's machine; its presence is a part of the day, or all of it. */
  private static final class Machine {
    final Slot slot;
    final Kind kind;
    final double from;
    final double length;
    boolean here;

    /** Tokens said while it was here. What it ends after it has left is nobody's share. */
    double worked;

    /** Tokens it could have said while it was here. */
    double offered;

    /** Answers it gives now. */
    int active;

    /** Up to when the two sums are right. */
    long counted;

    Machine(Slot slot, Kind kind, double from, double length) {
      this.slot = slot;
      this.kind = kind;
      this.from = from;
      this.length = length;
    }

    /** Begins its sums anew. */
    void forget(long from) {
      worked = 0;
      offered = 0;
      counted = from;
    }

    /** Brings its sums up to date; before anything of it changes. */
    void count(long until) {
      if (here) {
        double tokens = (until - counted) / 1e9 * kind.speed();
        worked += tokens * active;
        offered += tokens * kind.slots();
      }
      counted = until;
    }
  }

  private sealed interface Event {
    record Arrives(int request) implements Event {}

    record Ends(Machine machine, double tokens, long took) implements Event {}

    record Comes(Machine machine) implements Event {}

    record Leaves(Machine machine) implements Event {}
  }

  private record At(long time, long order, Event event) implements Comparable<At> {
    @Override
    public int compareTo(At other) {
      int byTime = Long.compare(time, other.time);
      return byTime != 0 ? byTime : Long.compare(order, other.order);
    }
  }

  private final Random random = new Random(42);
  private final PriorityQueue<At> events = new PriorityQueue<>();
  private final Map<String, Machine> machines = new HashMap<>();
  private final long[] waits = new long[REQUESTS];
  private final long[] deciding = new long[REQUESTS];
  private Map<String, double[]> shares = Map.of();
  private long now;
  private long orders;

  private void at(long time, Event event) {
    events.add(new At(time, orders++, event));
  }

  @Test
  void loadFollowsCapacityAndWaitingIsNearTheOracles() throws IOException {
    Dispatcher dispatcher = new Dispatcher(() -> now, new Random(7), REQUESTS, Long.MAX_VALUE / 4);
    double capacity = people();
    double[] tokens = new double[REQUESTS];
    long[] arrivals = arrivals(tokens, capacity);
    machines.values().forEach(m -> presence(dispatcher, m));
    for (int i = 0; i < REQUESTS; i++) {
      at(arrivals[i], new Event.Arrives(i));
    }
    run(dispatcher, tokens);
    assertThat(dispatcher.waiting()).isZero();

    long[] sorted = waits.clone();
    Arrays.sort(sorted);
    long[] oracle = oracle(arrivals, tokens);
    Arrays.sort(oracle);
    double p99 = sorted[(int) (REQUESTS * 0.99)] / 1e9;
    double oracleP99 = oracle[(int) (REQUESTS * 0.99)] / 1e9;
    report(sorted, oracle);
    assertThat(p99).isLessThanOrEqualTo(1.2 * oracleP99 + 0.001);
    shares.forEach(
        (kind, both) ->
            assertThat(both[0] / both[1])
                .as(kind + ": share of work " + both[0] + ", of capacity " + both[1])
                .isBetween(0.95, 1.05));
  }

  /** Gives the middle capacity of all nodes that are here, tokens a second. */
  private double people() {
    double capacity = 0;
    for (int i = 0; i < NODES; i++) {
      int drawn = random.nextInt(1000);
      Kind kind = KINDS.getLast();
      for (Kind each : KINDS) {
        drawn -= each.perMille();
        if (drawn < 0) {
          kind = each;
          break;
        }
      }
      boolean always = random.nextInt(100) < 40;
      // The others are idle at night, in one of three parts of the world.
      double zone = random.nextInt(3) / 3.0;
      double from = always ? 0 : (zone + (22 + 2 * random.nextGaussian()) / 24 + 2) % 1;
      double length = always ? 1 : (6 + 4 * random.nextDouble()) / 24;
      Slot slot = new Slot("n" + i, kind.slots(), kind.speed(), false, 0);
      machines.put(slot.node(), new Machine(slot, kind, from, length));
      capacity += kind.speed() * kind.slots() * length;
    }
    return capacity;
  }

  private void presence(Dispatcher dispatcher, Machine machine) {
    if (machine.length >= 1) {
      come(dispatcher, machine);
      return;
    }
    double to = machine.from + machine.length;
    if (to > 1) {
      come(dispatcher, machine);
    }
    at((long) (machine.from * day), new Event.Comes(machine));
    at((long) (to % 1 * day), new Event.Leaves(machine));
  }

  private void come(Dispatcher dispatcher, Machine machine) {
    if (!machine.here) {
      machine.count(now);
      machine.here = true;
      machine.slot.gone = false;
      dispatcher.join(machine.slot);
    }
  }

  private void leave(Dispatcher dispatcher, Machine machine) {
    if (machine.here) {
      machine.count(now);
      machine.here = false;
      dispatcher.leave(machine.slot); // what it is answering it ends
    }
  }

  /** A day's requests: more by day, lengths log-normal. */
  private long[] arrivals(double[] tokens, double capacity) {
    double mean = 0;
    for (int i = 0; i < REQUESTS; i++) {
      tokens[i] = Math.min(4_000, Math.exp(random.nextGaussian() * 0.8 + 5.3));
      mean += tokens[i] / REQUESTS;
    }
    double perSecond = capacity * LOAD / mean;
    day = (long) (REQUESTS / perSecond * SECOND);
    long[] arrivals = new long[REQUESTS];
    double at = 0;
    for (int i = 0; i < REQUESTS; i++) {
      double busy = 1 + 0.25 * Math.sin(2 * Math.PI * at * SECOND / day);
      at += -Math.log(1 - random.nextDouble()) / (perSecond * busy);
      arrivals[i] = (long) (at * 1e9);
    }
    return arrivals;
  }

  private void run(Dispatcher dispatcher, double[] tokens) {
    int left = REQUESTS;
    int toArrive = REQUESTS;
    while (left > 0) {
      At next = events.remove();
      now = next.time();
      switch (next.event()) {
        case Event.Arrives arrives -> {
          arrive(dispatcher, arrives.request(), tokens);
          toArrive--;
          if (toArrive == REQUESTS - WARM_UP) { // it began with all nodes idle
            machines.values().forEach(m -> m.forget(now));
          }
          if (toArrive == 0) { // what comes after is no day any more
            machines.values().forEach(m -> m.count(now));
            shares = shares();
          }
        }
        case Event.Ends ends -> {
          left--;
          ends.machine().count(now);
          ends.machine().active--;
          dispatcher.measured(ends.machine().slot, (int) ends.tokens(), ends.took());
          dispatcher.finished(ends.machine().slot, true);
        }
        case Event.Comes comes -> come(dispatcher, comes.machine());
        case Event.Leaves leaves -> leave(dispatcher, leaves.machine());
      }
    }
  }

  private void arrive(Dispatcher dispatcher, int request, double[] tokens) {
    long arrived = now;
    long began = System.nanoTime();
    boolean taken =
        dispatcher.submit(
            new Request(
                0,
                0,
                Long.MAX_VALUE,
                Set.of(),
                new Request.Taker() {
                  @Override
                  public void take(Slot slot) {
                    waits[request] = now - arrived;
                    Machine machine = machines.get(slot.node());
                    machine.count(now);
                    machine.active++;
                    long busy = (long) (tokens[request] / machine.kind.speed() * 1e9);
                    at(now + busy, new Event.Ends(machine, tokens[request], busy));
                  }

                  @Override
                  public void late() {
                    throw new AssertionError("nothing is late here");
                  }
                }));
    deciding[request] = System.nanoTime() - began;
    assertThat(taken).isTrue();
  }

  /**
   * Takes the slot that is free soonest, among all slots of nodes that are here; knows all ends
   * beforehand.
   */
  private long[] oracle(long[] arrivals, double[] tokens) {
    record Free(long at, Machine machine) {}
    PriorityQueue<Free> free =
        new PriorityQueue<>(
            (a, b) ->
                a.at() != b.at()
                    ? Long.compare(a.at(), b.at())
                    : Integer.compare(b.machine().kind.speed(), a.machine().kind.speed()));
    for (Machine machine : machines.values()) {
      for (int s = 0; s < machine.kind.slots(); s++) {
        free.add(new Free(from(machine, 0), machine));
      }
    }
    long[] waited = new long[arrivals.length];
    for (int i = 0; i < arrivals.length; i++) {
      Free next = free.remove();
      long start = from(next.machine(), Math.max(arrivals[i], next.at()));
      while (start > Math.max(arrivals[i], next.at())) { // not here then: later, or another
        free.add(new Free(start, next.machine()));
        next = free.remove();
        start = from(next.machine(), Math.max(arrivals[i], next.at()));
      }
      waited[i] = start - arrivals[i];
      long busy = (long) (tokens[i] / next.machine().kind.speed() * 1e9);
      free.add(new Free(start + busy, next.machine()));
    }
    return waited;
  }

  /** When a machine is here, at that time or after it. */
  private long from(Machine machine, long time) {
    long begins = (long) (machine.from * day);
    long since = ((time - begins) % day + day) % day;
    return machine.length >= 1 || since < machine.length * day ? time : time + day - since;
  }

  /** By kind: its share of all work, and of all capacity. */
  private Map<String, double[]> shares() {
    double worked = machines.values().stream().mapToDouble(m -> m.worked).sum();
    double offered = machines.values().stream().mapToDouble(m -> m.offered).sum();
    Map<String, double[]> shares = new HashMap<>();
    for (Machine m : machines.values()) {
      double[] both = shares.computeIfAbsent(m.kind.name(), k -> new double[2]);
      both[0] += m.worked / worked;
      both[1] += m.offered / offered;
    }
    return shares;
  }

  private void report(long[] waited, long[] oracle) throws IOException {
    long[] decided = Arrays.copyOfRange(deciding, WARM_UP, REQUESTS);
    Arrays.sort(decided);
    List<String> lines = new ArrayList<>();
    lines.add(
        String.format(
            Locale.ROOT,
            "%,d nodes, %,d requests; waiting p50 %.3f s, p99 %.3f s; the oracle's %.3f and %.3f s;"
                + " a decision takes %.2f µs at the median, %.2f at p99",
            NODES,
            REQUESTS,
            waited[REQUESTS / 2] / 1e9,
            waited[(int) (REQUESTS * 0.99)] / 1e9,
            oracle[REQUESTS / 2] / 1e9,
            oracle[(int) (REQUESTS * 0.99)] / 1e9,
            decided[decided.length / 2] / 1e3,
            decided[(int) (decided.length * 0.99)] / 1e3));
    shares.forEach(
        (kind, both) ->
            lines.add(
                String.format(
                    Locale.ROOT,
                    "%-10s %.2f %% of work, %.2f %% of capacity",
                    kind,
                    100 * both[0],
                    100 * both[1])));
    lines.forEach(System.out::println);
    String to = System.getProperty("gridtie.plots");
    if (to != null) {
      Files.createDirectories(Path.of(to));
      Files.writeString(Path.of(to, "dispatch-waiting.svg"), Plots.waiting(waited, oracle));
      Files.writeString(Path.of(to, "dispatch-shares.svg"), Plots.shares(shares));
    }
  }
}
