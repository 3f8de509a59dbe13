package dev.gridtie.gateway.relay;

import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.openai.ChatRequest;
import java.util.List;

/** An engine of ours as a source of answers. */
public final class EngineSource implements AnswerSource {
  private final Engine engine;

  public EngineSource(Engine engine) {
    this.engine = engine;
  }

  @Override
  public Outcome<Integer> countPrompt(ChatRequest request) {
    try {
      return Outcome.ok(engine.count(turns(request)));
    } catch (Engine.EngineException e) {
      return Outcome.refused(error(e.failure()));
    }
  }

  @Override
  public Outcome<Cancellation> answer(ChatRequest request, int maxTokens, long seed, Sink sink) {
    Sampling sampling =
        new Sampling(
            request.temperature(),
            request.topK(),
            request.topP(),
            request.minP(),
            seed,
            request.stop());
    try {
      Engine.Generation generation =
          engine.generate(turns(request), sampling, maxTokens, new Ears(sink));
      return Outcome.ok(generation::cancel);
    } catch (Engine.EngineException e) {
      return Outcome.refused(error(e.failure()));
    }
  }

  @Override
  public boolean isReady() {
    return engine.isReady();
  }

  private record Ears(Sink sink) implements Engine.Listener {
    @Override
    public void started(int promptTokens) {}

    @Override
    public void text(String text, int completionTokens) {
      sink.text(text, completionTokens);
    }

    @Override
    public void ended(EndReason reason, int promptTokens, int completionTokens) {
      sink.ended(reason, promptTokens, completionTokens);
    }

    @Override
    public void failed(EngineFailure failure) {
      sink.failed(error(failure));
    }
  }

  private static List<Turn> turns(ChatRequest request) {
    return request.messages().stream().map(m -> new Turn(m.role(), m.content())).toList();
  }

  private static ApiError error(EngineFailure failure) {
    return switch (failure.code()) {
      case CRASHED -> ApiError.of(ApiError.Kind.UNAVAILABLE, "engine_crashed", failure.message());
      case UNAVAILABLE ->
          ApiError.of(ApiError.Kind.UNAVAILABLE, "engine_unavailable", failure.message());
      case OVERLOADED ->
          ApiError.of(ApiError.Kind.RATE_LIMITED, "engine_overloaded", failure.message());
      case CONTEXT_LENGTH_EXCEEDED ->
          ApiError.invalid("context_length_exceeded", failure.message(), "messages");
      case INVALID_MESSAGES -> ApiError.invalid("invalid_messages", failure.message(), "messages");
    };
  }
}
