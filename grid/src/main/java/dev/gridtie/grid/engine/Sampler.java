package dev.gridtie.grid.engine;

/**
 * Chooses tokens from logits by the Gumbel-max trick, the noise being a function of seed, position
 * and token alone. So whoever knows the seed and can compute the logits can tell which token had to
 * come, without replaying a stream of random numbers. Truncation comes first (temperature, then
 * top-k, top-p, min-p), noise over what is left.
 */
public final class Sampler {
  private static final double TO_UNIT = 0x1p-53;

  private final Sampling sampling;
  private final double[] scaled;
  private final int[] kept;

  /**
   * @param vocabulary how many logits there are
   */
  public Sampler(Sampling sampling, int vocabulary) {
    this.sampling = sampling;
    this.scaled = new double[vocabulary];
    this.kept = new int[vocabulary];
  }

  /**
   * The token for a position.
   *
   * @param logits one for each token of the vocabulary
   * @param position the place of the new token in the sequence, prompt included
   */
  public int choose(float[] logits, int position) {
    if (sampling.temperature() == 0) {
      return likeliest(logits);
    }
    int count = truncate(logits);
    int best = -1;
    double bestScore = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < count; i++) {
      int token = kept[i];
      double score = scaled[token] + gumbel(sampling.seed(), position, token);
      if (score > bestScore || score == bestScore && token < best) {
        best = token;
        bestScore = score;
      }
    }
    return best;
  }

  private static int likeliest(float[] logits) {
    int best = 0;
    for (int token = 1; token < logits.length; token++) {
      if (logits[token] > logits[best]) {
        best = token;
      }
    }
    return best;
  }

  /** Fills {@link #kept} with the tokens that stay in the draw, and says how many. */
  private int truncate(float[] logits) {
    double max = Double.NEGATIVE_INFINITY;
    for (int token = 0; token < scaled.length; token++) {
      scaled[token] = logits[token] / sampling.temperature();
      kept[token] = token;
      max = Math.max(max, scaled[token]);
    }
    int count = scaled.length;
    if (sampling.topK() == 0 && sampling.topP() == 1) {
      return keepMinP(count, max);
    }
    sortByScore(count);
    if (sampling.topK() > 0) {
      count = Math.min(count, sampling.topK());
    }
    if (sampling.topP() < 1) {
      count = keepTopP(count, max);
    }
    return keepMinP(count, max);
  }

  private int keepTopP(int count, double max) {
    double total = 0;
    for (int i = 0; i < count; i++) {
      total += StrictMath.exp(scaled[kept[i]] - max);
    }
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += StrictMath.exp(scaled[kept[i]] - max);
      if (sum >= sampling.topP() * total) {
        return i + 1;
      }
    }
    return count;
  }

  private int keepMinP(int count, double max) {
    if (sampling.minP() == 0) {
      return count;
    }
    double floor = max + StrictMath.log(sampling.minP());
    int left = 0;
    for (int i = 0; i < count; i++) {
      if (scaled[kept[i]] >= floor) {
        kept[left++] = kept[i];
      }
    }
    return left;
  }

  private void sortByScore(int count) {
    Integer[] order = new Integer[count];
    for (int i = 0; i < count; i++) {
      order[i] = i;
    }
    java.util.Arrays.sort(
        order,
        (a, b) ->
            scaled[a] != scaled[b] ? Double.compare(scaled[b], scaled[a]) : Integer.compare(a, b));
    for (int i = 0; i < count; i++) {
      kept[i] = order[i];
    }
  }

  /** Standard Gumbel noise: -ln(-ln U), U in (0, 1) a hash of seed, position and token. */
  static double gumbel(long seed, int position, int token) {
    return -StrictMath.log(-StrictMath.log(unit(seed, position, token)));
  }

  static double unit(long seed, int position, int token) {
    long mixed = mix(seed + 0x9e3779b97f4a7c15L);
    mixed = mix(mixed ^ (position * 0xd1342543de82ef95L));
    mixed = mix(mixed ^ (token * 0xaf251af3b0f025b5L + 0x632be59bd9b4e019L));
    return ((mixed >>> 11) + 0.5) * TO_UNIT;
  }

  /**
   * A bijection of 64 bits in which every input bit moves every output bit (Stafford's variant 13
   * of MurmurHash3's end).
   */
  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }
}
