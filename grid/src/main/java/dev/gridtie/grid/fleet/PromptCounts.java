package dev.gridtie.grid.fleet;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.grid.engine.Engine.EngineException;
import dev.gridtie.grid.engine.Turn;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/**
 * Prompts' tokens as the gateway has counted them, and what they can be at most and at least where
 * it cannot count. Safe for use by many threads.
 */
final class PromptCounts {
  /** How many counts are remembered: those of requests that are about to be answered. */
  private static final int KNOWN_MAX = 4_096;

  /** What a template may put before a conversation, and around each turn. */
  private static final int TEMPLATE_TOKENS_MAX = 1_024;

  private static final int TURN_TOKENS_MAX = 32;

  /** No vocabulary has tokens of more bytes, but for runs of spaces. */
  private static final int TOKEN_BYTES_MAX = 256;

  private final Counter counter;
  private final Map<String, Integer> known =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Integer> eldest) {
          return size() > KNOWN_MAX;
        }
      };

  PromptCounts(Counter counter) {
    this.counter = counter;
  }

  /** Counts, and remembers it; may block. */
  int count(List<Turn> turns) throws EngineException {
    int tokens = counter.count(turns);
    String digest = digest(turns);
    synchronized (known) {
      known.put(digest, tokens);
    }
    return tokens;
  }

  /** What was counted of this prompt lately; does not block. */
  OptionalInt known(List<Turn> turns) {
    String digest = digest(turns);
    synchronized (known) {
      Integer tokens = known.get(digest);
      return tokens == null ? OptionalInt.empty() : OptionalInt.of(tokens);
    }
  }

  private static String digest(List<Turn> turns) {
    StringBuilder all = new StringBuilder();
    for (Turn turn : turns) {
      all.append(turn.role()).append(' ').append(turn.content().length()).append(' ');
      all.append(turn.content());
    }
    return Hex.encode(Hashes.sha256(all.toString().getBytes(UTF_8)));
  }

  /** A token stands for a byte at least; templates put some words around. */
  static int most(List<Turn> turns) {
    long bytes = TEMPLATE_TOKENS_MAX;
    for (Turn turn : turns) {
      bytes += turn.content().getBytes(UTF_8).length + TURN_TOKENS_MAX;
    }
    return (int) Math.min(Integer.MAX_VALUE, bytes);
  }

  static int least(List<Turn> turns) {
    int least = 1;
    for (Turn turn : turns) {
      least += turn.content().length() / TOKEN_BYTES_MAX;
    }
    return least;
  }
}
