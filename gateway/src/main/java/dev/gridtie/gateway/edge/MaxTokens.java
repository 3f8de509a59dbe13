package dev.gridtie.gateway.edge;

import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.provider.PromptBound;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import java.util.List;

/** The longest answer that an order may have. */
final class MaxTokens {
  private MaxTokens() {}

  /** What was asked for, where it fits; else the model's usual. */
  static Outcome<Integer> of(ChatRequest request, List<Leg> fit, int prompt) {
    Leg first = fit.getFirst();
    Endpoint endpoint = first.endpoint();
    int context = endpoint.contextTokens();
    // A bound is no count: where only that is known, the server itself will say if it is too much.
    int counted =
        endpoint.isLocal() ? prompt : (int) Math.min(PromptBound.estimate(request), context - 1L);
    int room = Math.min(context - counted, endpoint.maxCompletionTokens());
    if (room <= 0) {
      String message =
          "The prompt has %d tokens, and the context of '%s' is %d tokens, answer included. Shorten the messages."
              .formatted(prompt, first.model().id(), context);
      return Outcome.refused(ApiError.invalid("context_length_exceeded", message, "messages"));
    }
    Integer asked = request.maxTokens();
    if (asked == null) {
      return Outcome.ok(Math.min(room, first.model().defaultMaxTokens()));
    }
    if (asked > context) {
      String message =
          "'max_tokens' is %d, and '%s' has a context of %d tokens."
              .formatted(asked, first.model().id(), context);
      return Outcome.refused(ApiError.invalid("invalid_value", message, "max_tokens"));
    }
    if (asked > room) {
      String message =
          "The prompt has %d tokens and 'max_tokens' is %d: together more than the context of %d tokens. Ask for at most %d."
              .formatted(counted, asked, context, room);
      return Outcome.refused(ApiError.invalid("context_length_exceeded", message, "max_tokens"));
    }
    return Outcome.ok(asked);
  }
}
