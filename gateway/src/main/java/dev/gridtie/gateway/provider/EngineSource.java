package dev.gridtie.gateway.provider;

import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.AnswerSource;
import dev.gridtie.gateway.answer.Beginning;
import dev.gridtie.gateway.answer.Embeddings;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Generator;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Translator.StreamWriter;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** An engine of ours, or the grid's engines, as a source of answers. */
public final class EngineSource implements AnswerSource {
  private final Generator engine;

  public EngineSource(Generator engine) {
    this.engine = engine;
  }

  @Override
  public Outcome<Integer> promptTokens(ChatRequest request) {
    return EngineRequest.of(request, 1)
        .then(
            r -> {
              try {
                return Outcome.ok(engine.count(r.turns()));
              } catch (Engine.EngineException e) {
                return Outcome.refused(error(e.failure()));
              }
            });
  }

  @Override
  public Running start(Job job, AnswerSink sink) {
    return switch (EngineRequest.of(job.request().orElseThrow(), job.seed())) {
      case Outcome.Refused<EngineRequest> refused -> {
        sink.failed(Failure.of(Failure.Kind.UNFIT, refused.error()));
        yield Running.NOTHING;
      }
      case Outcome.Ok<EngineRequest> ok -> start(ok.value(), job, sink);
    };
  }

  private Running start(EngineRequest request, Job job, AnswerSink sink) {
    Head head = job.head().orElseThrow();
    Ears ears = job.stream() ? new StreamEars(job, head, sink) : new WholeEars(job, head, sink);
    ResumedGeneration generation =
        new ResumedGeneration(
            engine,
            new Ask(request.turns(), request.sampling(), job.maxTokens()).at(job.place()),
            ears);
    try {
      generation.begin();
      return generation;
    } catch (Engine.EngineException e) {
      sink.failed(failure(e.failure()));
      return Running.NOTHING;
    }
  }

  @Override
  public Embeddings.Result embed(Embeddings.Request request) {
    if (request.dimensions() > 0) {
      return new Embeddings.Result.Failed(
          Failure.of(
              Failure.Kind.UNFIT,
              ApiError.invalid(
                  "unsupported_parameter",
                  "'dimensions' cannot be honoured by this model; leave it out.",
                  "dimensions")));
    }
    List<float[]> vectors = new ArrayList<>();
    long tokens = 0;
    for (String text : request.texts()) {
      try {
        Engine.Embedded one = engine.embed(text);
        vectors.add(one.values());
        tokens += one.tokens();
      } catch (Engine.EngineException e) {
        return new Embeddings.Result.Failed(failure(e.failure()));
      }
    }
    return new Embeddings.Result.Given(new Embeddings(vectors, new Usage(tokens, 0, 0, 0, 0)));
  }

  @Override
  public boolean isReady() {
    return engine.isReady();
  }

  @Override
  public long capacity() {
    return engine.capacity();
  }

  /** What an engine understands of a request. */
  private record EngineRequest(List<Turn> turns, Sampling sampling) {
    static Outcome<EngineRequest> of(ChatRequest request, long seed) {
      return EngineAbilities.check(request)
          .then(
              r ->
                  Outcome.ok(
                      new EngineRequest(
                          r.messages().stream().map(m -> new Turn(role(m), m.text())).toList(),
                          sampling(r, seed))));
    }

    private static String role(dev.gridtie.wire.chat.Message message) {
      return switch (message.role()) {
        case SYSTEM -> "system";
        case USER -> "user";
        case ASSISTANT -> "assistant";
      };
    }

    private static Sampling sampling(ChatRequest request, long seed) {
      dev.gridtie.wire.chat.Sampling s = request.sampling();
      double topP = or(s.topP(), 1);
      return new Sampling(
          or(s.temperature(), 1),
          s.topK() == null ? 0 : s.topK(),
          topP == 0 ? Double.MIN_NORMAL : topP, // the likeliest token only
          or(s.minP(), 0),
          seed,
          s.stop());
    }

