package dev.gridtie.gateway.edge;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.ModelOffer;
import dev.gridtie.gateway.gate.Order;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.openai.ChatRequest;
import dev.gridtie.wire.openai.ChatRequestReader;
import java.util.Optional;

/** Turns a request's body into an order: which model, how many tokens, at most how much. */
final class Orders {
  /** How much of a client's own words an error repeats, in characters. */
  private static final int SHOWN_MAX = 80;

  private final Catalog catalog;
  private final int decimals;

  /**
   * @param decimals of the coin that quotes are in
   */
  Orders(Catalog catalog, int decimals) {
    this.catalog = catalog;
    this.decimals = decimals;
  }

  Outcome<Order> read(byte[] body, String fingerprint) {
    return ChatRequestReader.read(body)
        .then(request -> model(request).then(model -> order(body, fingerprint, request, model)));
  }

  private Outcome<ModelOffer> model(ChatRequest request) {
    Optional<ModelOffer> model = catalog.find(request.model());
    if (model.isPresent()) {
      return Outcome.ok(model.get());
    }
    String id = request.model();
    String shown = id.length() <= SHOWN_MAX ? id : id.substring(0, SHOWN_MAX) + "…";
    String nearest = catalog.nearest(id).map(n -> " Did you mean '" + n + "'?").orElse("");
    String message =
        "There is no model '%s' here.%s GET /v1/models lists all.".formatted(shown, nearest);
    return Outcome.refused(
        new ApiError(ApiError.Kind.NOT_FOUND, "model_not_found", message, "model"));
  }

  private Outcome<Order> order(
      byte[] body, String fingerprint, ChatRequest request, ModelOffer model) {
    return model
        .source()
        .countPrompt(request)
        .then(
            prompt ->
                maxTokens(request, model, prompt)
                    .then(
                        max ->
                            Outcome.ok(
                                new Order(
                                    fingerprint,
                                    Hex.encode(Hashes.sha256(body)).substring(2),
                                    request,
                                    model,
                                    prompt,
                                    max,
                                    model.quote(prompt, max, decimals)))));
  }

  /** How many tokens the answer may have: what was asked for, where it fits. */
  private static Outcome<Integer> maxTokens(ChatRequest request, ModelOffer model, int prompt) {
    int context = model.contextTokens();
    int room = context - prompt;
    if (room <= 0) {
      String message =
          "The prompt has %d tokens, and the context of '%s' is %d tokens, answer included. Shorten the messages."
              .formatted(prompt, model.id(), context);
      return Outcome.refused(ApiError.invalid("context_length_exceeded", message, "messages"));
    }
    if (request.maxTokens().isEmpty()) {
      return Outcome.ok(Math.min(room, model.defaultMaxTokens()));
    }
    int asked = request.maxTokens().getAsInt();
    if (asked > context) {
      String message =
          "'max_tokens' is %d, and '%s' has a context of %d tokens."
              .formatted(asked, model.id(), context);
      return Outcome.refused(ApiError.invalid("invalid_value", message, "max_tokens"));
    }
    if (asked > room) {
      String message =
          "The prompt has %d tokens and 'max_tokens' is %d: together more than the context of %d tokens. Ask for at most %d."
              .formatted(prompt, asked, context, room);
      return Outcome.refused(ApiError.invalid("context_length_exceeded", message, "max_tokens"));
    }
    return Outcome.ok(asked);
  }
}
