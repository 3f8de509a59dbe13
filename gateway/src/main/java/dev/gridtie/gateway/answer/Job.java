package dev.gridtie.gateway.answer;

import dev.gridtie.gateway.answer.AnswerSource.Running;
import dev.gridtie.grid.engine.Place;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * A request to be answered.
 *
 * @param client the dialect the client speaks
 * @param body as the client sent it
 * @param headers of the client's that its own dialect's servers understand
 * @param stream whether the answer is to come in pieces
 * @param request as it was read; empty where it could not be, and only a server of the same dialect
 *     may know what to do with it
 * @param head what the answer says of itself, where it is written here
 * @param maxTokens that the answer may have, if somebody must set a limit the client has not; 0 for
 *     none
 * @param seed of the sampler
 * @param verbatim whether bytes may pass untouched where the server speaks the client's dialect
 * @param texts whose likeness is asked for, where that is the request
 * @param place among those that wait for a machine
 * @param bound what it was quoted and held for
 */
public record Job(
    Translator client,
    byte[] body,
    Map<String, String> headers,
    boolean stream,
    Optional<ChatRequest> request,
    Optional<Head> head,
    int maxTokens,
    long seed,
    boolean verbatim,
    Optional<Texts> texts,
    Place place,
    Bound bound) {

  /**
   * The most that a request may come to.
   *
   * @param promptTokens 0 where no bound is known
   * @param answerTokens of all its answers together; 0 where no bound is known
   */
  public record Bound(long promptTokens, long answerTokens) {
    public static final Bound NONE = new Bound(0, 0);
  }

  /**
   * A request for embeddings.
   *
   * @param writer of the answer, in the client's form
   */
  public record Texts(Embeddings.Request request, Function<Embeddings, Buffer> writer) {}

  /** A request of a conversation. */
  public Job(
      Translator client,
      byte[] body,
      Map<String, String> headers,
      boolean stream,
      Optional<ChatRequest> request,
      boolean verbatim) {
    this(
        client,
        body,
        headers,
        stream,
        request,
        Optional.empty(),
        0,
        0,
        verbatim,
        Optional.empty(),
        Place.LAST,
        Bound.NONE);
  }

  /** A request for embeddings. */
  public Job(Translator client, byte[] body, Texts texts) {
    this(
        client,
        body,
        Map.of(),
        false,
        Optional.empty(),
        Optional.empty(),
        0,
        0,
        false,
        Optional.of(texts),
        Place.LAST,
        Bound.NONE);
  }

  /** Starts this at a source; what comes of it the sink hears. */
  public Running startAt(AnswerSource source, AnswerSink sink) {
    return texts.isPresent() ? embedAt(source, sink, texts.get()) : source.start(this, sink);
  }

  private static Running embedAt(AnswerSource source, AnswerSink sink, Texts texts) {
    Thread thread =
        Thread.ofVirtual()
            .name("embeddings")
            .start(
                () -> {
                  try {
                    embed(source, sink, texts);
                  } catch (InterruptedException e) {
                    Thread.currentThread().interrupt(); // cancelled: nobody listens
                  } catch (RuntimeException e) {
                    System.err.println("gridtie: embedding: " + e);
                    sink.failed(Failure.internal());
                  }
                });
    return new Running() {
      @Override
      public void cancel() {
        thread.interrupt();
      }

      @Override
      public Usage spent() {
        return source.spentOn(texts.request());
      }
    };
  }

  private static void embed(AnswerSource source, AnswerSink sink, Texts texts)
      throws InterruptedException {
    switch (source.embed(texts.request())) {
      case Embeddings.Result.Failed failed -> sink.failed(failed.failure());
      case Embeddings.Result.Given given -> {
        Usage usage = given.embeddings().usage();
        sink.piece(new Piece(texts.writer().apply(given.embeddings()), null, 0));
        sink.ended(new Ending(FinishReason.STOP, usage, false, Buffer.buffer(), List.of()));
      }
    }
  }

  public Dialect dialect() {
    return client.dialect();
  }

  /** The same with another request, which the client's bytes do not say. */
  public Job withRequest(ChatRequest newRequest) {
    return new Job(
        client,
        body,
        headers,
        stream,
        Optional.of(newRequest),
        head,
        maxTokens,
        seed,
        false,
        texts,
        place,
        bound);
  }

  public Job withLimit(int newMaxTokens) {
    return new Job(
        client,
        body,
        headers,
        stream,
        request,
        head,
        newMaxTokens,
        seed,
        verbatim,
        texts,
        place,
        bound);
  }

  public Job withHead(Head newHead) {
    return new Job(
        client,
        body,
        headers,
        stream,
        request,
        Optional.of(newHead),
        maxTokens,
        seed,
        verbatim,
        texts,
        place,
        bound);
  }

  public Job withSeed(long newSeed) {
    return new Job(
        client, body, headers, stream, request, head, maxTokens, newSeed, verbatim, texts, place,
        bound);
  }

  public Job at(Place newPlace) {
    return new Job(
        client, body, headers, stream, request, head, maxTokens, seed, verbatim, texts, newPlace,
        bound);
  }

  /** The same, held for so much. */
  public Job within(Bound newBound) {
    return new Job(
        client, body, headers, stream, request, head, maxTokens, seed, verbatim, texts, place,
        newBound);
  }
}
