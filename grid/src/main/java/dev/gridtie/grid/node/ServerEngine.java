package dev.gridtie.grid.node;

import dev.gridtie.base.Json;
import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Engine.EngineException;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Generator;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * An OpenAI-compatible server of the owner's as an engine: llama-server, Ollama, LM Studio, vLLM.
 * Its sampler is not ours, so nobody can go on from what it has said: each piece of its stream
 * counts as a token, until it says itself how many there were.
 */
final class ServerEngine implements Generator {
  /** Stands for a token whose number the server does not say. */
  private static final int UNKNOWN_TOKEN = 0;

  private static final Duration PATIENCE = Duration.ofMinutes(10);

  /** The longest line of a stream. */
  private static final int LINE_MAX = 1 << 20;

  private final HttpClient http;
  private final URI base;
  private final String model;

  ServerEngine(HttpClient http, NodeConfig.Server server) {
    this.http = http;
    this.base = URI.create(server.url().toString().replaceAll("/+$", "") + "/");
    this.model = server.model();
  }

  @Override
  public boolean isReady() {
    try {
      return http.send(
                  HttpRequest.newBuilder(base.resolve("models"))
                      .timeout(Duration.ofSeconds(3))
                      .build(),
                  HttpResponse.BodyHandlers.discarding())
              .statusCode()
          == 200;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /** Four bytes a token, usually: such servers do not count for others. */
  @Override
  public int count(List<Turn> turns) {
    return turns.stream()
        .mapToInt(t -> t.content().getBytes(StandardCharsets.UTF_8).length / 4 + 8)
        .sum();
  }

  @Override
  public Engine.Embedded embed(String text) throws EngineException {
    throw new EngineException(
        new EngineFailure(
            EngineFailure.Code.INVALID_MESSAGES, "this node gives no embeddings", false));
  }

  @Override
  public Engine.Generation generate(Ask ask, Engine.Listener listener) throws EngineException {
    if (!ask.said().isEmpty()) {
      throw new EngineException(
          new EngineFailure(
              EngineFailure.Code.INVALID_MESSAGES, "this node cannot go on for another", false));
    }
    AtomicBoolean cancelled = new AtomicBoolean();
    Thread thread = Thread.ofVirtual().name("server").start(() -> run(ask, listener, cancelled));
    return () -> {
      cancelled.set(true);
      thread.interrupt();
    };
  }

  private void run(Ask ask, Engine.Listener listener, AtomicBoolean cancelled) {
    int[] tokens = {0, count(ask.turns())};
    try {
      HttpResponse<InputStream> answer =
          http.send(
              HttpRequest.newBuilder(base.resolve("chat/completions"))
                  .timeout(PATIENCE)
                  .header("Content-Type", "application/json")
                  .POST(HttpRequest.BodyPublishers.ofByteArray(body(ask)))
                  .build(),
              HttpResponse.BodyHandlers.ofInputStream());
      if (answer.statusCode() != 200) {
        answer.body().close();
        boolean ours = answer.statusCode() == 400;
        listener.failed(
            new EngineFailure(
                ours ? EngineFailure.Code.INVALID_MESSAGES : EngineFailure.Code.UNAVAILABLE,
                "the node's server says " + answer.statusCode(),
                !ours));
        return;
      }
      listener.started(tokens[1]);
      EndReason reason = read(answer.body(), listener, tokens);
      listener.ended(cancelled.get() ? EndReason.CANCELLED : reason, tokens[1], tokens[0]);
    } catch (IOException | Json.MalformedJsonException | InterruptedException e) {
      if (cancelled.get()) {
        listener.ended(EndReason.CANCELLED, tokens[1], tokens[0]);
      } else {
        listener.failed(EngineFailure.crashed());
      }
    }
  }

  private byte[] body(Ask ask) {
    Sampling s = ask.sampling();
    ObjectNode json = Json.object();
    json.put("model", model);
    json.put("stream", true);
    json.put("temperature", s.temperature());
    json.put("top_p", s.topP());
    json.put("seed", s.seed() & Integer.MAX_VALUE);
    if (ask.maxTokens() > 0) {
      json.put("max_tokens", ask.maxTokens());
    }
    ArrayNode stop = json.putArray("stop");
    s.stop().forEach(stop::add);
    ArrayNode messages = json.putArray("messages");
    for (Turn turn : ask.turns()) {
      messages.addObject().put("role", turn.role()).put("content", turn.content());
    }
    return Json.writeBytes(json);
  }

  /**
   * Reads a stream of server-sent events to its end.
   *
   * @param tokens of the answer, and of the prompt; counted on
   */
  private static EndReason read(InputStream body, Engine.Listener listener, int[] tokens)
      throws IOException, Json.MalformedJsonException {
    EndReason reason = EndReason.STOP;
    try (BufferedReader in =
        new BufferedReader(new InputStreamReader(body, StandardCharsets.UTF_8))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        if (line.length() > LINE_MAX) {
          throw new IOException("a line is too long");
        }
        if (!line.startsWith("data:") || line.endsWith("[DONE]")) {
          continue;
        }
        JsonNode event = Json.parse(line.substring(5).strip().getBytes(StandardCharsets.UTF_8));
        JsonNode choice = event.path("choices").path(0);
        String text = choice.path("delta").path("content").asString("");
        if (!text.isEmpty()) {
          tokens[0]++;
          listener.text(text, List.of(UNKNOWN_TOKEN), tokens[0]);
        }
        if ("length".equals(choice.path("finish_reason").asString(""))) {
          reason = EndReason.LENGTH;
        }
      }
    }
    return reason;
  }
}
