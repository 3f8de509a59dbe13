package dev.gridtie.grid.node;

import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Generator;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.LongSupplier;

/**
 * How fast an engine is, as a short benchmark measured.
 *
 * @param prefillTps tokens of a prompt a second
 * @param decodeTps tokens of an answer a second, in one slot
 */
public record Speed(int prefillTps, int decodeTps) {
  private static final int DECODE_TOKENS = 48;
  private static final int PATIENCE_SECONDS = 120;
  private static final String WORDS = "count the tokens of this prompt once more ";

  /** Runs it: one longer prompt, one answer. */
  public static Speed measure(Generator engine, int contextTokens, LongSupplier nanos)
      throws IOException, InterruptedException {
    String prompt = WORDS.repeat(Math.clamp(contextTokens / 4 / 10, 1, 40));
    Timing timing = new Timing(nanos);
    Sampling wild = new Sampling(2, 0, 1, 0, 1, List.of()); // seldom ends by itself
    try {
      int max = Math.clamp(contextTokens / 8, 4, DECODE_TOKENS);
      Engine.Generation unused =
          engine.generate(new Ask(List.of(new Turn("user", prompt)), wild, max), timing);
      return timing.done.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (Engine.EngineException | ExecutionException | TimeoutException e) {
      throw new IOException("the engine does not get through a short benchmark: " + e.getMessage());
    }
  }

  private static final class Timing implements Engine.Listener {
    private final LongSupplier nanos;
    private final long begun;
    final CompletableFuture<Speed> done = new CompletableFuture<>();
    private long first;
    private int firstTokens;

    Timing(LongSupplier nanos) {
      this.nanos = nanos;
      this.begun = nanos.getAsLong();
    }

    @Override
    public void started(int promptTokens) {}

    @Override
    public void text(String text, List<Integer> tokens, int completionTokens) {
      if (first == 0) {
        first = nanos.getAsLong();
        firstTokens = completionTokens;
      }
    }

    @Override
    public void ended(EndReason reason, int promptTokens, int completionTokens) {
      long end = nanos.getAsLong();
      long firstAt = first == 0 ? end : first;
      done.complete(
          new Speed(
              rate(promptTokens, firstAt - begun),
              rate(Math.max(1, completionTokens - firstTokens), end - firstAt)));
    }

    private static int rate(int tokens, long took) {
      return (int) Math.clamp(tokens * 1_000_000_000L / Math.max(1_000_000, took), 1, 10_000_000);
    }

    @Override
    public void failed(EngineFailure failure) {
      done.completeExceptionally(new IOException(failure.message()));
    }
  }
}
