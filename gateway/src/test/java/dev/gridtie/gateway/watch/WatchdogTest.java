package dev.gridtie.gateway.watch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** What counts as stuck, in virtual time. */
class WatchdogTest {
  private static final long SECOND = 1_000_000_000L;

  private final List<String> done = new ArrayList<>();
  private final Deque<Runnable> loop = new ArrayDeque<>();
  private boolean loopTurns = true;
  private long now = 5;

  private final Watchdog watchdog =
      new Watchdog(
          new Watchdog.Patience(5, 30, 30),
          Map.of("event loop 0", loop::add),
          () -> now,
          new Watchdog.Remedy() {
            @Override
            public void dump(String what) {
              done.add("dump " + what);
            }

            @Override
            public void end(String what) {
              done.add("end " + what);
            }
          });

  private void look(int times) {
    for (int i = 0; i < times; i++) {
      now += SECOND;
      watchdog.look();
      while (loopTurns && !loop.isEmpty()) {
        loop.poll().run();
      }
    }
  }

  @Test
  void anEventLoopThatTurnsIsWellHoweverLong() {
    look(10_000);
    assertThat(watchdog.stuck()).isEmpty();
    assertThat(done).isEmpty();
  }

  @Test
  void anEventLoopThatIsStuckIsNamedWrittenDownAndEndsTheProcess() {
    loopTurns = false;
    look(5);
    assertThat(watchdog.stuck()).isEmpty();
    look(1);
    assertThat(watchdog.stuck()).isEqualTo("event loop 0");
    assertThat(done).containsExactly("dump event loop 0");
    look(40);
    assertThat(done).containsExactly("dump event loop 0", "end event loop 0");
  }

  @Test
  void oneThatTurnsAgainIsWellAgain() {
    loopTurns = false;
    look(20);
    assertThat(watchdog.stuck()).isNotEmpty();
    loopTurns = true;
    look(3);
    assertThat(watchdog.stuck()).isEmpty();
    look(100);
    assertThat(done).containsExactly("dump event loop 0");
  }

  @Test
  void aMachineThatWasPausedFindsNothingStuck() {
    loopTurns = false;
    look(5);
    now += 3600 * SECOND;
    look(4);
    assertThat(watchdog.stuck()).isEmpty();
    loopTurns = true;
    look(100);
    assertThat(done).isEmpty();
  }

  @Test
  void aRequestThatComputesWithoutEndIsStuckAndOneThatWaitsIsNot() {
    AtomicReference<Thread.State> state = new AtomicReference<>(Thread.State.WAITING);
    try (Watchdog.Request request = watchdog.begin(state::get)) {
      look(1000);
      assertThat(watchdog.stuck()).isEmpty();
      state.set(Thread.State.RUNNABLE);
      look(29);
      assertThat(watchdog.stuck()).isEmpty();
      look(1);
      assertThat(watchdog.stuck()).isEqualTo("1 request");
      state.set(Thread.State.TIMED_WAITING);
      look(1);
      assertThat(watchdog.stuck()).isEmpty();
      state.set(Thread.State.RUNNABLE);
      look(60);
    }
    assertThat(done).containsExactly("dump 1 request", "dump 1 request", "end 1 request");
  }

  @Test
  void aRequestThatIsOverIsForgotten() {
    Watchdog.Request request = watchdog.begin(() -> Thread.State.RUNNABLE);
    look(20);
    request.close();
    look(100);
    assertThat(done).isEmpty();
  }
}