    private static double or(@Nullable Double value, double otherwise) {
      return value == null ? otherwise : value;
    }
  }

  private abstract static class Ears implements Engine.Listener {
    final AnswerSink sink;

    Ears(AnswerSink sink) {
      this.sink = sink;
    }

    @Override
    public void by(String node) {
      sink.begun(new Beginning(List.of(), node));
    }

    @Override
    public void failed(EngineFailure failure) {
      sink.failed(EngineSource.failure(failure));
    }

    static FinishReason finish(EndReason reason) {
      return reason == EndReason.LENGTH ? FinishReason.LENGTH : FinishReason.STOP;
    }
  }

  /** Writes the client's stream as the engine speaks. */
  private static final class StreamEars extends Ears {
    private final StreamWriter writer;
    private final Head head;
    private boolean begun;

    StreamEars(Job job, Head head, AnswerSink sink) {
      super(sink);
      this.head = head;
      this.writer = job.client().streamWriter(head);
    }

    @Override
    public void started(int promptTokens) {}

    private String begin() {
      if (begun) {
        return "";
      }
      begun = true;
      return writer.write(new StreamEvent.Started(head.id(), head.model(), Usage.NONE));
    }

    @Override
    public void text(String text, List<Integer> tokens, int completionTokens) {
      String bytes = begin() + writer.write(new StreamEvent.TextDelta(text));
      sink.piece(new Piece(Buffer.buffer(bytes), text, completionTokens));
    }

    @Override
    public void ended(EndReason reason, int promptTokens, int completionTokens) {
      Usage usage = new Usage(promptTokens, 0, 0, completionTokens, 0);
      String bytes =
          begin()
              + writer.write(new StreamEvent.Finished(finish(reason), null))
              + writer.write(new StreamEvent.UsageReported(usage))
              + writer.write(new StreamEvent.Ended());
      boolean cancelled = reason == EndReason.CANCELLED;
      Buffer tail = Buffer.buffer(cancelled ? "" : bytes);
      sink.ended(new Ending(finish(reason), usage, cancelled, tail, List.of()));
    }
  }

  /** Collects what the engine says and writes it as one document. */
  private static final class WholeEars extends Ears {
    private final Job job;
    private final Head head;
    private final StringBuilder said = new StringBuilder();

    WholeEars(Job job, Head head, AnswerSink sink) {
      super(sink);
      this.job = job;
      this.head = head;
    }

    @Override
    public void started(int promptTokens) {}

    @Override
    public void text(String text, List<Integer> tokens, int completionTokens) {
      said.append(text);
    }

    @Override
    public void ended(EndReason reason, int promptTokens, int completionTokens) {
      Usage usage = new Usage(promptTokens, 0, 0, completionTokens, 0);
      boolean cancelled = reason == EndReason.CANCELLED;
      if (!cancelled) {
        ChatAnswer answer =
            new ChatAnswer(
                head.id(),
                head.model(),
                head.created(),
                List.of(new Part.Text(said.toString())),
                finish(reason),
                null,
                usage);
        byte[] bytes = dev.gridtie.base.Json.writeBytes(job.client().writeAnswer(answer, head));
        sink.piece(new Piece(Buffer.buffer(bytes), said.toString(), completionTokens));
      }
      sink.ended(new Ending(finish(reason), usage, cancelled, Buffer.buffer(), List.of()));
    }
  }

  private static Failure failure(EngineFailure failure) {
    Failure.Kind kind =
        switch (failure.code()) {
          case CRASHED, UNAVAILABLE -> Failure.Kind.TRANSIENT;
          case OVERLOADED -> Failure.Kind.BUSY;
          case CONTEXT_LENGTH_EXCEEDED, INVALID_MESSAGES -> Failure.Kind.REQUEST;
        };
    return Failure.of(kind, error(failure));
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
