package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.sql.DriverManager;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** One API in front of servers that misbehave: what is retried, what is charged, what is said. */
class OneApiIT {
  private static final String GOOD_KEY = "sk-good-provider-key-0123456789";
  private static final String DEAD_KEY = "sk-dead-provider-key-0123456789";

  @TempDir Path directory;
  private ScriptedServer upstream;
  private Gateway gateway;
  private Home home;
  private Path catalog;
  private URI url;
  private final HttpClient http = HttpClient.newHttpClient();
  private String key;

  @BeforeEach
  void start() throws Exception {
    upstream = new ScriptedServer();
    home = new Home(directory.resolve("home"));
    home.create();
    catalog = directory.resolve("catalog.yaml");
    Files.writeString(directory.resolve("good.key"), GOOD_KEY + "\n");
    Files.writeString(directory.resolve("dead.key"), DEAD_KEY + "\n");
    key = key("everyone", KeyLimits.NONE);
  }

  @AfterEach
  void stop() {
    if (gateway != null) {
      gateway.close();
    }
    upstream.close();
    http.close();
  }

  private String key(String name, KeyLimits limits) throws IOException {
    try (KeyStore store = KeyStore.open(home.ledger())) {
      ApiKey.Fresh fresh = ApiKey.create(name, limits, Instant.now(), new SecureRandom());
      store.add(fresh.key());
      return fresh.secret().reveal();
    }
  }

  private static KeyLimits total(String usd) {
    return new KeyLimits(
        Optional.of(PicoUsd.ofDollars(usd)),
        Optional.empty(),
        Optional.empty(),
        Map.of(),
        Map.of(),
        0,
        0);
  }

  private String provider(String name, String... keys) {
    StringBuilder yaml =
        new StringBuilder(
            "  - name: "
                + name
                + "\n    dialect: openai\n    url: \""
                + upstream.base()
                + "\"\n    keys: [");
    for (String file : keys) {
      yaml.append("{ file: ").append(file).append(" },");
    }
    return yaml.append("]\n").toString();
  }

  /** Endpoints, each PROVIDER=MODEL, the first the cheapest. */
  private static String model(String id, String... endpoints) {
    StringBuilder yaml = new StringBuilder("  - id: " + id + "\n    endpoints:\n");
    int price = 1;
    for (String endpoint : endpoints) {
      String[] parts = endpoint.split("=");
      yaml.append("      - provider: ").append(parts[0]).append('\n');
      yaml.append("        model: ").append(parts[1]).append('\n');
      yaml.append("        promptUsdPerMillion: \"").append(price).append("\"\n");
      yaml.append("        completionUsdPerMillion: \"").append(price * 10).append("\"\n");
      yaml.append("        contextTokens: 100000\n        maxCompletionTokens: 1000\n");
      price++;
    }
    return yaml.toString();
  }

  private void serve(String providers, String models) throws IOException {
    serve(providers, models, 0, null);
  }

  private void serve(String providers, String models, int hedge, GatewayConfig.Cache cache)
      throws IOException {
    Files.writeString(catalog, "providers:\n" + providers + "models:\n" + models);
    GatewayConfig config =
        new GatewayConfig(
            null,
            0,
            null,
            "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
            new GatewayConfig.Chain(
                "http://127.0.0.1:9",
                "eip155:84532",
                "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
                "USDC",
                "2",
                6,
                0,
                0,
                0,
                0),
            List.of(),
            catalog.toString(),
            hedge,
            cache,
            null,
            false,
            null);
    gateway = Gateway.start(config, home, new Install(TestGateway.ROOT));
    url = URI.create("http://127.0.0.1:" + gateway.port());
  }

  private HttpRequest request(String model, String more, String withKey) {
    return HttpRequest.newBuilder(url.resolve("/v1/chat/completions"))
        .header("Content-Type", "application/json")
        .header("Authorization", "Bearer " + withKey)
        .POST(
            HttpRequest.BodyPublishers.ofString(
                "{\"model\":\""
                    + model
                    + "\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":100"
                    + more
                    + "}"))
        .build();
  }

  private HttpResponse<String> ask(String model, String more) throws Exception {
    return http.send(request(model, more, key), HttpResponse.BodyHandlers.ofString());
  }

  private static JsonNode json(HttpResponse<String> response) throws Exception {
    return Json.parse(response.body().getBytes(UTF_8));
  }

  private static String text(HttpResponse<String> response) throws Exception {
    return json(response).path("choices").path(0).path("message").path("content").asString("");
  }

  /** The rows of the ledger's table of requests. */
  private List<String> rows(String columns) throws Exception {
    List<String> rows = new ArrayList<>();
    try (var c = DriverManager.getConnection("jdbc:sqlite:" + home.path().resolve("ledger.db"));
        var row = c.createStatement().executeQuery("SELECT " + columns + " FROM usage")) {
      while (row.next()) {
        rows.add(row.getString(1));
      }
    }
    return rows;
  }

  private List<String> rowsOnce(String columns, int count) throws Exception {
    TestGateway.eventually("the rows are written", () -> rows(columns).size() >= count);
    return rows(columns);
  }

  // Same dialect: nothing is touched

