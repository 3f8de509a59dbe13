package dev.gridtie.grid.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gridtie.testkit.Seeded;
import java.util.List;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final float[] LOGITS = {1.0f, 2.0f, 0.5f, -1.0f};

  private static Sampling sampling(
      double temperature, int topK, double topP, double minP, long seed) {
    return new Sampling(temperature, topK, topP, minP, seed, List.of());
  }

  private static int choose(Sampling sampling, int position) {
    return new Sampler(sampling, LOGITS.length).choose(LOGITS, position);
  }

  @Test
  void temperatureZeroTakesTheLikeliestAndTheFirstOfEquals() {
    assertThat(choose(Sampling.greedy(), 7)).isEqualTo(1);
    assertThat(new Sampler(Sampling.greedy(), 3).choose(new float[] {2, 5, 5}, 0)).isEqualTo(1);
  }

  @Test
  void theSameSeedAndPositionGiveTheSameTokenWhateverWasChosenBefore() {
    Seeded.check(
        50,
        seeded -> {
          Sampling s = sampling(1, 0, 1, 0, seeded.number());
          Sampler used = new Sampler(s, LOGITS.length);
          used.choose(LOGITS, 3);
          used.choose(LOGITS, 900);
          assertThat(used.choose(LOGITS, 42)).isEqualTo(choose(s, 42));
        });
  }

  @Test
  void overManyPositionsTokensComeAsOftenAsSoftmaxSays() {
    double total = 0;
    double[] expected = new double[LOGITS.length];
    for (int i = 0; i < LOGITS.length; i++) {
      expected[i] = Math.exp(LOGITS[i] / 0.8);
      total += expected[i];
    }
    int[] counts = new int[LOGITS.length];
    int draws = 200_000;
    for (int position = 0; position < draws; position++) {
      counts[choose(sampling(0.8, 0, 1, 0, 402), position)]++;
    }
    for (int i = 0; i < LOGITS.length; i++) {
      assertThat(counts[i] / (double) draws).isCloseTo(expected[i] / total, within(0.004));
    }
  }

  @Test
  void truncationKeepsOnlyTheLikeliest() {
    for (int position = 0; position < 2000; position++) {
      assertThat(choose(sampling(5, 1, 1, 0, 1), position)).isEqualTo(1);
      assertThat(choose(sampling(5, 2, 1, 0, 1), position)).isIn(0, 1);
      assertThat(choose(sampling(1, 0, 0.6, 0, 1), position)).isIn(0, 1);
      assertThat(choose(sampling(1, 0, 0.3, 0, 1), position)).isEqualTo(1);
      assertThat(choose(sampling(1, 0, 1, 0.3, 1), position)).isIn(0, 1);
      assertThat(choose(sampling(1, 0, 1, 1, 1), position)).isEqualTo(1);
    }
  }

  @Test
  void theNoiseIsPinnedSoThatOthersCanCheckOurTokens() {
    assertThat(Sampler.unit(0, 0, 0)).isEqualTo(Sampler.unit(0, 0, 0)).isBetween(0.0, 1.0);
    assertThat(Sampler.unit(402, 17, 99)).isNotEqualTo(Sampler.unit(402, 99, 17));
    double sum = 0;
    for (int i = 0; i < 100_000; i++) {
      sum += Sampler.gumbel(7, i, i % 13);
    }
    assertThat(sum / 100_000).isCloseTo(0.5772, within(0.02)); // Euler's constant is the mean
  }

  @Test
  void valuesOutOfRangeAreRefused() {
    assertThatThrownBy(() -> sampling(-1, 0, 1, 0, 0)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> sampling(Double.NaN, 0, 1, 0, 0))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> sampling(1, 0, 0, 0, 0)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> sampling(1, 0, 1, 2, 0)).isInstanceOf(IllegalArgumentException.class);
  }
}
