package dev.gridtie.gateway.provider;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.AnswerSource;
import dev.gridtie.gateway.answer.Beginning;
import dev.gridtie.gateway.answer.Embeddings;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.answer.Room;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.BodyScan;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Expressible;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientRequest;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.RequestOptions;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * A server elsewhere as a source of answers. Where it speaks the client's dialect, bytes pass both
 * ways untouched but for the model's name; else requests and answers are translated.
 */
public final class HttpSource implements AnswerSource {
  /** How much of an error's body is read. */
  private static final int ERROR_BYTES_MAX = 64 * 1024;

  private static final long CONNECT_MS_MAX = 10_000;

  /** How often a call's silence is looked at. */
  private static final long WATCH_EVERY_MS = 5_000;

  /** How long a server may take to begin its answer; of one that comes whole, to give all of it. */
  private static final long FIRST_BYTE_MS_MAX = 600_000;

  /** How long a server may be silent in the middle of a stream. */
  private static final long SILENT_MS_MAX = 120_000;

  private final Vertx vertx;
  private final HttpClient client;
  private final Upstream upstream;
  private final Translator translator;

  /** Requests that are answered with 402 are paid, where there is somebody to pay them. */
  private final Optional<Payment> payment;

  /** Pays a server that asks for it. May look at files: never called on an event loop. */
  public interface Payment {
    /** The header that was sent with this request before, and has not been answered in full. */
    Optional<Map.Entry<String, String>> pending(String request);

    /**
     * Decides on a 402.
     *
     * @param request names the request, so that it is never paid twice
     * @param required the value of PAYMENT-REQUIRED
     * @return the header that pays, name and value; empty where it is not paid
     */
    Optional<Map.Entry<String, String>> pay(String request, String required);

    /**
     * The server has refused what was sent with a request.
     *
     * @return whether that can move no money any more, so that the request may be paid anew
     */
    boolean refused(String request);

    /** The answer to what was sent with a request has come to its end. */
    void delivered(String request);
  }

  public HttpSource(Vertx vertx, HttpClient client, Upstream upstream, Optional<Payment> payment) {
    this.vertx = vertx;
    this.client = client;
    this.upstream = upstream;
    this.translator = upstream.translator();
    this.payment = payment;
    TokenCount.warmUp();
  }

  @Override
  public Outcome<Integer> promptTokens(ChatRequest request) {
    return translator
        .writeRequest(request)
        .then(written -> Outcome.ok(PromptBound.of(request, upstream.imageTokensMax())));
  }

  @Override
  public Embeddings.Result embed(Embeddings.Request request) throws InterruptedException {
    return new HttpEmbeddings(client, upstream, translator).embed(request);
  }

  @Override
  public int imageTokensMax() {
    return upstream.imageTokensMax();
  }

  @Override
  public Usage spentOn(Embeddings.Request request) {
    return HttpEmbeddings.estimated(request.texts());
  }

  @Override
  public boolean isReady() {
    return true;
  }

  /** What goes to the server. */
  private record Outgoing(byte[] body, boolean verbatim, boolean hideUsage, List<String> dropped) {}

  @Override
  public Running start(Job job, AnswerSink sink) {
    switch (outgoing(job)) {
      case Outcome.Refused<Outgoing> refused -> {
        sink.failed(Failure.of(Failure.Kind.UNFIT, refused.error()));
        return Running.NOTHING;
      }
      case Outcome.Ok<Outgoing> ok -> {
        sink.begun(new Beginning(ok.value().dropped(), ""));
        Call call = new Call(job, ok.value(), sink);
        if (payment.isEmpty()) {
          call.begin(Optional.empty());
        } else {
          Thread.ofVirtual().start(() -> call.begin(payment.get().pending(call.name)));
        }
        return call;
      }
    }
  }

  private Outcome<Outgoing> outgoing(Job job) {
    if (job.verbatim() && job.dialect() == upstream.dialect()) {
      try {
        Optional<Outgoing> verbatim = verbatim(job);
        if (verbatim.isPresent()) {
          return Outcome.ok(verbatim.get());
        }
      } catch (Json.MalformedJsonException e) {
        return Outcome.refused(
            ApiError.invalid("invalid_json", String.valueOf(e.getMessage()), null));
      }
    }
    if (job.request().isEmpty()) {
      return Outcome.refused(
          ApiError.invalid("unsupported_parameter", "This model cannot take the request.", null));
    }
    ChatRequest request = job.request().get().withModel(upstream.model());
    ChatRequest limited =
        job.maxTokens() > 0 && request.maxTokens() == null
            ? request.withSampling(request.sampling().withMaxTokens(job.maxTokens()))
            : request;
    return translator
        .writeRequest(limited)
        .then(
            written ->
                Outcome.ok(
                    new Outgoing(
                        Json.writeBytes(written.body()), false, false, written.dropped())));
  }

