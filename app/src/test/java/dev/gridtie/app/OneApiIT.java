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
        "{ \"messages\" : [{\"role\":\"user\",\"content\":\"h\\u00e9\"}],\n \"novelty\":{\"a\":[1.50]},\"model\":\"one\" }";
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

  @Test
  void withoutAKeyTheWholePriceIsQuotedByX402() throws Exception {
    upstream.on("m", ScriptedServer.well("fine"));
    serve(provider("p", "good.key"), model("one", "p=m"));
    HttpResponse<String> response =
        http.send(request("one", "", "sk-not-ours"), HttpResponse.BodyHandlers.ofString());
    assertThat(response.statusCode()).isEqualTo(402);
    assertThat(response.headers().firstValue("PAYMENT-REQUIRED")).isPresent();
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
    assertThat(http.send(request.build(), HttpResponse.BodyHandlers.ofString()).statusCode())
        .isEqualTo(402);
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
            "gridtie_requests_total{dialect=\"openai\",model=\"one\",outcome=\"ok\",provider=\"p\"} 1")
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
