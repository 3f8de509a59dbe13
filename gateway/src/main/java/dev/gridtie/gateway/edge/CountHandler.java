package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.provider.PromptBound;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Translator.Call;
import dev.gridtie.wire.gemini.GeminiTranslator;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * How many tokens a request has: Anthropic's {@code count_tokens}, Gemini's {@code countTokens}.
 * Models on engines of ours are counted exactly; of others it is estimated here, for no request
 * leaves this machine to be counted.
 */
final class CountHandler {
  private final Planner planner;

  CountHandler(Planner planner) {
    this.planner = planner;
  }

  void anthropic(byte[] body, Reply reply) {
    count(body, reply, json -> new AnthropicTranslator().readCountRequest(json), "input_tokens");
  }

  void gemini(String model, byte[] body, Reply reply) {
    count(
        body,
        reply,
        json ->
            new GeminiTranslator(false)
                .readRequest(
                    json.has("generateContentRequest") ? json.path("generateContentRequest") : json,
                    new Call(model, false)),
        "totalTokens");
  }

  private interface Reader {
    Outcome<ChatRequest> read(JsonNode json);
  }

  private void count(byte[] body, Reply reply, Reader reader, String field) {
    JsonNode json;
    try {
      json = Json.parse(body);
    } catch (Json.MalformedJsonException e) {
      reply.error(
          ApiError.invalid(
              "invalid_json", "The body could not be read: " + e.getMessage() + ".", null));
      return;
    }
    Outcome<Long> counted =
        reader
            .read(json)
            .then(
                request ->
                    planner
                        .model(request.model())
                        .then(model -> tokens(model.endpoints().getFirst(), request)));
    switch (counted) {
      case Outcome.Refused<Long> refused -> reply.error(refused.error());
      case Outcome.Ok<Long> ok -> {
        ObjectNode answer = Json.object().put(field, ok.value());
        reply.sendQuietly(200, answer);
      }
    }
  }

  private static Outcome<Long> tokens(Endpoint endpoint, ChatRequest request) {
    return endpoint.isLocal()
        ? endpoint
            .channels()
            .getFirst()
            .source()
            .promptTokens(request)
            .then(n -> Outcome.ok((long) n))
        : Outcome.ok(PromptBound.estimate(request));
  }
}