  /** The body with our model's name; empty where more would have to change. */
  private Optional<Outgoing> verbatim(Job job) throws Json.MalformedJsonException {
    BodyScan scan = BodyScan.of(job.body());
    if (!upstream.extended() && hasRouting(scan)) {
      return Optional.empty();
    }
    boolean limit = job.maxTokens() > 0 && scan.maxTokens(upstream.dialect()) == 0;
    BodyScan.Splice splice = scan.splice();
    switch (upstream.dialect()) {
      case OPENAI -> {
        splice.model(upstream.model());
        if (limit) {
          splice.add("max_completion_tokens", Integer.toString(job.maxTokens()));
        }
      }
      case RESPONSES -> {
        splice.model(upstream.model());
        if (limit) {
          splice.add("max_output_tokens", Integer.toString(job.maxTokens()));
        }
      }
      case ANTHROPIC -> splice.model(upstream.model());
      case GEMINI -> {
        // The limit stands deep inside; the model is in the URL.
        if (job.maxTokens() > 0) {
          return Optional.empty();
        }
      }
    }
    boolean asks = upstream.dialect() == Dialect.OPENAI && job.stream() && !scan.includesUsage();
    if (asks) {
      splice.includeUsage();
    }
    return Optional.of(new Outgoing(splice.apply(), true, asks, List.of()));
  }

  private static boolean hasRouting(BodyScan scan) {
    return scan.fields().stream().anyMatch(Expressible::isRouting);
  }

  /** One request to the server. Everything but the controls happens on its event loop. */
  private final class Call implements Running {
    private final Job job;
    private final Outgoing outgoing;
    private final AnswerSink sink;
    private final AtomicBoolean over = new AtomicBoolean();
    private final Meter meter;

    /** Names the request to whoever pays for it. */
    private final String name;

    private volatile @Nullable HttpClientRequest request;
    private volatile @Nullable HttpClientResponse response;
    private volatile boolean cancelled;

    /** Whether the request has gone out: from then on the server may bill it. */
    private volatile boolean asked;

    private volatile boolean paused;
    private volatile long watch = -1;
    private volatile long patienceMs = FIRST_BYTE_MS_MAX;
    private volatile long lastHeardNanos;
    private volatile @Nullable Pipe speaking;

    /** What is collected of its answer. */
    private volatile Room.Lease room = Room.OF_PROCESS.lease();

    Call(Job job, Outgoing outgoing, AnswerSink sink) {
      this.job = job;
      this.outgoing = outgoing;
      this.sink = sink;
      this.meter = new Meter(job, upstream.imageTokensMax());
      this.name =
          payment.isEmpty()
              ? ""
              : HexFormat.of()
                  .formatHex(
                      Hashes.sha256(upstream.base().toString().getBytes(UTF_8), outgoing.body()));
    }

    void begin(Optional<Map.Entry<String, String>> paid) {
      RequestOptions options =
          new RequestOptions()
              .setMethod(HttpMethod.POST)
              .setHost(upstream.base().getHost())
              .setPort(upstream.port())
              .setSsl(upstream.isSecure())
              .setURI(upstream.path(job.stream()))
              .setConnectTimeout(CONNECT_MS_MAX);
      startWatch();
      client
          .request(options)
          .onFailure(e -> fail(Failures.unreachable()))
          .onSuccess(r -> send(r, paid));
    }

    private void send(HttpClientRequest r, Optional<Map.Entry<String, String>> paid) {
      request = r;
      if (cancelled) {
        var unused = r.reset();
        return;
      }
      Map<String, String> clients = outgoing.verbatim() ? job.headers() : Map.of();
      upstream.headers(clients).forEach(r::putHeader);
      paid.ifPresent(header -> r.putHeader(header.getKey(), header.getValue()));
      // Heard before it is asked for: an answer that is quicker than we are must find us listening.
      r.response()
          .onFailure(
              e ->
                  fail(
                      Failures.transientFailure(
                          "upstream_cut", "The model's server broke off before it answered.")))
          .onSuccess(answer -> receive(answer, paid.isPresent()));
      asked = true;
      var unused = r.end(Buffer.buffer(outgoing.body()));
    }

    private void receive(HttpClientResponse answer, boolean paid) {
      response = answer;
      if (payment.isPresent()) {
        if (answer.statusCode() == 402) {
          pay(answer, paid);
          return;
        }
        if (paid && answer.statusCode() / 100 == 4 && answer.statusCode() != 429) {
          Thread.ofVirtual().start(() -> payment.get().refused(name));
        }
      }
      if (answer.statusCode() != 200) {
        refused(answer);
        return;
      }
      String type = String.valueOf(answer.getHeader("Content-Type"));
      boolean events = type.startsWith("text/event-stream");
      Pipe pipe = pipe(events);
      patienceMs = events ? SILENT_MS_MAX : FIRST_BYTE_MS_MAX;
      speaking = pipe;
      answer.exceptionHandler(
          e -> {
            endWatch();
            guarded(pipe::broken);
          });
      answer.handler(
          bytes -> {
            lastHeardNanos = System.nanoTime();
            guarded(() -> pipe.push(bytes));
            if (pipe.isOver()) {
              hangUp(); // whatever else the server sends is not wanted
            }
          });
      answer.endHandler(
          v -> {
            if (paid) {
              Thread.ofVirtual().start(() -> payment.orElseThrow().delivered(name));
            }
            guarded(pipe::end);
            endWatch();
          });
    }

