package dev.gridtie.app;

import dev.gridtie.bench.DelayedWire;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/** Makes trouble for a trial's nodes, each at random, so that it is well a part of the time. */
final class TrialTrouble {
  private static final String SLOW = "delay 400ms 200ms loss 5% rate 64kbit";

  private final GridTrial.Plan plan;
  private final List<GridTrial.Node> nodes;
  private final Ready readyNodes;
  private final Random random;
  private final Consumer<String> say;

  /** Says how many nodes answer. */
  interface Ready {
    int count() throws IOException, InterruptedException;
  }

  TrialTrouble(
      GridTrial.Plan plan,
      List<GridTrial.Node> nodes,
      Ready readyNodes,
      Random random,
      Consumer<String> say) {
    this.plan = plan;
    this.nodes = List.copyOf(nodes);
    this.readyNodes = readyNodes;
    this.random = random;
    this.say = say;
  }

  /**
   * What trouble there was.
   *
   * @param events by kind
   * @param upPercent of the time that nodes were ready, as the gateway saw it
   */
  record Made(Map<String, Integer> events, double upPercent) {}

  /** Makes trouble for so long, beside whatever runs. */
  CompletableFuture<Made> make(Duration length) {
    CompletableFuture<Made> done = new CompletableFuture<>();
    Map<String, Integer> events = new ConcurrentHashMap<>();
    long end = System.nanoTime() + length.toNanos();
    List<Thread> threads = new ArrayList<>();
    for (GridTrial.Node node : nodes) {
      long seed = random.nextLong();
      threads.add(
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      troubles(node, new Random(seed), end, events);
                    } catch (Exception e) {
                      say.accept("making trouble: " + e.getMessage());
                    }
                  }));
    }
    Thread unused =
        Thread.ofVirtual()
            .start(
                () -> {
                  try {
                    double up = watch(end);
                    for (Thread thread : threads) {
                      thread.join();
                    }
                    done.complete(new Made(Map.copyOf(events), up));
                  } catch (Exception e) {
                    done.completeExceptionally(e);
                  }
                });
    return done;
  }

  private double watch(long end) throws InterruptedException {
    long looks = 0;
    long ready = 0;
    while (System.nanoTime() < end) {
      try {
        ready += readyNodes.count();
        looks++;
      } catch (IOException e) {
        say.accept("the gateway does not say how its nodes are: " + e.getMessage());
      }
      Thread.sleep(500);
    }
    return looks == 0 ? 0 : 100.0 * ready / looks / plan.nodes();
  }

  private void troubles(GridTrial.Node node, Random own, long end, Map<String, Integer> events)
      throws Exception {
    double down = plan.outageSeconds();
    double up = down * plan.upPercent() / (100.0 - plan.upPercent());
    while (true) {
      long pause = (long) (1000 * up * 2 * own.nextDouble());
      if (System.nanoTime() + pause * 1_000_000 > end) {
        return;
      }
      Thread.sleep(pause);
      long length = (long) (1000 * down * (0.5 + own.nextDouble()));
      String kind = kind(own);
      events.merge(kind, 1, Integer::sum);
      switch (kind) {
        case "killed" -> {
          node.kill();
          Thread.sleep(length / 4); // and it takes a while to be up again
          node.start();
        }
        case "frozen" -> {
          node.signal("STOP");
          Thread.sleep(length);
          node.signal("CONT");
        }
        case "cut off" -> {
          node.shape(DelayedWire.Shape.of(plan.network()).cutOff());
          Thread.sleep(length);
          node.shape(DelayedWire.Shape.of(plan.network()));
        }
        case "slowed" -> {
          node.shape(DelayedWire.Shape.of(SLOW));
          Thread.sleep(length);
          node.shape(DelayedWire.Shape.of(plan.network()));
        }
        default -> throw new IllegalStateException(kind);
      }
    }
  }

  private String kind(Random own) {
    List<String> kinds =
        plan.network().isEmpty()
            ? List.of("killed", "frozen")
            : List.of("killed", "frozen", "cut off", "slowed");
    return kinds.get(own.nextInt(kinds.size()));
  }
}
