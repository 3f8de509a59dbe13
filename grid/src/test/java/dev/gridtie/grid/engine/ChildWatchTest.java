package dev.gridtie.grid.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.grid.engine.ChildWatch.State;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** When a child counts as hung, in time that the test decides. */
class ChildWatchTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private long now = -5;
  private final ChildWatch watch = new ChildWatch(PATIENCE, now);

  private State after(int seconds) {
    State state = new State.Fine();
    for (int i = 0; i < seconds; i++) {
      now += Duration.ofSeconds(1).toNanos();
      state = watch.look(now, true);
    }
    return state;
  }

  @Test
  void oneThatDoesNotAnswerIsMuteAndThenHung() {
    assertThat(after(9)).isInstanceOf(State.Fine.class);
    assertThat(after(1)).isEqualTo(new State.Mute("the engine has not answered for 10 s"));
    assertThat(after(49)).isInstanceOf(State.Mute.class);
    assertThat(after(1)).isInstanceOf(State.Hung.class);
  }

  @Test
  void oneThatAnswersAgainIsFine() {
    assertThat(after(30)).isInstanceOf(State.Mute.class);
    watch.answered(1, false);
    assertThat(after(1)).isInstanceOf(State.Fine.class);
  }

  @Test
  void oneThatAnswersButMakesNoStepIsHung() {
    for (int second = 0; second < 59; second++) {
      watch.answered(7, true);
      assertThat(after(1)).isNotInstanceOf(State.Hung.class);
    }
    watch.answered(7, true);
    assertThat(after(1)).isEqualTo(new State.Hung("the engine has made no step for 60 s"));
  }

  @Test
  void oneThatMakesStepsOrHasNothingToDoIsFine() {
    for (int second = 0; second < 300; second++) {
      watch.answered(second < 150 ? second : 150, second < 150);
      assertThat(after(1)).isInstanceOf(State.Fine.class);
    }
  }

  @Test
  void aMachineThatWasSuspendedHasNotBeenSilent() {
    for (int hour = 0; hour < 4; hour++) {
      now += Duration.ofHours(1).toNanos();
      assertThat(watch.look(now, true)).isInstanceOf(State.Fine.class);
    }
  }

  @Test
  void whatWasNotBeingReadHasNotBeenSilent() {
    for (int second = 0; second < 100; second++) {
      now += Duration.ofSeconds(1).toNanos();
      assertThat(watch.look(now, false)).isInstanceOf(State.Fine.class);
    }
  }
}