  @Test
  void ofASameDialectEveryByteButTheModelsNameArrivesAndEveryByteComesBack() throws Exception {
    String odd =
        "{ \"messages\" : [{\"role\":\"user\",\"content\":\"h\\u00e9\"}],\n"
            + " \"novelty\":{\"a\":[1.50]},\"model\":\"one\" }";
    String answer =
        "{\"novel\":1.0, \"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}";
    upstream.on("m", (call, out) -> out.json(200, answer));
    serve(provider("p", "good.key"), model("one", "p=m"));
    HttpResponse<String> response =
        http.send(
            HttpRequest.newBuilder(url.resolve("/v1/chat/completions"))
                .header("Content-Type", "application/json")
                .header("Authorization", "Bearer " + key)
                .POST(HttpRequest.BodyPublishers.ofString(odd))
                .build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(response.statusCode()).isEqualTo(200);
    assertThat(upstream.calls.getFirst().raw()).isEqualTo(odd.replace("\"one\"", "\"m\""));
    assertThat(response.body()).isEqualTo(answer);
    assertThat(rowsOnce("input || '/' || output", 1)).containsExactly("2/3");
  }

  @Test
  void theUsageWeAskedForIsCountedAndNotShownToWhoDidNotAsk() throws Exception {
    upstream.on("m", ScriptedServer.well("Hello there"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    String body = ask("one", ",\"stream\":true").body();
    assertThat(body).contains("Hello ").endsWith("data: [DONE]\n\n").doesNotContain("usage");
    assertThat(
            upstream
                .calls
                .getFirst()
                .body()
                .path("stream_options")
                .path("include_usage")
                .asBoolean())
        .isTrue();
    assertThat(ask("one", ",\"stream\":true,\"stream_options\":{\"include_usage\":true}").body())
        .contains("\"prompt_tokens\":10");
    assertThat(rowsOnce("input || '/' || output || '/' || cost", 2))
        .containsOnly("10/4/" + (10 * 1_000_000 + 4 * 10_000_000));
  }

  // Retries

  @Test
  void anUnwellServerIsFollowedByTheNextAndTheClientSeesOnlyTheAnswer() throws Exception {
    upstream.on("bad", ScriptedServer.fails(503)).on("ok", ScriptedServer.well("fine"));
    serve(provider("a", "good.key") + provider("b", "good.key"), model("one", "a=bad", "b=ok"));
    HttpResponse<String> response = ask("one", ",\"provider\":{\"order\":[\"a\",\"b\"]}");
    assertThat(text(response)).isEqualTo("fine");
    assertThat(response.headers().firstValue("X-Gridtie-Provider")).contains("b");
  }

  @Test
  void aRefusedKeyIsRotatedAtOnceAndNeverShownToTheClient() throws Exception {
    upstream.on(
        "m",
        (call, out) ->
            (call.key().equals(DEAD_KEY) ? ScriptedServer.fails(401) : ScriptedServer.well("fine"))
                .answer(call, out));
    serve(provider("p", "dead.key", "good.key"), model("one", "p=m"));
    assertThat(text(ask("one", ""))).isEqualTo("fine");
    assertThat(text(ask("one", ""))).isEqualTo("fine");
    assertThat(upstream.calls.stream().filter(c -> c.key().equals(DEAD_KEY))).hasSize(1);
  }

  @Test
  void aDeadKeyAloneIsABadGatewayAndNoKeyIsInAnErrorOrALog() throws Exception {
    upstream.on("m", ScriptedServer.fails(401)).on("n", ScriptedServer.fails(400));
    serve(provider("p", "dead.key"), model("one", "p=m") + model("two", "p=n"));
    HttpResponse<String> refused = ask("one", "");
    assertThat(refused.statusCode()).isEqualTo(502);
    HttpResponse<String> bad = ask("two", "");
    assertThat(bad.statusCode()).isIn(400, 503);
    gateway.close();
    gateway = null;
    assertThat(refused.body() + bad.body()).doesNotContain(DEAD_KEY).doesNotContain("sk-dead");
    assertThat(Files.readString(home.logs().resolve("access.log")))
        .doesNotContain(DEAD_KEY)
        .doesNotContain(key);
  }

  @Test
  void aBadRequestIsNotSentToAnybodyElse() throws Exception {
    upstream.on("bad", ScriptedServer.fails(400)).on("ok", ScriptedServer.well("fine"));
    serve(provider("a", "good.key") + provider("b", "good.key"), model("one", "a=bad", "b=ok"));
    HttpResponse<String> response = ask("one", ",\"provider\":{\"order\":[\"a\",\"b\"]}");
    assertThat(response.statusCode()).isEqualTo(400);
    assertThat(upstream.calls).hasSize(1);
  }

  @Test
  void anEndpointThatKeepsFailingIsLeftAloneForAWhile() throws Exception {
    upstream.on("bad", ScriptedServer.fails(500)).on("ok", ScriptedServer.well("fine"));
    serve(provider("a", "good.key") + provider("b", "good.key"), model("one", "a=bad", "b=ok"));
    for (int i = 0; i < 12; i++) {
      assertThat(text(ask("one", ",\"provider\":{\"order\":[\"a\",\"b\"]}"))).isEqualTo("fine");
    }
    assertThat(upstream.calls("bad")).isEqualTo(5);
  }

  @Test
  void aSlowFirstByteIsHedgedAndTheLoserIsNotHeardAgain() throws Exception {
    CountDownLatch release = new CountDownLatch(1);
    upstream
        .on("quick", ScriptedServer.well("quick"))
        .on(
            "slow",
            (call, out) -> {
              if (upstream.calls("slow") > 25) {
                release.await(20, TimeUnit.SECONDS);
              }
              ScriptedServer.well("slow").answer(call, out);
            });
    serve(
        provider("a", "good.key") + provider("b", "good.key"),
        model("one", "a=slow", "b=quick"),
        50,
        null);
    String order = ",\"provider\":{\"order\":[\"a\",\"b\"]}";
    for (int i = 0; i < 25; i++) {
      assertThat(text(ask("one", order))).isEqualTo("slow");
    }
    assertThat(text(ask("one", order))).isEqualTo("quick");
    release.countDown();
    assertThat(rowsOnce("provider", 26).stream().filter("b"::equals)).hasSize(1);
  }

  // After the first byte

  @Test
  void aStreamThatIsCutIsATypedErrorAndOnlyWhatCameIsChargedAndNothingIsSpliced() throws Exception {
    upstream
        .on(
            "cut",
            (call, out) -> {
              OutputStream events = out.events();
              events.write(ScriptedServer.chunk("one "));
              events.write(ScriptedServer.chunk("two "));
              events.flush();
              throw new IOException("cut");
            })
        .on("ok", ScriptedServer.well("fine"));
    serve(provider("a", "good.key") + provider("b", "good.key"), model("one", "a=cut", "b=ok"));
    String body = ask("one", ",\"stream\":true,\"provider\":{\"order\":[\"a\",\"b\"]}").body();
    assertThat(body).contains("one ", "two ", "upstream_cut").doesNotContain("[DONE]", "fine");
    assertThat(upstream.calls("ok")).isZero();
    assertThat(rowsOnce("outcome", 1)).containsExactly("cut");
    long output = Long.parseLong(rows("output").getFirst());
    assertThat(output).isBetween(1L, 4L);
  }

  @Test
  void aClientThatHangsUpIsChargedWhatItGotAndTheServerIsToldToStop() throws Exception {
    CountDownLatch stopped = new CountDownLatch(1);
    upstream.on(
        "endless",
        (call, out) -> {
          try (OutputStream events = out.events()) {
            for (int i = 0; i < 10_000; i++) {
              events.write(ScriptedServer.chunk("word "));
              events.flush();
              Thread.sleep(5);
            }
          } catch (IOException e) {
            stopped.countDown();
          }
        });
    serve(provider("p", "good.key"), model("one", "p=endless"));
    HttpResponse<InputStream> response =
        http.send(
            request("one", ",\"stream\":true", key), HttpResponse.BodyHandlers.ofInputStream());
    assertThat(response.body().readNBytes(400)).isNotEmpty();
    response.body().close();
    assertThat(stopped.await(20, TimeUnit.SECONDS)).isTrue();
    assertThat(rowsOnce("outcome", 1)).containsExactly("cancelled");
    assertThat(Long.parseLong(rows("output").getFirst())).isBetween(1L, 9_999L);
    assertThat(Long.parseLong(rows("cost").getFirst())).isPositive();
  }

  // What a server does not say, or says wrongly

  private static final String SAID = "A receipt is a signed record of what was delivered.";

  private String providerOf(String name, String dialect) {
    return provider(name, "good.key").replace("dialect: openai", "dialect: " + dialect);
  }

  private static String event(String type, String json) {
    return "event: " + type + "\ndata: " + json + "\n\n";
  }

  private HttpResponse<String> send(String path, String body) throws Exception {
    return http.send(
        HttpRequest.newBuilder(url.resolve(path))
            .header("Content-Type", "application/json")
            .header("Authorization", "Bearer " + key)
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }

  /** Servers that never count: one in each dialect, whole and streamed. */
  private void serveWithoutUsage() throws IOException {
    String words = Json.quote(SAID);
    upstream.on(
        "openai",
        (call, out) -> {
          if (call.body().path("stream").asBoolean(false)) {
            ScriptedServer.events(
                    new String(ScriptedServer.chunk(SAID), UTF_8),
                    ScriptedServer.STOP,
                    ScriptedServer.DONE)
                .answer(call, out);
          } else {
            out.json(200, ScriptedServer.whole(SAID).replaceAll(",\"usage\":\\{[^}]*}", ""));
          }
        });
    upstream.on(
        "anthropic",
        (call, out) -> {
          String message =
              "\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\"";
          if (call.body().path("stream").asBoolean(false)) {
            ScriptedServer.events(
                    event(
                        "message_start",
                        "{\"type\":\"message_start\",\"message\":{"
                            + message
                            + ",\"content\":[]}}"),
                    event(
                        "content_block_start",
                        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"),
                    event(
                        "content_block_delta",
                        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
                            + words
                            + "}}"),
                    event("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}"),
                    event(
                        "message_delta",
                        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}"),
                    event("message_stop", "{\"type\":\"message_stop\"}"))
                .answer(call, out);
          } else {
            out.json(
                200,
                "{"
                    + message
                    + ",\"content\":[{\"type\":\"text\",\"text\":"
                    + words
                    + "}],\"stop_reason\":\"end_turn\"}");
          }
        });
    String item =
        "{\"type\":\"message\",\"id\":\"i1\",\"role\":\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":"
            + words
            + ",\"annotations\":[]}]}";
    String response =
        "{\"id\":\"r1\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"m\",\"output\":["
            + item
            + "]}";
    upstream.on(
        "responses",
        (call, out) -> {
          if (call.body().path("stream").asBoolean(false)) {
            ScriptedServer.events(
                    event(
                        "response.created",
                        "{\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"status\":\"in_progress\",\"model\":\"m\",\"output\":[]}}"),
                    event(
                        "response.output_item.added",
                        "{\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"i1\",\"role\":\"assistant\",\"content\":[]}}"),
                    event(
                        "response.output_text.delta",
                        "{\"type\":\"response.output_text.delta\",\"item_id\":\"i1\",\"output_index\":0,\"content_index\":0,\"delta\":"
                            + words
                            + "}"),
                    event(
                        "response.output_item.done",
                        "{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":"
                            + item
                            + "}"),
                    event(
                        "response.completed",
                        "{\"type\":\"response.completed\",\"response\":" + response + "}"))
                .answer(call, out);
          } else {
            out.json(200, response);
          }
        });
    String candidate =
        "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":"
            + words
            + "}]},\"finishReason\":\"STOP\",\"index\":0}]}";
    upstream.on(
        "gemini",
        (call, out) -> {
          if (call.path().contains("stream")) {
            ScriptedServer.events("data: " + candidate + "\n\n").answer(call, out);
          } else {
            out.json(200, candidate);
          }
        });
  }

  private static final String HI = "[{\"role\":\"user\",\"content\":\"What is a receipt?\"}]";

  private HttpResponse<String> askIn(String dialect, String model, int maxTokens, boolean stream)
      throws Exception {
    String begin = "{\"model\":\"" + model + "\",\"stream\":" + stream;
    return switch (dialect) {
      case "openai" ->
          send(
              "/v1/chat/completions",
              begin + ",\"max_tokens\":" + maxTokens + ",\"messages\":" + HI + "}");
      case "anthropic" ->
          send(
              "/v1/messages", begin + ",\"max_tokens\":" + maxTokens + ",\"messages\":" + HI + "}");
      case "responses" ->
          send(
              "/v1/responses",
              begin + ",\"max_output_tokens\":" + maxTokens + ",\"input\":\"What is a receipt?\"}");
      default ->
          send(
              "/v1beta/models/"
                  + model
                  + (stream ? ":streamGenerateContent?alt=sse" : ":generateContent"),
              "{\"contents\":[{\"parts\":[{\"text\":\"What is a"
                  + " receipt?\"}]}],\"generationConfig\":{\"maxOutputTokens\":"
                  + maxTokens
                  + "}}");
    };
  }

  private static final List<String> DIALECTS =
      List.of("openai", "anthropic", "responses", "gemini");

  @Test
  void whatAServerDoesNotCountIsCountedByUsAndMarkedInEveryDialect() throws Exception {
    serveWithoutUsage();
    StringBuilder providers = new StringBuilder();
    StringBuilder models = new StringBuilder();
    for (String dialect : DIALECTS) {
      providers.append(providerOf(dialect, dialect));
      models.append(model("on-" + dialect, dialect + "=" + dialect));
    }
    serve(providers.toString(), models.toString());
    int asked = 0;
    for (String client : DIALECTS) {
      for (String server : DIALECTS) {
        for (boolean stream : List.of(false, true)) {
          HttpResponse<String> answer = askIn(client, "on-" + server, 100, stream);
          assertThat(answer.statusCode()).as(client + server + answer.body()).isEqualTo(200);
          assertThat(answer.body()).as(client + " of " + server).contains("signed record");
          asked++;
        }
      }
    }
    List<String> counts = rowsOnce("input || '/' || output || '/' || estimated", asked);
    for (String count : counts) {
      String[] each = count.split("/");
      assertThat(Long.parseLong(each[0])).as(count).isBetween(5L, 20L); // "What is a receipt?"
      assertThat(Long.parseLong(each[1])).as(count).isBetween(9L, 14L); // SAID
      assertThat(each[2]).as(count).isEqualTo("1");
    }
    assertThat(rows("cost").stream().map(Long::parseLong)).allMatch(c -> c > 90_000_000L);
    HttpResponse<String> metrics =
        http.send(
            HttpRequest.newBuilder(gateway.adminUrl().orElseThrow().resolve("/metrics")).build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(metrics.body()).contains("gridtie_usage_estimated_total{");
    gateway.close();
    gateway = null;
    assertThat(Files.readString(home.logs().resolve("access.log"))).contains("\"estimated\":true");
  }

  @Test
  void countsThatCannotBeAreBoundedByWhatWasAskedAndWhatCame() throws Exception {
    String[] claims = {
      "{\"prompt_tokens\":-5,\"completion_tokens\":-1}",
      "{\"prompt_tokens\":1e400,\"completion_tokens\":9223372036854775807}",
      "{\"prompt_tokens\":5000000,\"completion_tokens\":4000000}",
      "{\"prompt_tokens\":10,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":999}}",
      "{\"prompt_tokens\":\"many\"}",
      "null"
    };
    String said = "word ".repeat(60);
    upstream.on(
        "m",
        (call, out) ->
            out.json(
                200,
                ScriptedServer.whole(said)
                    .replaceAll(
                        "\"usage\":\\{[^}]*}",
                        "\"usage\":" + claims[(int) upstream.calls("m") - 1])));
    serve(provider("p", "good.key"), model("one", "p=m"));
    for (String claim : claims) {
      assertThat(ask("one", "").statusCode()).as(claim).isEqualTo(200);
    }
    for (String row :
        rowsOnce(
            "input || '/' || cache_read || '/' || output || '/' || estimated", claims.length)) {
      String[] each = row.split("/");
      assertThat(Long.parseLong(each[0])).as(row).isBetween(1L, 200L);
      assertThat(Long.parseLong(each[1])).as(row).isLessThanOrEqualTo(Long.parseLong(each[0]));
      assertThat(Long.parseLong(each[2])).as(row).isBetween(55L, 100L);
      assertThat(each[3]).as(row).isEqualTo("1");
    }
  }

  @Test
  void embeddingsThatAServerDoesNotCountAreCountedByUs() throws Exception {
    upstream.on(
        "e", (call, out) -> out.json(200, "{\"data\":[{\"index\":0,\"embedding\":[0.5,0.25]}]}"));
    serve(provider("p", "good.key"), model("one", "p=e") + "        features: [embeddings]\n");
    HttpResponse<String> answer =
        send("/v1/embeddings", "{\"model\":\"one\",\"input\":\"What is a receipt?\"}");
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    assertThat(rowsOnce("input || '/' || estimated", 1)).containsExactly("5/1");
  }

  @Test
  void anAnswerThatRunsPastItsLimitIsEndedInItsDialectAndItsServerStopped() throws Exception {
    Map<String, CountDownLatch> stopped = new java.util.concurrent.ConcurrentHashMap<>();
    Map<String, String> begin =
        Map.of(
            "openai",
            "",
            "anthropic",
            event(
                    "message_start",
                    "{\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"model\":\"m\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}")
                + event(
                    "content_block_start",
                    "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"),
            "responses",
            event(
                    "response.created",
                    "{\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"status\":\"in_progress\",\"model\":\"m\",\"output\":[]}}")
                + event(
                    "response.output_item.added",
                    "{\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"i1\",\"role\":\"assistant\",\"content\":[]}}"),
            "gemini",
            "");
    Map<String, String> each =
        Map.of(
            "openai",
            new String(ScriptedServer.chunk("word "), UTF_8),
            "anthropic",
            event(
                "content_block_delta",
                "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"word"
                    + " \"}}"),
            "responses",
            event(
                "response.output_text.delta",
                "{\"type\":\"response.output_text.delta\",\"item_id\":\"i1\",\"output_index\":0,\"content_index\":0,\"delta\":\"word"
                    + " \"}"),
            "gemini",
            "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"word"
                + " \"}]},\"index\":0}]}\n\n");
    StringBuilder providers = new StringBuilder();
    StringBuilder models = new StringBuilder();
    for (String dialect : DIALECTS) {
      providers.append(providerOf(dialect, dialect));
      models.append(model("on-" + dialect, dialect + "=" + dialect));
      upstream.on(
          dialect,
          (call, out) -> {
            try (OutputStream events = out.events()) {
              events.write(begin.get(dialect).getBytes(UTF_8));
              for (int i = 0; i < 5_000; i++) {
                events.write(each.get(dialect).getBytes(UTF_8));
                events.flush();
                Thread.sleep(5);
              }
            } catch (IOException e) {
              stopped.get(dialect).countDown();
            }
          });
    }
    serve(providers.toString(), models.toString());
    Map<String, String> ends =
        Map.of(
            "openai", "\"finish_reason\":\"length\"",
            "anthropic", "\"stop_reason\":\"max_tokens\"",
            "responses", "\"reason\":\"max_output_tokens\"",
            "gemini", "\"finishReason\":\"MAX_TOKENS\"");
    Map<String, String> last =
        Map.of(
            "openai", "data: [DONE]",
            "anthropic", "message_stop",
            "responses", "response.incomplete",
            "gemini", "usageMetadata");
    int asked = 0;
    for (String client : DIALECTS) {
      for (String server : client.equals("openai") ? DIALECTS : List.of(client, "openai")) {
        stopped.put(server, new CountDownLatch(1));
        String body = askIn(client, "on-" + server, 10, true).body();
        assertThat(body).as(client + " of " + server).contains(ends.get(client), last.get(client));
        assertThat(body.split("\"word \"", -1).length - 1).as(body).isBetween(10, 60);
        assertThat(stopped.get(server).await(20, TimeUnit.SECONDS)).as(server).isTrue();
        asked++;
      }
    }
    assertThat(rowsOnce("output || '/' || finish || '/' || outcome || '/' || estimated", asked))
        .containsOnly("10/length/ok/1");
  }

  // What costs more than words

  @Test
  void aFieldThatHasAPriceOfItsOwnIsRefusedByNameAndOneThatCostsNothingPasses() throws Exception {
    serveWithoutUsage();
    StringBuilder providers = new StringBuilder();
    StringBuilder models = new StringBuilder();
    for (String dialect : DIALECTS) {
      providers.append(providerOf(dialect, dialect));
      models.append(model("on-" + dialect, dialect + "=" + dialect));
    }
    String thinks =
        models
            .toString()
            .replace(
                "maxCompletionTokens: 1000",
                "maxCompletionTokens: 1000\n        features: [tools, reasoning]");
    serve(providers.toString(), thinks);
    String chat = "{\"model\":\"on-openai\",\"max_tokens\":9,\"messages\":" + HI + ",%s}";
    String messages = "{\"model\":\"on-anthropic\",\"max_tokens\":9,\"messages\":" + HI + ",%s}";
    String responses = "{\"model\":\"on-responses\",\"max_output_tokens\":9,\"input\":\"hi\",%s}";
    String gemini = "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}],%s}";
    String[][] refused = {
      {"/v1/chat/completions", chat, "service_tier", "\"service_tier\":\"priority\""},
      {"/v1/chat/completions", chat, "web_search_options", "\"web_search_options\":{\"x\":1}"},
      {"/v1/chat/completions", chat, "modalities", "\"modalities\":[\"text\",\"audio\"]"},
      {"/v1/chat/completions", chat, "plugins", "\"plugins\":[{\"id\":\"web\"}]"},
      {"/v1/chat/completions", chat, "tools", "\"tools\":[{\"type\":\"web_search\"}]"},
      {"/v1/chat/completions", chat, "max_tokens", "\"max_completion_tokens\":99999"},
      {"/v1/responses", responses, "tools", "\"tools\":[{\"type\":\"web_search_preview\"}]"},
      {"/v1/responses", responses, "tools", "\"tools\":[{\"type\":\"code_interpreter\"}]"},
      {"/v1/responses", responses, "background", "\"background\":true"},
      {"/v1/responses", responses, "service_tier", "\"service_tier\":\"priority\""},
      {
        "/v1/messages",
        messages,
        "tools",
        "\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"w\"}]"
      },
      {"/v1/messages", messages, "speed", "\"speed\":\"fast\""},
      {"/v1/messages", messages, "inference_geo", "\"inference_geo\":\"us\""},
      {
        "/v1/messages",
        messages,
        "thinking.budget_tokens",
        "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4000}"
      },
      {
        "/v1/messages",
        messages,
        "cache_control.ttl",
        "\"system\":[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]"
      },
      {
        "/v1beta/models/on-gemini:generateContent",
        gemini,
        "tools",
        "\"tools\":[{\"google_search\":{}}]"
      },
      {
        "/v1beta/models/on-gemini:generateContent",
        gemini,
        "responseModalities",
        "\"generation_config\":{\"response_modalities\":[\"AUDIO\"]}"
      },
      {
        "/v1beta/models/on-gemini:generateContent",
        gemini,
        "generationConfig",
        "\"generationConfig\":{\"maxOutputTokens\":1},\"generation_config\":{\"max_output_tokens\":99}"
      },
    };
    for (String[] one : refused) {
      HttpResponse<String> answer = send(one[0], one[1].formatted(one[3]));
      assertThat(answer.statusCode()).as(one[3] + answer.body()).isEqualTo(400);
      assertThat(answer.body()).as(one[3]).contains(one[2]);
    }
    String twice = chat.formatted("\"x\":{\"n\":1,\"n\":9}");
    assertThat(send("/v1/chat/completions", twice).statusCode()).isEqualTo(400);
    assertThat(upstream.calls).isEmpty();
    String[][] taken = {
      {
        "/v1/chat/completions",
        chat,
        "\"service_tier\":\"auto\",\"store\":false,\"n\":1,\"best_of\":1"
      },
      {"/v1/chat/completions", chat, "\"max_completion_tokens\":9,\"modalities\":[\"text\"]"},
      {
        "/v1/responses",
        responses,
        "\"background\":false,\"store\":true,\"service_tier\":\"default\""
      },
      {"/v1/messages", messages, "\"service_tier\":\"standard_only\",\"speed\":\"standard\""},
      {
        "/v1beta/models/on-gemini:generateContent",
        gemini,
        "\"generation_config\":{\"max_output_tokens\":9}"
      },
    };
    for (String[] one : taken) {
      HttpResponse<String> answer = send(one[0], one[1].formatted(one[2]));
      assertThat(answer.statusCode()).as(one[2] + answer.body()).isEqualTo(200);
    }
  }

  @Test
  void whatNothingTellsTheLengthOfIsHeldForAsMuchAsTheModelTakes() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(
        provider("p", "good.key") + providerOf("r", "responses"),
        model("one", "p=m") + "        features: [images, documents]\n" + model("two", "r=m"));
    // Of 100,000 tokens at a dollar a million a prompt may cost 0.1; of 4096, 0.005.
    String limited = key("limited", total("0.05"));
    String[][] bodies = {
      {
        "402",
        "/v1/chat/completions",
        "{\"model\":\"one\",\"max_tokens\":9,\"n\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]}]}"
      },
      {
        "402",
        "/v1/chat/completions",
        "{\"model\":\"one\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/pdf;base64,aGk=\"}}]}]}"
      },
      {
        "402",
        "/v1/responses",
        "{\"model\":\"two\",\"max_output_tokens\":9,\"input\":\"hi\",\"previous_response_id\":\"r\"}"
      },
      {
        "200",
        "/v1/chat/completions",
        "{\"model\":\"one\",\"max_tokens\":9,\"n\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a.example/i.png\"}}]}]}"
      },
    };
    for (String[] one : bodies) {
      HttpResponse<String> answer =
          http.send(
              HttpRequest.newBuilder(url.resolve(one[1]))
                  .header("Content-Type", "application/json")
                  .header("Authorization", "Bearer " + limited)
                  .POST(HttpRequest.BodyPublishers.ofString(one[2]))
                  .build(),
              HttpResponse.BodyHandlers.ofString());
      assertThat(answer.statusCode())
          .as(one[2] + answer.body())
          .isEqualTo(Integer.parseInt(one[0]));
    }
    // An image by its address counts for what it may be, and not for the bytes of the address.
    String poor = key("poor", total("0.004"));
    assertThat(
            http.send(
                    HttpRequest.newBuilder(url.resolve("/v1/chat/completions"))
                        .header("Content-Type", "application/json")
                        .header("Authorization", "Bearer " + poor)
                        .POST(HttpRequest.BodyPublishers.ofString(bodies[3][2]))
                        .build(),
                    HttpResponse.BodyHandlers.ofString())
                .statusCode())
        .isEqualTo(402);
  }

  // Who leaves

  /** Asks over a connection of its own, and hangs up once the server has been asked. */
  private void hangsUp(String model, String more, int calls) throws Exception {
    try (var socket = new java.net.Socket(url.getHost(), url.getPort())) {
      String body =
          "{\"model\":\""
              + model
              + "\",\"messages\":[{\"role\":\"user\",\"content\":\"What is a"
              + " receipt?\"}],\"max_tokens\":100"
              + more
              + "}";
      socket
          .getOutputStream()
          .write(
              ("POST /v1/chat/completions HTTP/1.1\r\n"
                      + "Host: localhost\r\n"
                      + "Content-Type: application/json\r\n"
                      + "Authorization: Bearer "
                      + key
                      + "\r\nContent-Length: "
                      + body.length()
                      + "\r\n\r\n"
                      + body)
                  .getBytes(UTF_8));
      TestGateway.eventually("asked", () -> upstream.calls.size() == calls);
    }
  }

  @Test
  void whoHangsUpBeforeTheFirstBytePaysForThePromptThatWasSent() throws Exception {
    CountDownLatch never = new CountDownLatch(1);
    upstream.on("m", (call, out) -> never.await(30, TimeUnit.SECONDS));
    serve(
        provider("p", "good.key") + providerOf("q", "anthropic"),
        model("one", "p=m") + model("two", "q=m"));
    int calls = 0;
    for (String model : List.of("one", "two")) {
      for (String more : List.of("", ",\"stream\":true")) {
        hangsUp(model, more, ++calls);
        int expected = calls;
        TestGateway.eventually("written down", () -> rows("cost").size() == expected);
      }
    }
    never.countDown();
    for (String row : rows("input || '/' || output || '/' || estimated || '/' || outcome")) {
      assertThat(row).matches("\\d+/0/1/cancelled");
      assertThat(Long.parseLong(row.substring(0, row.indexOf('/')))).isBetween(5L, 20L);
    }
    assertThat(rows("cost").stream().map(Long::parseLong)).allMatch(c -> c > 0);
  }

  @Test
  void whatAServerFailsAtAndWhatWeTryAgainIsTheOperatorsCost() throws Exception {
    upstream.on("bad", ScriptedServer.fails(500));
    serve(provider("a", "good.key"), model("one", "a=bad"));
    assertThat(ask("one", "").statusCode()).isGreaterThanOrEqualTo(500);
    assertThat(upstream.calls("bad")).isGreaterThan(1);
    assertThat(rows("cost")).isEmpty();
  }

  @Test
  void aKeyThatIsRevokedWhileItsAnswerStreamsGetsNoMoreOfItAndPaysForWhatItGot() throws Exception {
    CountDownLatch stopped = new CountDownLatch(1);
    upstream.on(
        "endless",
        (call, out) -> {
          try (OutputStream events = out.events()) {
            for (int i = 0; i < 10_000; i++) {
              events.write(ScriptedServer.chunk("word "));
              events.flush();
              Thread.sleep(50);
            }
          } catch (IOException e) {
            stopped.countDown();
          }
        });
    serve(provider("p", "good.key"), model("one", "p=endless"));
    String mine = key("mine", total("1"));
    HttpResponse<InputStream> response =
        http.send(
            request("one", ",\"stream\":true", mine), HttpResponse.BodyHandlers.ofInputStream());
    assertThat(response.body().readNBytes(400)).isNotEmpty();
    try (KeyStore store = KeyStore.open(home.ledger())) {
      assertThat(store.revoke("mine")).isTrue();
    }
    String rest = new String(response.body().readAllBytes(), UTF_8);
    assertThat(rest).contains("key_revoked").doesNotContain("[DONE]");
    assertThat(rest.split("word ", -1).length).as("ended soon").isLessThan(60);
    assertThat(stopped.await(20, TimeUnit.SECONDS)).isTrue();
    assertThat(rowsOnce("outcome", 1)).containsExactly("cut");
    assertThat(Long.parseLong(rows("output").getFirst())).isPositive();
    assertThat(Long.parseLong(rows("cost").getFirst())).isPositive();
  }

  /** What a server does to one request, and what its client does. */
  private record Fate(
      String key, String keyId, int words, int max, int claim, boolean stream, int leaves) {
    String usage() {
      return switch (claim) {
        case 0 -> "{\"prompt_tokens\":9,\"completion_tokens\":" + Math.min(words, max) + "}";
        case 1 -> "{\"prompt_tokens\":0,\"completion_tokens\":0}";
        case 2 -> "{\"prompt_tokens\":9000000,\"completion_tokens\":9000000}";
        case 3 ->
            "{\"prompt_tokens\":-1,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":77777}}";
        default -> "null";
      };
    }
  }

  /** Answers as a request's fate has it, and waits for the client to leave where it will. */
  private void answer(Fate fate, ScriptedServer.Writer out, CountDownLatch left)
      throws IOException, InterruptedException {
    if (!fate.stream()) {
      if (fate.leaves() >= 0) {
        boolean unused = left.await(30, TimeUnit.SECONDS);
      }
      out.json(
          200,
          ScriptedServer.whole("word ".repeat(fate.words()))
              .replaceAll("\"usage\":\\{[^}]*}", "\"usage\":" + fate.usage()));
      return;
    }
    try (OutputStream events = out.events()) {
      for (int i = 0; i < fate.words(); i++) {
        if (i == fate.leaves()) {
          events.flush();
          boolean unused = left.await(30, TimeUnit.SECONDS);
        }
        events.write(ScriptedServer.chunk("word "));
      }
      events.write(ScriptedServer.STOP.getBytes(UTF_8));
      events.write(
          ScriptedServer.USAGE
              .replaceAll("\"usage\":\\{[^}]*}", "\"usage\":" + fate.usage())
              .getBytes(UTF_8));
      events.write(ScriptedServer.DONE.getBytes(UTF_8));
    }
  }

  @Test
  void howeverServersLieAndClientsLeaveTheChargeIsWhatWasUsedAndNeverAboveTheHold()
      throws Exception {
    long seed = Long.getLong("gridtie.seed", System.nanoTime());
    System.out.println("seed " + seed);
    java.util.SplittableRandom random = new java.util.SplittableRandom(seed);
    List<Fate> fates = new ArrayList<>();
    Map<String, CountDownLatch> left = new java.util.concurrent.ConcurrentHashMap<>();
    try (KeyStore store = KeyStore.open(home.ledger())) {
      for (int i = 0; i < 40; i++) {
        ApiKey.Fresh fresh = ApiKey.create("k" + i, total("1"), Instant.now(), new SecureRandom());
        store.add(fresh.key());
        int words = 1 + random.nextInt(60);
        int leaves = random.nextInt(3) == 0 ? random.nextInt(words) : -1;
        fates.add(
            new Fate(
                fresh.secret().reveal(),
                fresh.key().id(),
                words,
                5 + random.nextInt(80),
                random.nextInt(5),
                random.nextBoolean(),
                leaves));
        left.put(fresh.key().id(), new CountDownLatch(1));
      }
    }
    upstream.on(
        "m",
        (call, out) -> {
          String id = call.body().path("messages").path(0).path("content").asString();
          Fate fate = fates.stream().filter(f -> f.keyId().equals(id)).findFirst().orElseThrow();
          answer(fate, out, java.util.Objects.requireNonNull(left.get(id)));
        });
    serve(provider("p", "good.key"), model("one", "p=m"));
    for (Fate fate : fates) {
      String body =
          "{\"model\":\"one\",\"stream\":"
              + fate.stream()
              + ",\"max_tokens\":"
              + fate.max()
              + ",\"messages\":[{\"role\":\"user\",\"content\":\""
              + fate.keyId()
              + "\"}]}";
      long before = upstream.calls("m");
      try (var socket = new java.net.Socket(url.getHost(), url.getPort())) {
        socket
            .getOutputStream()
            .write(
                ("POST /v1/chat/completions HTTP/1.1\r\n"
                        + "Host: localhost\r\n"
                        + "Connection: close\r\n"
                        + "Content-Type: application/json\r\n"
                        + "Authorization: Bearer "
                        + fate.key()
                        + "\r\nContent-Length: "
                        + body.length()
                        + "\r\n\r\n"
                        + body)
                    .getBytes(UTF_8));
        if (fate.leaves() < 0) {
          assertThat(socket.getInputStream().readAllBytes()).isNotEmpty();
        } else {
          TestGateway.eventually("asked", () -> upstream.calls("m") > before);
          StringBuilder heard = new StringBuilder();
          // Past its limit it is ended, and there is nothing to wait for.
          int waits = fate.stream() && fate.leaves() <= fate.max() ? fate.leaves() : 0;
          byte[] bytes = new byte[4096];
          while (heard.toString().split("word ", -1).length <= waits) {
            int read = socket.getInputStream().read(bytes);
            assertThat(read).isPositive();
            heard.append(new String(bytes, 0, read, UTF_8));
          }
        }
      }
      if (fate.leaves() >= 0) {
        TestGateway.eventually("written down", () -> rows("key_id").contains(fate.keyId()));
      }
      java.util.Objects.requireNonNull(left.get(fate.keyId())).countDown();
    }
    List<String> rows =
        rowsOnce(
            "key_id || '/' || cost || '/' || output || '/' || input || '/' || outcome",
            fates.size());
    long sum = 0;
    for (Fate fate : fates) {
      String row = rows.stream().filter(r -> r.startsWith(fate.keyId())).findFirst().orElseThrow();
      String[] each = row.split("/");
      long cost = Long.parseLong(each[1]);
      sum += cost;
      String as = fate + " " + row + " seed " + seed;
      assertThat(cost).as(as).isLessThanOrEqualTo(300 * 1_000_000L + fate.max() * 10_000_000L);
      assertThat(Long.parseLong(each[3])).as(as).isPositive();
      int came =
          fate.leaves() < 0
              ? Math.min(fate.words(), fate.max())
              : fate.stream() ? Math.min(fate.leaves(), fate.max()) : 0;
      // A claim of too little is believed down to half of what came, and a few tokens.
      long least = fate.claim() == 3 && fate.leaves() < 0 ? (came - 16) / 2 : came;
      assertThat(Long.parseLong(each[2])).as(as).isGreaterThanOrEqualTo(least);
      assertThat(cost).as(as).isGreaterThanOrEqualTo(1_000_000 + least * 10_000_000);
    }
    gateway.close();
    gateway = null;
    assertThat(
            dev.gridtie.ledger.Verifier.verify(home.ledger(), n -> {})
                instanceof dev.gridtie.ledger.Verifier.Report.Damaged)
        .isFalse();
    try (var c = DriverManager.getConnection("jdbc:sqlite:" + home.path().resolve("ledger.db"));
        var row =
            c.createStatement()
                .executeQuery("SELECT credits_posted FROM account WHERE id LIKE '%revenue'")) {
      assertThat(row.next()).isTrue();
      assertThat(new java.math.BigInteger(row.getString(1)).longValueExact()).isEqualTo(sum);
    }
  }

  // Keys

  @Test
  void fiftyAtOnceCannotSpendWhatOnlyAFewMay() throws Exception {
    upstream.on(
        "m",
        (call, out) -> {
          Thread.sleep(50);
          ScriptedServer.well("fine").answer(call, out);
        });
    serve(provider("p", "good.key"), model("one", "p=m"));
    // One request may cost up to 100 tokens of answer, 0.001 USD, and a little for the prompt.
    String limited = key("limited", total("0.0035"));
    List<CompletableFuture<HttpResponse<String>>> all = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      all.add(http.sendAsync(request("one", "", limited), HttpResponse.BodyHandlers.ofString()));
    }
    int served = 0;
    for (var each : all) {
      HttpResponse<String> response = each.get(30, TimeUnit.SECONDS);
      assertThat(response.statusCode()).isIn(200, 402);
      served += response.statusCode() == 200 ? 1 : 0;
    }
    assertThat(served).isBetween(1, 3);
    long spent = rowsOnce("cost", served).stream().mapToLong(Long::parseLong).sum();
    assertThat(spent).isLessThanOrEqualTo(3_500_000_000L);
    HttpResponse<String> after =
        http.send(request("one", "", limited), HttpResponse.BodyHandlers.ofString());
    assertThat(after.statusCode()).isEqualTo(200); // what was held and not used is free again
  }

