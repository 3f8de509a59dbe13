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
    assertThat(Sampler.hash(0, 0, 0)).isEqualTo(4709582886096778584L);
    assertThat(Sampler.hash(402, 17, 99)).isEqualTo(1449319795217840987L);
    assertThat(Sampler.hash(-1, 1_000_000, 150_000)).isEqualTo(8321326281912381549L);
    double sum = 0;
    for (int i = 0; i < 100_000; i++) {
      sum += Sampler.gumbel(Sampler.hash(7, i, i % 13));
    }
    assertThat(sum / 100_000).isCloseTo(0.5772, within(0.02)); // Euler's constant is the mean
  }

  @Test
  void theBoundOfTheNoiseIsNeverBelowIt() {
    for (long top : new long[] {0, 1, (1L << 52) - 1, (1L << 52) - 2, 1L << 51}) {
      assertThat(Sampler.gumbel(top << 12)).isLessThanOrEqualTo(Sampler.gumbelBound(top << 12));
    }
    Seeded.check(
        20_000,
        seeded -> {
          long hash =
              seeded.chance(0.5) ? seeded.number() : -1L ^ seeded.number() >>> seeded.below(64);
          assertThat(Sampler.gumbel(hash)).isLessThanOrEqualTo(Sampler.gumbelBound(hash));
        });
  }

  @Test
  void leavingOutLogarithmsNeverChangesTheToken() {
    Seeded.check(
        300,
        seeded -> {
          float[] logits = new float[50 + seeded.below(400)];
          for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) (seeded.unit() * 12 - 6);
          }
          Sampling s = sampling(0.1 + seeded.unit() * 2, 0, 1, 0, seeded.number());
          int best = 0;
          double bestScore = Double.NEGATIVE_INFINITY;
          for (int token = 0; token < logits.length; token++) {
            double score =
                logits[token] / s.temperature() + Sampler.gumbel(Sampler.hash(s.seed(), 9, token));
            if (score > bestScore) {
              best = token;
              bestScore = score;
            }
          }
          assertThat(new Sampler(s, logits.length).choose(logits, 9)).isEqualTo(best);
        });
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
