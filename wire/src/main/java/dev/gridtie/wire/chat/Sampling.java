package dev.gridtie.wire.chat;

import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * How tokens are chosen, and how many. What a request does not say is null, and left to the model.
 *
 * @param maxTokens of the answer
 * @param temperature 0 to 2
 * @param topP above 0, to 1
 * @param topK 0 for all
 * @param choices how many answers are wanted
 * @param stop texts at which the answer ends
 * @param logprobs how many likeliest tokens to list at each place; 0 for the chosen alone
 * @param logitBias OpenAI's map of token ids
 */
public record Sampling(
    @Nullable Integer maxTokens,
    @Nullable Double temperature,
    @Nullable Double topP,
    @Nullable Integer topK,
    @Nullable Double minP,
    @Nullable Double topA,
    @Nullable Double frequencyPenalty,
    @Nullable Double presencePenalty,
    @Nullable Double repetitionPenalty,
    @Nullable Long seed,
    int choices,
    List<String> stop,
    @Nullable Integer logprobs,
    @Nullable JsonNode logitBias) {

  public Sampling {
    stop = List.copyOf(stop);
  }

  /** Nothing said. */
  public static final Sampling UNSAID =
      new Sampling(
          null, null, null, null, null, null, null, null, null, null, 1, List.of(), null, null);

  public Sampling withMaxTokens(int newMaxTokens) {
    return new Sampling(
        newMaxTokens,
        temperature,
        topP,
        topK,
        minP,
        topA,
        frequencyPenalty,
        presencePenalty,
        repetitionPenalty,
        seed,
        choices,
        stop,
        logprobs,
        logitBias);
  }
}
