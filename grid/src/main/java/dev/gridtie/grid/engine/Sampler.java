package dev.gridtie.grid.engine;

import java.util.Arrays;

/**
 * Chooses tokens from logits by the Gumbel-max trick, the noise being a function of seed, position
 * and token alone. So whoever knows the seed and can compute the logits can tell which token had to
 * come, without replaying a stream of random numbers. Truncation comes first (temperature, then
 * top-k, top-p, min-p), noise over what is left.
 */
public final class Sampler {
  /** One bit fewer than a double has, so that a half can be added exactly, and U is never 1. */
  private static final int UNIT_BITS = 52;

  /** A little more than ln 2, so that the bound is one after rounding too. */
  private static final double LN_2 = 0.6931471805599454;

  private final Sampling sampling;
  private final double[] scaled;
  private final int[] kept;
  private final long[] keys;

  /**
   * @param vocabulary how many logits there are
   */
  public Sampler(Sampling sampling, int vocabulary) {
    this.sampling = sampling;
    this.scaled = new double[vocabulary];
    this.kept = new int[vocabulary];
    this.keys = new long[vocabulary];
  }

  /**
   * The token for a position.
   *
   * @param logits one for each token of the vocabulary
   * @param position the place of the new token in the sequence, prompt included
   */
  public int choose(float[] logits, int position) {
    int likeliest = likeliest(logits);
    if (sampling.temperature() == 0) {
      return likeliest;
    }
    int count = truncate(logits, likeliest);
    // Begun with the likeliest, which is never truncated: most others then cannot win and need no
    // logarithm.
    int best = likeliest;
    double bestScore = scaled[best] + gumbel(hash(sampling.seed(), position, best));
    for (int i = 0; i < count; i++) {
      int token = kept[i];
      long hash = hash(sampling.seed(), position, token);
      if (scaled[token] + gumbelBound(hash) < bestScore) {
        continue;
      }
      double score = scaled[token] + gumbel(hash);
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
  private int truncate(float[] logits, int likeliest) {
    for (int token = 0; token < scaled.length; token++) {
      scaled[token] = logits[token] / sampling.temperature();
      kept[token] = token;
    }
    double max = scaled[likeliest];
    int count = scaled.length;
    if (sampling.topK() > 0 || sampling.topP() < 1) {
      sortByLogit(logits);
      count = sampling.topK() > 0 ? Math.min(count, sampling.topK()) : count;
      count = sampling.topP() < 1 ? keepTopP(count, max) : count;
    }
    return sampling.minP() > 0 ? keepMinP(count, max) : count;
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
    double floor = max + StrictMath.log(sampling.minP());
    int left = 0;
    for (int i = 0; i < count; i++) {
      if (scaled[kept[i]] >= floor) {
        kept[left++] = kept[i];
      }
    }
    return left;
  }

  /** Orders {@link #kept} from the likeliest token on, equals by number. */
  private void sortByLogit(float[] logits) {
    for (int token = 0; token < logits.length; token++) {
      int bits = Float.floatToIntBits(logits[token]);
      int ordered = bits >= 0 ? bits : bits ^ Integer.MAX_VALUE;
      keys[token] = (long) ordered << Integer.SIZE | ~token & 0xffff_ffffL;
    }
    Arrays.sort(keys);
    for (int i = 0; i < keys.length; i++) {
      kept[i] = ~(int) keys[keys.length - 1 - i];
    }
  }

  /** Standard Gumbel noise: -ln(-ln U), U in (0, 1) being {@link #unit} of the hash. */
  static double gumbel(long hash) {
    return -StrictMath.log(-StrictMath.log(unit(hash)));
  }

  /**
   * What the noise of a hash cannot exceed, without a logarithm: -ln(-ln U) is at most -ln(1 - U),
   * and 1 - U at least half the power of two below it.
   */
  static double gumbelBound(long hash) {
    long distance =
        (1L << UNIT_BITS)
            - (hash >>> Long.SIZE - UNIT_BITS); // 1 - U in units of 2^-52, but for a half
    int floorLog2 = Long.SIZE - 1 - Long.numberOfLeadingZeros(distance);
    return (UNIT_BITS + 1 - floorLog2) * LN_2;
  }

  /** A number in (0, 1), of the hash's first 52 bits. */
  static double unit(long hash) {
    return ((hash >>> Long.SIZE - UNIT_BITS) + 0.5) * 0x1p-52;
  }

  /** What the noise is made of: seed, position and token, mixed. */
  static long hash(long seed, int position, int token) {
    long mixed = mix(seed + 0x9e3779b97f4a7c15L);
    mixed = mix(mixed ^ (position * 0xd1342543de82ef95L));
    return mix(mixed ^ (token * 0xaf251af3b0f025b5L + 0x632be59bd9b4e019L));
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
