package dev.gridtie.grid.dispatch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class DispatcherTest {
  private static final long SECOND = 1_000_000_000L;

  private long now = SECOND;
  private final List<String> heard = new ArrayList<>();
  private final Map<String, Slot> slots = new HashMap<>();

  private Dispatcher dispatcher(int waitingMax) {
    return new Dispatcher(() -> now, new Random(1), waitingMax, 3 * SECOND);
  }

  private Slot join(Dispatcher dispatcher, String node, int slots, int speed) {
    Slot slot = new Slot(node, slots, speed, false, now);
    dispatcher.join(slot);
    this.slots.put(node, slot);
    return slot;
  }

  private Request request(String name, long key, int priority, String... not) {
    return new Request(
        key,
        priority,
        now + 60 * SECOND,
        Set.of(not),
        new Request.Taker() {
          @Override
          public void take(Slot slot) {
            heard.add(name + "@" + slot.node());
          }

          @Override
          public void late() {
            heard.add(name + " late");
          }
        });
  }

  @Test
  void whereAllAreBusyRequestsWaitAndTheNextFreeSlotTakesThem() {
    Dispatcher dispatcher = dispatcher(10);
    Slot one = join(dispatcher, "n1", 1, 10);
    assertThat(dispatcher.submit(request("a", 0, 0))).isTrue();
    assertThat(dispatcher.submit(request("b", 0, 0))).isTrue();
    assertThat(heard).containsExactly("a@n1");
    dispatcher.finished(one, true);
    assertThat(heard).containsExactly("a@n1", "b@n1");
    assertThat(one.running()).isEqualTo(1);
  }

  @Test
  void howLongATurnTakesIsSeenFromTheTurnsBefore() {
    Dispatcher dispatcher = dispatcher(100);
    assertThat(dispatcher.expectedWaitNanos()).isGreaterThan(1_000_000 * SECOND); // nobody is here
    Slot one = join(dispatcher, "n1", 1, 10);
    assertThat(dispatcher.expectedWaitNanos()).isZero();
    for (int i = 0; i < 100; i++) { // a turn takes half a second
      dispatcher.submit(request("r" + i, 0, 0));
      now += SECOND / 2;
      dispatcher.heard(one);
      if (i < 99) {
        dispatcher.finished(one, true);
      }
    }
    assertThat(dispatcher.expectedWaitNanos()).isBetween(SECOND * 4 / 10, SECOND * 6 / 10);
    for (int i = 0; i < 9; i++) {
      dispatcher.submit(request("w" + i, 0, 0));
    }
    assertThat(dispatcher.expectedWaitNanos()).isBetween(4 * SECOND, 6 * SECOND);
    now += 60 * SECOND; // nothing has moved
    assertThat(dispatcher.expectedWaitNanos()).isGreaterThan(60 * SECOND);
  }

  @Test
  void tooManyAreNotTaken() {
    Dispatcher dispatcher = dispatcher(1);
    assertThat(dispatcher.submit(request("a", 0, 0))).isTrue();
    assertThat(dispatcher.submit(request("b", 0, 0))).isFalse();
    assertThat(heard).isEmpty();
  }

  @Test
  void whoeverContributesIsServedSoonerButNobodyStarves() {
    Dispatcher dispatcher = dispatcher(1000);
    Slot one = join(dispatcher, "n1", 1, 10);
    dispatcher.submit(request("running", 0, 0));
    dispatcher.submit(request("stranger", 0, 0));
    int overtaken = 0;
    while (!heard.contains("stranger@n1")) {
      now += SECOND / 10;
      dispatcher.heard(one);
      dispatcher.submit(request("member", 0, Request.PRIORITY_MAX));
      dispatcher.finished(one, true);
      overtaken++;
      assertThat(overtaken).as("the stranger's turn comes").isLessThan(60);
    }
    assertThat(overtaken).as("members were before").isGreaterThan(30);
  }

  @Test
  void whatHasWaitedTooLongIsLetGo() {
    Dispatcher dispatcher = dispatcher(10);
    dispatcher.submit(request("a", 0, 0));
    now += 61 * SECOND;
    dispatcher.tick();
    assertThat(heard).containsExactly("a late");
    assertThat(dispatcher.waiting()).isZero();
  }

  @Test
  void aRequestIsNotGivenToWhomItWasLostOn() {
    Dispatcher dispatcher = dispatcher(10);
    join(dispatcher, "n1", 8, 100);
    join(dispatcher, "n2", 1, 1);
    for (int i = 0; i < 1; i++) {
      dispatcher.submit(request("a", 0, 0, "n1"));
    }
    assertThat(heard).containsExactly("a@n2");
    dispatcher.submit(request("b", 0, 0, "n1"));
    assertThat(heard).as("it waits rather than go back").hasSize(1);
  }

  @Test
  void aNodeThatFailsIsLeftAloneForAWhileAndLongerEachTime() {
    Dispatcher dispatcher = dispatcher(10);
    Slot bad = join(dispatcher, "n1", 1, 10);
    dispatcher.submit(request("a", 0, 0));
    dispatcher.finished(bad, false);
    dispatcher.submit(request("b", 0, 0));
    assertThat(heard).containsExactly("a@n1");
    now += SECOND * 6 / 10;
    dispatcher.heard(bad);
    dispatcher.tick();
    assertThat(heard).containsExactly("a@n1", "b@n1");
    dispatcher.finished(bad, false);
    dispatcher.submit(request("c", 0, 0));
    now += SECOND * 6 / 10;
    dispatcher.heard(bad);
    dispatcher.tick();
    assertThat(heard).hasSize(2);
    now += SECOND;
    dispatcher.heard(bad);
    dispatcher.tick();
    assertThat(heard).contains("c@n1");
  }

  @Test
  void aNodeThatIsSilentGetsNoWorkUntilItIsHeard() {
    Dispatcher dispatcher = dispatcher(10);
    Slot quiet = join(dispatcher, "n1", 1, 10);
    now += 4 * SECOND;
    dispatcher.submit(request("a", 0, 0));
    assertThat(heard).isEmpty();
    dispatcher.heard(quiet);
    assertThat(heard).containsExactly("a@n1");
  }

  @Test
  void aNodeThatRestsGetsNoWork() {
    Dispatcher dispatcher = dispatcher(10);
    Slot resting = join(dispatcher, "n1", 1, 10);
    dispatcher.status(resting, false, 0);
    dispatcher.submit(request("a", 0, 0));
    assertThat(heard).isEmpty();
    dispatcher.status(resting, true, 0);
    assertThat(heard).containsExactly("a@n1");
  }

  @Test
  void whatItDoesForOtherGatewaysCounts() {
    Dispatcher dispatcher = dispatcher(10);
    Slot shared = join(dispatcher, "n1", 2, 10);
    dispatcher.status(shared, true, 2);
    dispatcher.submit(request("a", 0, 0));
    assertThat(heard).isEmpty();
    dispatcher.status(shared, true, 1);
    assertThat(heard).containsExactly("a@n1");
  }

  @Test
  void aConversationGoesWhereItWas() {
    Dispatcher dispatcher = dispatcher(1000);
    for (int i = 0; i < 50; i++) {
      join(dispatcher, "n" + i, 4, 10 + i);
    }
    for (long key = 1; key <= 100; key++) {
      heard.clear();
      for (int turn = 0; turn < 3; turn++) {
        dispatcher.submit(request("t", key, 0));
        String node = heard.getLast().substring(2);
        dispatcher.finished(slots.get(node), true);
      }
      assertThat(Set.copyOf(heard)).hasSize(1);
    }
  }

  @Test
  void whenItsNodeIsFullAConversationGoesElsewhereRatherThanWait() {
    Dispatcher dispatcher = dispatcher(1000);
    for (int i = 0; i < 10; i++) {
      join(dispatcher, "n" + i, 2, 10);
    }
    for (int i = 0; i < 20; i++) {
      dispatcher.submit(request("t", 7, 0));
    }
    assertThat(heard).hasSize(20);
    assertThat(dispatcher.waiting()).isZero();
  }

  @Test
  void theTableGivesKeysByWeightAndMovesFew() {
    List<Slot> nodes = new ArrayList<>();
    long all = 0;
    for (int i = 0; i < 100; i++) {
      nodes.add(new Slot("n" + i, 1 + i % 4, 10 + i, false, now));
      all += (long) (1 + i % 4) * (10 + i);
    }
    Maglev before = Maglev.of(nodes);
    Slot gone = nodes.removeLast();
    Maglev after = Maglev.of(nodes);
    int keys = 200_000;
    int moved = 0;
    Map<String, Integer> shares = new HashMap<>();
    for (long key = 1; key <= keys; key++) {
      String home = before.of(key).node();
      shares.merge(home, 1, Integer::sum);
      boolean must = home.equals(gone.node());
      moved += !must && !after.of(key).node().equals(home) ? 1 : 0;
    }
    for (Slot slot : nodes) {
      double due = (double) slot.slots() * slot.tokensPerSecond() / all;
      double has = (double) shares.getOrDefault(slot.node(), 0) / keys;
      assertThat(has).as(slot.node()).isCloseTo(due, within(Math.max(0.0015, due * 0.15)));
    }
    assertThat((double) moved / keys).as("moved without need").isLessThan(0.08);
  }

  @Test
  void percentilesAreWithinAnEighthOfWhatWasSeen() {
    Gaps gaps = new Gaps();
    Random random = new Random(3);
    List<Long> seen = new ArrayList<>();
    for (int i = 0; i < 2_000; i++) {
      long gap = (long) (Math.exp(random.nextGaussian() + 16));
      seen.add(gap);
      gaps.add(gap);
    }
    seen.sort(Long::compare);
    for (int percent : List.of(50, 95, 99)) {
      long exact = seen.get(2_000 * percent / 100 - 1);
      assertThat((double) gaps.percentile(percent, 0) / exact).isBetween(0.99, 1.16);
    }
    assertThat(new Gaps().percentile(99, 42)).isEqualTo(42);
  }
}