  @Test
  void severalAnswersToOneRequestAreHeldForEach() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    String limited = key("limited", total("0.0035"));
    assertThat(
            http.send(request("one", ",\"n\":10", limited), HttpResponse.BodyHandlers.ofString())
                .statusCode())
        .isEqualTo(402);
    assertThat(
            http.send(request("one", ",\"n\":2", limited), HttpResponse.BodyHandlers.ofString())
                .statusCode())
        .isEqualTo(200);
    assertThat(ask("one", ",\"n\":1000").statusCode()).isEqualTo(400);
  }

  @Test
  void aModelsAndAProvidersOwnLimitHoldBesideTheKeys() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(
        provider("a", "good.key") + provider("b", "good.key"),
        model("one", "a=m", "b=m") + model("two", "a=m"));
    String limited =
        key(
            "limited",
            new KeyLimits(
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Map.of("two", PicoUsd.ofDollars("0.0001")),
                Map.of("a", PicoUsd.ofDollars("0.0001")),
                0,
                0));
    HttpResponse<String> elsewhere =
        http.send(
            request("one", ",\"provider\":{\"order\":[\"a\",\"b\"]}", limited),
            HttpResponse.BodyHandlers.ofString());
    assertThat(elsewhere.headers().firstValue("X-Gridtie-Provider")).contains("b");
    assertThat(
            http.send(request("two", "", limited), HttpResponse.BodyHandlers.ofString())
                .statusCode())
        .isEqualTo(402);
  }

  @Test
  void anEndpointsOwnLimitHoldsBesideItsProvidersAndAfterARestart() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    String catalog = model("one", "a=m", "b=m") + model("two", "a=m");
    serve(provider("a", "good.key") + provider("b", "good.key"), catalog);
    String limited =
        key(
            "limited",
            new KeyLimits(
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                Map.of(),
                Map.of("one@a", PicoUsd.ofDollars("0.0025")),
                0,
                0));
    String toA = ",\"provider\":{\"order\":[\"a\",\"b\"]}";
    int atA = 0;
    for (int i = 0; i < 100 && atA == i; i++) {
      HttpResponse<String> answer =
          http.send(request("one", toA, limited), HttpResponse.BodyHandlers.ofString());
      assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
      atA += answer.headers().firstValue("X-Gridtie-Provider").orElse("").equals("a") ? 1 : 0;
    }
    assertThat(atA).isBetween(1, 99);
    HttpResponse<String> otherModel =
        http.send(request("two", "", limited), HttpResponse.BodyHandlers.ofString());
    assertThat(otherModel.headers().firstValue("X-Gridtie-Provider")).contains("a");
    gateway.close();
    serve(provider("a", "good.key") + provider("b", "good.key"), catalog);
    HttpResponse<String> after =
        http.send(request("one", toA, limited), HttpResponse.BodyHandlers.ofString());
    assertThat(after.headers().firstValue("X-Gridtie-Provider")).contains("b");
  }

  @Test
  void whatIsRefusedStandsInTheAccessLogToo() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    String wrong = "gt-" + "0".repeat(48);
    assertThat(
            http.send(request("one", "", wrong), HttpResponse.BodyHandlers.ofString()).statusCode())
        .isEqualTo(401);
    gateway.close();
    gateway = null;
    assertThat(Files.readString(home.logs().resolve("access.log")))
        .contains("\"status\":401,\"code\":\"invalid_api_key\"")
        .doesNotContain(wrong);
  }

  @Test
  void aRouteRulesOutWhoCollectsDataOrServesElsewhere() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(
        provider("open", "good.key")
                .replace("keys:", "collectsData: true\n    regions: [us]\n    keys:")
            + provider("closed", "good.key").replace("keys:", "regions: [eu]\n    keys:"),
        model("one", "open=m", "closed=m"));
    for (String rule :
        List.of(
            "\"data_collection\":\"deny\"",
            "\"region\":\"eu\"",
            "\"ignore\":[\"open\"]",
            "\"only\":[\"closed\"]")) {
      HttpResponse<String> response = ask("one", ",\"provider\":{" + rule + "}");
      assertThat(response.headers().firstValue("X-Gridtie-Provider")).as(rule).contains("closed");
    }
    HttpResponse<String> dear = ask("one", ",\"provider\":{\"max_price\":{\"prompt\":1.5}}");
    assertThat(dear.headers().firstValue("X-Gridtie-Provider")).contains("open");
    assertThat(ask("one", ",\"provider\":{\"zdr\":true}").statusCode()).isEqualTo(404);
    assertThat(ask("one", ",\"provider\":{\"quantizations\":[\"fp8\"]}").statusCode())
        .isEqualTo(404);
    assertThat(ask("one", ",\"provider\":{\"colour\":\"red\"}").statusCode()).isEqualTo(400);
  }

  @Test
  void whatAKeyHasSpentIsKnownAfterARestart() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    String limited = key("limited", total("0.0011"));
    HttpResponse<String> first =
        http.send(request("one", "", limited), HttpResponse.BodyHandlers.ofString());
    assertThat(first.statusCode()).isEqualTo(200);
    rowsOnce("cost", 1);
    gateway.close();
    serve(provider("p", "good.key"), model("one", "p=m"));
    HttpResponse<String> known =
        http.send(
            HttpRequest.newBuilder(url.resolve("/api/v1/key"))
                .header("Authorization", "Bearer " + limited)
                .build(),
            HttpResponse.BodyHandlers.ofString());
    for (String period : List.of("usage", "usage_daily", "usage_weekly", "usage_monthly")) {
      assertThat(json(known).path("data").path(period).decimalValue())
          .as(period)
          .isEqualByComparingTo("0.00005");
    }
  }

  @Test
  void aRevokedKeyOpensNothingAndAnUnknownOneNeither() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    String mine = key("mine", KeyLimits.NONE);
    assertThat(
            http.send(request("one", "", mine), HttpResponse.BodyHandlers.ofString()).statusCode())
        .isEqualTo(200);
    try (KeyStore store = KeyStore.open(home.ledger())) {
      assertThat(store.revoke("mine")).isTrue();
    }
    TestGateway.eventually(
        "the key is refused",
        () ->
            http.send(request("one", "", mine), HttpResponse.BodyHandlers.ofString()).statusCode()
                == 401);
    assertThat(
            http.send(
                    request("one", "", "gt-" + "0".repeat(64)),
                    HttpResponse.BodyHandlers.ofString())
                .statusCode())
        .isEqualTo(401);
  }

  @Test
  void aRateLimitRefusesWhatIsTooMuchAMinute() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    String slow =
        key(
            "slow",
            new KeyLimits(
                Optional.empty(), Optional.empty(), Optional.empty(), Map.of(), Map.of(), 3, 0));
    List<Integer> statuses = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      statuses.add(
          http.send(request("one", "", slow), HttpResponse.BodyHandlers.ofString()).statusCode());
    }
    assertThat(statuses).containsExactly(200, 200, 200, 429, 429);
  }

  /** Whether the coin is what is configured is not known while its chain is away. */
  @Test
  void withoutAKeyNoPriceIsNamedWhileTheChainIsAway() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    HttpResponse<String> response =
        http.send(request("one", "", "sk-not-ours"), HttpResponse.BodyHandlers.ofString());
    assertThat(response.statusCode()).isEqualTo(503);
    assertThat(TestGateway.code(response)).isEqualTo("payments_unavailable");
    assertThat(response.headers().firstValue("PAYMENT-REQUIRED")).isEmpty();
    assertThat(upstream.calls).isEmpty();
  }

  // The catalog

  @Test
  void aChangedCatalogIsReadAndAWrongOneIsRefusedWholeAndTheOldOneStays() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    String good = Files.readString(catalog);
    Files.writeString(catalog, good + model("two", "p=m"));
    TestGateway.eventually("the new model", () -> ask("two", "").statusCode() == 200);
    Files.writeString(catalog, good + model("three", "nobody=m"));
    Thread.sleep(1200);
    assertThat(ask("two", "").statusCode()).isEqualTo(200);
    assertThat(ask("three", "").statusCode()).isEqualTo(404);
    Files.writeString(catalog, good);
    TestGateway.eventually("the old one", () -> ask("two", "").statusCode() == 404);
  }

  // The cache

  @Test
  void theVerySameRequestIsAnsweredOnceAndEveryHitIsMarkedAndPricedAsConfigured() throws Exception {
    CountDownLatch go = new CountDownLatch(1);
    upstream.on(
        "m",
        (call, out) -> {
          go.await(20, TimeUnit.SECONDS);
          ScriptedServer.well("Hello there").answer(call, out);
        });
    serve(
        provider("p", "good.key"),
        model("one", "p=m"),
        0,
        new GatewayConfig.Cache(60, 8, 10, false));
    List<CompletableFuture<HttpResponse<String>>> all = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      String more = ",\"temperature\":0" + (i % 2 == 0 ? ",\"seed\":1" : ",\"seed\":1 ");
      all.add(http.sendAsync(request("one", more, key), HttpResponse.BodyHandlers.ofString()));
    }
    Thread.sleep(300);
    go.countDown();
    int hits = 0;
    for (var each : all) {
      HttpResponse<String> response = each.get(30, TimeUnit.SECONDS);
      assertThat(text(response)).isEqualTo("Hello there");
      hits += response.headers().firstValue("X-Gridtie-Cache").orElse("").equals("hit") ? 1 : 0;
    }
    assertThat(hits).isEqualTo(19);
    assertThat(upstream.calls).hasSize(1);
    HttpResponse<String> later = ask("one", ",\"temperature\":0,\"seed\":1");
    assertThat(later.headers().firstValue("X-Gridtie-Cache")).contains("hit");
    long price = 10 * 1_000_000 + 4 * 10_000_000;
    List<String> costs = rowsOnce("cost", 21);
    assertThat(costs.stream().filter(c -> c.equals("" + price))).hasSize(1);
    assertThat(costs.stream().filter(c -> c.equals("" + price / 10))).hasSize(20);
    String other = key("other", KeyLimits.NONE);
    HttpResponse<String> elsewhere =
        http.send(
            request("one", ",\"temperature\":0,\"seed\":1", other),
            HttpResponse.BodyHandlers.ofString());
    assertThat(elsewhere.headers().firstValue("X-Gridtie-Cache")).contains("miss");
  }

  @Test
  void strangersWithoutAKeyAreNotGivenEachOthersAnswers() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(
        provider("p", "good.key"),
        model("one", "p=m").replaceAll("PerMillion: \"\\d+\"", "PerMillion: \"0\""),
        0,
        new GatewayConfig.Cache(60, 8, 10, false));
    for (int i = 0; i < 2; i++) {
      HttpResponse<String> answer =
          http.send(
              request("one", ",\"temperature\":0", "anything"),
              HttpResponse.BodyHandlers.ofString());
      assertThat(text(answer)).isEqualTo("fine");
    }
    assertThat(upstream.calls).hasSize(2);
  }

  // Embeddings

  @Test
  void embeddingsComeFromAServerElsewhereAndAreChargedByTheirTokens() throws Exception {
    upstream.on(
        "e",
        (call, out) ->
            out.json(
                200,
                "{\"object\":\"list\",\"data\":[{\"index\":0,\"embedding\":[0.5,0.25]},{\"index\":1,\"embedding\":[1,0]}],\"usage\":{\"prompt_tokens\":6,\"total_tokens\":6}}"));
    serve(provider("p", "good.key"), model("one", "p=e") + "        features: [embeddings]\n");
    HttpRequest.Builder request =
        HttpRequest.newBuilder(url.resolve("/v1/embeddings"))
            .header("Content-Type", "application/json")
            .POST(
                HttpRequest.BodyPublishers.ofString("{\"model\":\"one\",\"input\":[\"a\",\"b\"]}"));
    HttpResponse<String> answer =
        http.send(
            request.header("Authorization", "Bearer " + key).build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(json(answer).path("data").path(1).path("embedding").path(0).asDouble()).isEqualTo(1);
    assertThat(upstream.calls.getLast().key()).isEqualTo(GOOD_KEY);
    assertThat(rowsOnce("cost", 1)).containsExactly("" + 6 * 1_000_000);
  }

  // Seeing it

  @Test
  void metricsCountRequestsTokensAndDollars() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    ask("one", "");
    URI operators = gateway.adminUrl().orElseThrow();
    HttpResponse<String> metrics =
        http.send(
            HttpRequest.newBuilder(operators.resolve("/metrics")).build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(metrics.body())
        .contains(
            "gridtie_requests_total{dialect=\"openai\",model=\"one\",outcome=\"ok\",provider=\"p\"}"
                + " 1")
        .contains("gridtie_tokens_input_total")
        .contains("gridtie_endpoint_uptime{model=\"one\",endpoint=\"p\"} 1.0000");
    java.io.PrintStream console = System.out;
    java.io.ByteArrayOutputStream printed = new java.io.ByteArrayOutputStream();
    System.setOut(new java.io.PrintStream(printed, true, UTF_8));
    try {
      assertThat(
              new picocli.CommandLine(new Main())
                  .execute("top", "--once", "--url", operators.toString()))
          .isZero();
    } finally {
      System.setOut(console);
    }
    assertThat(printed.toString(UTF_8)).contains("MODEL", "one", "ENDPOINT", "well");
    TestGateway.eventually(
        "the access log",
        () ->
            Files.exists(home.logs().resolve("access.log"))
                && Files.readString(home.logs().resolve("access.log"))
                    .contains("\"model\":\"one\""));
  }
}
