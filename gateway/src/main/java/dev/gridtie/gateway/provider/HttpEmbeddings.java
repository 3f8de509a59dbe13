package dev.gridtie.gateway.provider;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.answer.Embeddings;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Room;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Usage;
import dev.gridtie.wire.openai.OpenAiUsage;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.RequestOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Asks a server elsewhere what texts are like: OpenAI's embeddings, Gemini's batchEmbedContents.
 */
final class HttpEmbeddings {
  private static final long PATIENCE_SECONDS = 60;

  /** The largest answer that is read, in bytes. */
  private static final int BYTES_MAX = 32 * 1024 * 1024;

  private final HttpClient client;
  private final Upstream upstream;
  private final Translator translator;

  HttpEmbeddings(HttpClient client, Upstream upstream, Translator translator) {
    this.client = client;
    this.upstream = upstream;
    this.translator = translator;
  }

  Embeddings.Result embed(Embeddings.Request request) throws InterruptedException {
    boolean gemini = upstream.dialect() == Dialect.GEMINI;
    if (upstream.dialect() == Dialect.ANTHROPIC) {
      return failed(
          Failure.of(
              Failure.Kind.UNFIT,
              ApiError.invalid(
                  "unsupported_operation", "This model gives no embeddings.", "model")));
    }
    String at = upstream.base().getPath().replaceAll("/+$", "");
    RequestOptions options =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost(upstream.base().getHost())
            .setPort(upstream.port())
            .setSsl(upstream.isSecure())
            .setURI(
                gemini
                    ? at + "/models/" + upstream.model() + ":batchEmbedContents"
                    : at + "/embeddings");
    upstream.headers(Map.of()).forEach(options::putHeader);
    ObjectNode body = gemini ? gemini(request) : openAi(request);
    try (Room.Lease room = Room.OF_PROCESS.lease()) {
      record Answered(int status, Optional<String> retryAfter, byte[] body) {}
      Answered answered =
          client
              .request(options)
              .compose(r -> r.send(Buffer.buffer(Json.writeBytes(body))))
              .compose(
                  r ->
                      collected(r, room)
                          .map(
                              b ->
                                  new Answered(
                                      r.statusCode(),
                                      Optional.ofNullable(r.getHeader("Retry-After")),
                                      b.getBytes())))
              .toCompletionStage()
              .toCompletableFuture()
              .get(PATIENCE_SECONDS, TimeUnit.SECONDS);
      if (answered.status() != 200) {
        ApiError error = translator.readError(answered.status(), answered.body());
        return failed(Failures.ofStatus(answered.status(), error, answered.retryAfter()));
      }
      return read(Json.parse(answered.body()), request, gemini);
    } catch (ExecutionException e) {
      return failed(
          e.getCause() instanceof RefusedException refused
              ? refused.failure
              : Failures.unreachable());
    } catch (TimeoutException e) {
      return failed(Failures.silent());
    } catch (Json.MalformedJsonException e) {
      return failed(Failures.malformed());
    }
  }

  /** An answer that is larger than it may be, or than there is room for. */
  private static final class RefusedException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final transient Failure failure;

    RefusedException(Failure failure) {
      this.failure = failure;
    }
  }

  private static Future<Buffer> collected(HttpClientResponse answer, Room.Lease room) {
    Promise<Buffer> whole = Promise.promise();
    Buffer body = Buffer.buffer();
    answer.exceptionHandler(whole::tryFail);
    answer.endHandler(v -> whole.tryComplete(body));
    answer.handler(
        bytes -> {
          boolean large = body.length() + bytes.length() > BYTES_MAX;
          if (large || !room.grow((long) WholeBody.READ_FACTOR * bytes.length())) {
            whole.tryFail(new RefusedException(large ? Failures.malformed() : Failures.noRoom()));
            var unused = answer.request().reset();
          } else {
            body.appendBuffer(bytes);
          }
        });
    return whole.future();
  }

  private static Embeddings.Result failed(Failure failure) {
    return new Embeddings.Result.Failed(failure);
  }

  private ObjectNode openAi(Embeddings.Request request) {
    ObjectNode json = Json.object().put("model", upstream.model());
    ArrayNode input = json.putArray("input");
    request.texts().forEach(input::add);
    json.put("encoding_format", "float");
    if (request.dimensions() > 0) {
      json.put("dimensions", request.dimensions());
    }
    return json;
  }

  private ObjectNode gemini(Embeddings.Request request) {
    ObjectNode json = Json.object();
    ArrayNode requests = json.putArray("requests");
    for (String text : request.texts()) {
      ObjectNode one = requests.addObject().put("model", "models/" + upstream.model());
      one.putObject("content").putArray("parts").addObject().put("text", text);
      if (request.dimensions() > 0) {
        one.put("outputDimensionality", request.dimensions());
      }
    }
    return json;
  }

  private static Embeddings.Result read(JsonNode json, Embeddings.Request request, boolean gemini) {
    List<float[]> vectors = new ArrayList<>();
    for (JsonNode each : json.path(gemini ? "embeddings" : "data")) {
      JsonNode values = each.path(gemini ? "values" : "embedding");
      float[] vector = new float[values.size()];
      for (int i = 0; i < vector.length; i++) {
        vector[i] = (float) values.path(i).asDouble(0);
      }
      vectors.add(vector);
    }
    if (vectors.size() != request.texts().size() || vectors.stream().anyMatch(v -> v.length == 0)) {
      return failed(Failures.malformed());
    }
    long claimed = OpenAiUsage.read(json.path("usage")).input();
    boolean credible = claimed > 0 && claimed <= PromptBound.of(request.texts());
    return new Embeddings.Result.Given(
        new Embeddings(
            vectors, credible ? new Usage(claimed, 0, 0, 0, 0) : estimated(request.texts())));
  }

  /** What texts probably are, by our own count. */
  static Usage estimated(List<String> texts) {
    long tokens = texts.stream().mapToLong(TokenCount::of).sum();
    return new Usage(Math.max(1, tokens), 0, 0, 0, 0).asEstimated();
  }
}