    /** Does something with the answer; a bug in it must not leave a client waiting. */
    private void guarded(Runnable step) {
      if (cancelled) {
        return;
      }
      try {
        step.run();
      } catch (RuntimeException e) {
        System.err.println("gridtie: an upstream's answer: " + e);
        fail(Failure.internal());
      }
    }

    // One timer a call, looked at now and then. The client's own idle timeouts outlive their
    // requests, and keep them in memory until they have run out.

    private void startWatch() {
      lastHeardNanos = System.nanoTime();
      if (watch < 0) {
        watch = vertx.setPeriodic(WATCH_EVERY_MS, id -> look());
      }
    }

    private void look() {
      long silentMs = (System.nanoTime() - lastHeardNanos) / 1_000_000;
      if (paused) {
        lastHeardNanos = System.nanoTime(); // it is the client that is slow
      } else if (silentMs > patienceMs) {
        endWatch();
        Pipe pipe = speaking;
        if (pipe == null) {
          fail(Failures.silent());
        } else if (!cancelled) {
          pipe.broken();
        }
        HttpClientRequest running = request;
        if (running != null) {
          var unused = running.reset();
        }
      }
    }

    /** Takes no more of what the server sends. */
    private void hangUp() {
      endWatch();
      HttpClientRequest running = request;
      if (running != null) {
        var unused = running.reset();
      }
    }

    private void endWatch() {
      room.close();
      if (watch >= 0) {
        boolean unused = vertx.cancelTimer(watch);
        watch = -1;
      }
    }

    private Pipe pipe(boolean events) {
      if (!events) {
        return new WholeBody(
            translator, job, outgoing.verbatim() && !job.stream(), meter, sink, room);
      }
      return outgoing.verbatim()
          ? new VerbatimStream(upstream.dialect(), outgoing.hideUsage(), meter, sink)
          : new TranslatedStream(translator, job, meter, sink, room);
    }

    private void pay(HttpClientResponse answer, boolean paid) {
      String required = answer.getHeader("PAYMENT-REQUIRED");
      hangUp(); // what a 402 says stands in its headers
      room = Room.OF_PROCESS.lease();
      // Signing may look at files: never on the event loop.
      Thread.ofVirtual()
          .start(
              () -> {
                Payment payer = payment.orElseThrow();
                boolean stop = required == null || (paid && !payer.refused(name));
                Optional<Map.Entry<String, String>> header =
                    stop ? Optional.empty() : payer.pay(name, String.valueOf(required));
                if (header.isPresent()) {
                  begin(header);
                } else {
                  fail(
                      Failures.ofStatus(
                          402, translator.readError(402, new byte[0]), Optional.empty()));
                }
              });
    }

    private void refused(HttpClientResponse answer) {
      Buffer body = Buffer.buffer();
      Optional<String> retryAfter = Optional.ofNullable(answer.getHeader("Retry-After"));
      answer.exceptionHandler(e -> refused(answer.statusCode(), body, retryAfter));
      answer.handler(
          bytes -> {
            body.appendBuffer(bytes);
            if (body.length() >= ERROR_BYTES_MAX) {
              refused(answer.statusCode(), body.slice(0, ERROR_BYTES_MAX), retryAfter);
              hangUp();
            }
          });
      answer.endHandler(v -> refused(answer.statusCode(), body, retryAfter));
    }

    private void refused(int status, Buffer body, Optional<String> retryAfter) {
      int actual = status < 400 ? 502 : status; // a redirect is no answer
      ApiError error = translator.readError(actual, body.getBytes());
      fail(Failures.ofStatus(actual, error, retryAfter));
    }

    private void fail(Failure failure) {
      endWatch();
      if (!cancelled && over.compareAndSet(false, true)) {
        sink.failed(failure);
      }
    }

    @Override
    public void cancel() {
      cancelled = true;
      endWatch();
      HttpClientRequest running = request;
      if (running != null) {
        var unused = running.reset();
      }
    }

    @Override
    public Usage spent() {
      return asked ? meter.spent(Usage.NONE) : Usage.NONE;
    }

    @Override
    public void pause() {
      paused = true;
      HttpClientResponse answer = response;
      if (answer != null) {
        var unused = answer.pause();
      }
    }

    @Override
    public void resume() {
      paused = false;
      HttpClientResponse answer = response;
      if (answer != null) {
        var unused = answer.resume();
      }
    }
  }
}
