package dev.gridtie.gateway.provider;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.Encoding;
import com.knuddels.jtokkit.api.EncodingType;

/**
 * Counts the tokens of texts where a server does not, or not credibly: by OpenAI's vocabulary
 * o200k, which other vendors' counts lie near. An estimate, never a bound.
 */
final class TokenCount {
  /** What is given to the tokenizer at once, in characters: its time grows with that alone. */
  private static final int SLICE_MAX = 512;

  /** How much of a text is counted; the rest is taken to be like it. In characters. */
  private static final int COUNTED_MAX = 128 * 1024;

  private TokenCount() {}

  /** Read once, when first wanted: it takes a fraction of a second. */
  private static final class Vocabulary {
    static final Encoding ENCODING =
        Encodings.newLazyEncodingRegistry().getEncoding(EncodingType.O200K_BASE);
  }

  /** Reads the vocabulary on another thread, so that no request has to wait for it. */
  static void warmUp() {
    Thread unused = Thread.ofVirtual().name("vocabulary").start(() -> of("warm"));
  }

  /** Probably so many tokens; none of an empty text, else at least 1. */
  static long of(CharSequence text) {
    int counted = Math.min(text.length(), COUNTED_MAX);
    long tokens = 0;
    int from = 0;
    while (from < counted) {
      int to = sliceEnd(text, from, counted);
      tokens += Vocabulary.ENCODING.countTokensOrdinary(text.subSequence(from, to).toString());
      from = to;
    }
    return counted == text.length() ? tokens : Math.ceilDiv(tokens * text.length(), counted);
  }

  /**
   * Before the last blank of a slice, so that no word is cut; and never within a surrogate pair.
   */
  private static int sliceEnd(CharSequence text, int from, int end) {
    if (end - from <= SLICE_MAX) {
      return end;
    }
    int last = from + SLICE_MAX;
    for (int at = last; at > from + SLICE_MAX / 2; at--) {
      if (text.charAt(at) == ' ' || text.charAt(at) == '\n') {
        return at;
      }
    }
    return Character.isLowSurrogate(text.charAt(last)) ? last - 1 : last;
  }
}
