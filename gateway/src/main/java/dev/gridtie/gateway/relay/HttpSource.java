package dev.gridtie.gateway.relay;

import dev.gridtie.base.Json;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.SseReader;
import dev.gridtie.wire.openai.ChatRequest;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientRequest;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.http.RequestOptions;
import java.net.URI;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * An OpenAI-compatible server as a source of answers. It counts no tokens in advance, and so a
 * model behind it can only be offered free of charge.
 */
public final class HttpSource implements AnswerSource {
  /** The longest answer that is taken, in characters. */
  private static final int ANSWER_MAX = 4 * 1024 * 1024;

  private static final int CONNECTIONS_MAX = 2048;

  /**
   * How long an unused connection is kept; well below the time after which the server may close it.
   */
  private static final int UNUSED_SECONDS_MAX = 20;

  /** How long a connection in use may be silent. */
  private static final int SILENT_SECONDS_MAX = 120;

  /** How often a request is sent, in all, while no byte of its answer has come. */
  private static final int ATTEMPTS = 2;

  private final HttpClient client;
  private final RequestOptions target;
  private final String model;

  /**
   * @param base the server's base URL, {@code …/v1}
   * @param model what the server calls it
   */
  public HttpSource(Vertx vertx, URI base, String model) {
    this.model = model;
    int port = base.getPort() > 0 ? base.getPort() : "https".equals(base.getScheme()) ? 443 : 80;
    this.target =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost(base.getHost())
            .setPort(port)
            .setSsl("https".equals(base.getScheme()))
            .setURI(base.getPath() + "/chat/completions")
            .putHeader("Content-Type", "application/json");
    this.client =
        vertx.createHttpClient(
            new HttpClientOptions()
                .setKeepAliveTimeout(UNUSED_SECONDS_MAX)
                .setReadIdleTimeout(SILENT_SECONDS_MAX)
                .setTcpNoDelay(true),
            new PoolOptions().setHttp1MaxSize(CONNECTIONS_MAX));
  }

  @Override
  public Outcome<Integer> countPrompt(ChatRequest request) {
    return Outcome.ok(0);
  }

  @Override
  public Outcome<Cancellation> answer(ChatRequest request, int maxTokens, long seed, Sink sink) {
    Call call = new Call(sink, body(request, maxTokens, seed));
    call.attempt();
    return Outcome.ok(call::cancel);
  }

  @Override
  public boolean isReady() {
    return true;
  }

  private Buffer body(ChatRequest request, int maxTokens, long seed) {
    ObjectNode json = Json.object();
    json.put("model", model);
    ArrayNode messages = json.putArray("messages");
    request
        .messages()
        .forEach(m -> messages.addObject().put("role", m.role()).put("content", m.content()));
    json.put("max_tokens", maxTokens);
    json.put("temperature", request.temperature());
    json.put("top_p", request.topP());
    json.put("seed", seed);
    if (!request.stop().isEmpty()) {
      ArrayNode stop = json.putArray("stop");
      request.stop().forEach(stop::add);
    }
    json.put("stream", true);
    json.putObject("stream_options").put("include_usage", true);
    return Buffer.buffer(Json.writeBytes(json));
  }

  /** One request to the server. Everything but {@link #cancel} happens on its event loop. */
  private final class Call {
    private final Sink sink;
    private final Buffer body;
    private int attempts;
    private final SseReader reader = new SseReader();
    private final AtomicReference<@Nullable HttpClientRequest> upstream = new AtomicReference<>();
    private final AtomicBoolean cancelled = new AtomicBoolean();
    private boolean over;
    private int pieces;
    private int length;
    private EndReason reason = EndReason.STOP;
    private boolean finished;
    private int promptTokens;
    private int completionTokens = -1;

    Call(Sink sink, Buffer body) {
      this.sink = sink;
      this.body = body;
    }

    void attempt() {
      attempts++;
      client
          .request(target)
          .onFailure(e -> fail("the upstream cannot be reached"))
          .onSuccess(this::send);
    }

    void cancel() {
      cancelled.set(true);
      HttpClientRequest running = upstream.get();
      if (running != null) {
        running.reset();
      }
    }

    private void send(HttpClientRequest request) {
      upstream.set(request);
      if (cancelled.get()) {
        request.reset();
      }
      request.send(body).onFailure(e -> again()).onSuccess(this::receive);
    }

    /**
     * The connection broke before the answer began: a kept one may have been closed just as we took
     * it.
     */
    private void again() {
      if (attempts < ATTEMPTS && !cancelled.get()) {
        attempt();
      } else {
        fail("the upstream broke off");
      }
    }

    private void receive(HttpClientResponse response) {
      if (response.statusCode() != 200) {
        response.resume();
        fail("the upstream says " + response.statusCode());
        return;
      }
      response.exceptionHandler(e -> fail("the upstream broke off"));
      response.handler(this::bytes);
      response.endHandler(v -> fail("the upstream's stream ended before the answer did"));
    }

    private void bytes(Buffer buffer) {
      try {
        for (String event : reader.push(buffer.getBytes())) {
          if (!over) {
            event(event);
          }
        }
      } catch (SseReader.TooLongException | Json.MalformedJsonException e) {
        fail("the upstream's stream cannot be read");
        cancel();
      }
    }

    private void event(String data) throws Json.MalformedJsonException {
      if (data.equals("[DONE]")) {
        if (finished) {
          end();
        } else {
          fail("the upstream ended without a finish reason");
        }
        return;
      }
      JsonNode json = Json.parse(data.getBytes(java.nio.charset.StandardCharsets.UTF_8));
      if (json.has("error")) {
        fail("the upstream reports an error");
        return;
      }
      JsonNode usage = json.path("usage");
      if (usage.isObject()) {
        promptTokens = usage.path("prompt_tokens").asInt(0);
        completionTokens = usage.path("completion_tokens").asInt(0);
      }
      JsonNode choice = json.path("choices").path(0);
      String text = choice.path("delta").path("content").asString("");
      if (!text.isEmpty()) {
        length += text.length();
        if (length > ANSWER_MAX) {
          fail("the upstream's answer is too long");
          cancel();
          return;
        }
        sink.text(text, ++pieces);
      }
      String finish = choice.path("finish_reason").asString("");
      if (!finish.isEmpty()) {
        finished = true;
        reason = finish.equals("length") ? EndReason.LENGTH : EndReason.STOP;
      }
    }

    private void end() {
      over = true;
      sink.ended(reason, promptTokens, completionTokens < 0 ? pieces : completionTokens);
    }

    void fail(String why) {
      if (over) {
        return;
      }
      over = true;
      if (cancelled.get()) {
        sink.ended(EndReason.CANCELLED, promptTokens, pieces);
      } else {
        sink.failed(
            ApiError.of(
                ApiError.Kind.BAD_GATEWAY,
                "upstream_failed",
                "No answer: " + why + ". Try again."));
      }
    }
  }
}
