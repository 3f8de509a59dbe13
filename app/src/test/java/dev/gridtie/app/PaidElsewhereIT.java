package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.evm.upto.UptoClient;
import dev.gridtie.x402.wire.Headers;
import java.io.OutputStream;
import java.math.BigInteger;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Hosted models paid by the call, in every dialect; and another gateway paid from our wallet. */
class PaidElsewhereIT {
  @TempDir static Path directory;
  private static TestGateway world;
  private static ScriptedServer upstream;
  private static Gateway gateway;

  @BeforeAll
  static void start() throws Exception {
    world = new TestGateway(directory);
    upstream = new ScriptedServer().on("m", ScriptedServer.well("Hello there"));
    upstream.on("bad", ScriptedServer.fails(500));
    upstream.on(
        "e",
        (call, out) ->
            out.json(
                200,
                "{\"object\":\"list\",\"data\":[{\"index\":0,\"embedding\":[0.5,0.25]}],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}"));
    Path catalog = directory.resolve("catalog.yaml");
    Files.writeString(
        catalog,
        """
        providers:
          - { name: p, dialect: openai, url: "%s" }
          - { name: q, dialect: anthropic, url: "%s" }
        models:
          - id: hosted/thinking
            endpoints:
              - { provider: q, model: t, promptUsdPerMillion: "10", completionUsdPerMillion: "100", contextTokens: 9000, maxCompletionTokens: 500, features: [tools, reasoning] }
          - id: hosted/one
            endpoints:
              - { provider: p, model: m, promptUsdPerMillion: "10", completionUsdPerMillion: "100", contextTokens: 9000, maxCompletionTokens: 500 }
          - id: hosted/bad
            endpoints:
              - { provider: p, model: bad, promptUsdPerMillion: "10", completionUsdPerMillion: "100", contextTokens: 9000, maxCompletionTokens: 500 }
          - id: hosted/slow
            endpoints:
              - { provider: p, model: slow, promptUsdPerMillion: "10", completionUsdPerMillion: "100", contextTokens: 9000, maxCompletionTokens: 500 }
          - id: hosted/embed
            endpoints:
              - { provider: p, model: e, promptUsdPerMillion: "10", completionUsdPerMillion: "0", contextTokens: 9000, maxCompletionTokens: 500, features: [embeddings] }
        """
            .formatted(upstream.base(), upstream.base()));
    GatewayConfig c = world.config();
    gateway =
        world.start(
            new GatewayConfig(
                    null,
                    0,
                    null,
                    c.payTo(),
                    c.chain(),
                    c.models(),
                    catalog.toString(),
                    0,
                    null,
                    null,
                    false,
                    c.limits())
                .withChains(
                    c.chain().withSchemes(List.of("exact", "upto")),
                    List.of(),
                    new GatewayConfig.ExposureLimits("1", "1", "1")));
  }

  @AfterAll
  static void stop() {
    gateway.close();
    world.requireSound();
    upstream.close();
    world.close();
  }

  private static HttpResponse<String> post(String path, String body, Map<String, String> headers)
      throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(world.url.resolve(path))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body));
    headers.forEach(request::setHeader);
    return world.http.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  private static String pay(String path, String body, EvmKey buyer) throws Exception {
    HttpResponse<String> unpaid = post(path, body, Map.of());
    assertThat(unpaid.statusCode()).isEqualTo(402);
    return world.payFor(unpaid, buyer);
  }

  private static final String TOOLS =
      ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]";

  @Test
  void aPayingWalletsToolLoopKeepsTheReasoningThatItsClientDrops() throws Exception {
    upstream.on(
        "t",
        (call, out) ->
            out.json(
                200,
                "{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"t\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"sealed-42\"},{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}],\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":9,\"output_tokens\":5}}"));
    String first =
        "{\"model\":\"hosted/thinking\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"go\"}]"
            + TOOLS
            + "}";
    String second =
        "{\"model\":\"hosted/thinking\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"go\"},"
            + "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"toolu_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
            + "{\"role\":\"tool\",\"tool_call_id\":\"toolu_1\",\"content\":\"done\"}]"
            + TOOLS
            + "}";
    EvmKey buyer = world.fundedBuyer();
    for (String body : List.of(first, second)) {
      String payment = pay("/v1/chat/completions", body, buyer);
      HttpResponse<String> paid =
          post("/v1/chat/completions", body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
      assertThat(paid.statusCode()).as(paid.body()).isEqualTo(200);
    }
    assertThat(upstream.calls.getLast().raw()).contains("sealed-42");
    EvmKey stranger = world.fundedBuyer();
    String payment = pay("/v1/chat/completions", second, stranger);
    var unused = post("/v1/chat/completions", second, Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(upstream.calls.getLast().raw()).doesNotContain("sealed-42");
  }

  private void embeddingsArePaidOnce(String path, String body, String expected) throws Exception {
    EvmKey buyer = world.fundedBuyer();
    String payment = pay(path, body, buyer);
    HttpResponse<String> paid = post(path, body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(paid.statusCode()).as(paid.body()).isEqualTo(200);
    assertThat(paid.body()).contains(expected);
    assertThat(world.spent(buyer.address())).isEqualTo(TestGateway.quoted(payment));
    assertThat(world.ledgerCharged(buyer.address())).isEqualTo(BigInteger.valueOf(3 * 10_000_000L));
    int calls = upstream.calls.size();
    HttpResponse<String> again = post(path, body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(again.body()).isEqualTo(paid.body());
    assertThat(upstream.calls).hasSize(calls);
    HttpResponse<String> other =
        post(path, body.replace("hi", "ho"), Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(other.statusCode()).isEqualTo(409);
  }

  @Test
  void embeddingsArePaidByTheCallInBothDialects() throws Exception {
    embeddingsArePaidOnce(
        "/v1/embeddings", "{\"model\":\"hosted/embed\",\"input\":\"hi\"}", "[0.5,0.25]");
    embeddingsArePaidOnce(
        "/v1beta/models/hosted%2Fembed:embedContent",
        "{\"content\":{\"parts\":[{\"text\":\"hi\"}]}}", "[0.5,0.25]");
  }

  private void paidOnceInEachDialect(String path, String body, String expected) throws Exception {
    EvmKey buyer = world.fundedBuyer();
    String payment = pay(path, body, buyer);
    HttpResponse<String> paid = post(path, body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(paid.statusCode()).as(paid.body()).isEqualTo(200);
    assertThat(paid.body()).contains(expected);
    // The quote was paid; charged is what the server counted: 10 tokens sent, 4 received.
    assertThat(world.spent(buyer.address())).isEqualTo(TestGateway.quoted(payment));
    assertThat(world.ledgerCharged(buyer.address()))
        .isEqualTo(BigInteger.valueOf(10 * 10_000_000L + 4 * 100_000_000L));
    long calls = upstream.calls.size();
    HttpResponse<String> again = post(path, body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(again.body()).isEqualTo(paid.body());
    assertThat(upstream.calls).hasSize((int) calls);
  }

  @Test
  void aHostedModelIsPaidByTheCallThroughChatCompletions() throws Exception {
    paidOnceInEachDialect(
        "/v1/chat/completions",
        "{\"model\":\"hosted/one\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "Hello there");
  }

  @Test
  void aHostedModelIsPaidByTheCallThroughAnthropicsMessagesAsAStream() throws Exception {
    paidOnceInEachDialect(
        "/v1/messages",
        "{\"model\":\"hosted/one\",\"max_tokens\":50,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "event: message_stop");
  }

  @Test
  void aHostedModelIsPaidByTheCallThroughGemini() throws Exception {
    paidOnceInEachDialect(
        "/v1beta/models/hosted/one:generateContent",
        "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}],\"generationConfig\":{\"maxOutputTokens\":50}}",
        "Hello there");
  }

  /** Says seventeen of twenty words and waits; then the rest. */
  private static CountDownLatch pausesAfterSeventeen() {
    CountDownLatch go = new CountDownLatch(1);
    upstream.on(
        "slow",
        (call, out) -> {
          if (!call.body().path("stream").asBoolean(false)) {
            go.await(30, TimeUnit.SECONDS);
            out.json(200, ScriptedServer.whole("word ".repeat(20)));
            return;
          }
          try (OutputStream events = out.events()) {
            for (int i = 0; i < 20; i++) {
              if (i == 17) {
                events.flush();
                go.await(30, TimeUnit.SECONDS);
              }
              events.write(ScriptedServer.chunk("word "));
            }
            events.write(
                (ScriptedServer.STOP + ScriptedServer.USAGE.replace(":4,", ":20,"))
                    .getBytes(UTF_8));
            events.write(ScriptedServer.DONE.getBytes(UTF_8));
          }
        });
    return go;
  }

  private static String slow(boolean stream, String question) {
    return "{\"model\":\"hosted/slow\",\"max_tokens\":50,\"stream\":"
        + stream
        + ",\"messages\":[{\"role\":\"user\",\"content\":\""
        + question
        + "\"}]}";
  }

  /**
   * Sends a paid request over a connection of its own, and hangs up once so many words of the
   * answer have come, or once the server has been asked.
   */
  private static void hangsUp(String body, String payment, int words) throws Exception {
    long before = upstream.calls("slow");
    try (Socket socket = new Socket(world.url.getHost(), world.url.getPort())) {
      socket
          .getOutputStream()
          .write(
              ("POST /v1/chat/completions HTTP/1.1\r\n"
                      + "Host: localhost\r\n"
                      + "Content-Type: application/json\r\n"
                      + "PAYMENT-SIGNATURE: "
                      + payment
                      + "\r\nContent-Length: "
                      + body.length()
                      + "\r\n\r\n"
                      + body)
                  .getBytes(UTF_8));
      if (words == 0) {
        TestGateway.eventually("asked", () -> upstream.calls("slow") > before);
        return;
      }
      StringBuilder heard = new StringBuilder();
      byte[] bytes = new byte[4096];
      while (heard.toString().split("word ", -1).length <= words) {
        int read = socket.getInputStream().read(bytes);
        assertThat(read).as(heard.toString()).isPositive();
        heard.append(new String(bytes, 0, read, UTF_8));
      }
    }
  }

  @Test
  void aPaidAnswerIsAskedForOnceAndFinishedAndKeptHoweverOftenItsPayerLeaves() throws Exception {
    for (int words : List.of(17, 0)) {
      for (boolean stream : words == 0 ? List.of(true, false) : List.of(true)) {
        CountDownLatch go = pausesAfterSeventeen();
        EvmKey buyer = world.fundedBuyer();
        String body = slow(stream, "leave after " + words);
        String payment = pay("/v1/chat/completions", body, buyer);
        long before = upstream.calls("slow");
        hangsUp(body, payment, words);
        for (int i = 0; i < 2 && words > 0; i++) { // who comes again hears it from the beginning
          hangsUpAgain(body, payment);
        }
        go.countDown();
        HttpResponse<String> again =
            post("/v1/chat/completions", body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
        assertThat(again.statusCode()).as(again.body()).isEqualTo(200);
        assertThat(again.body().split("word ", -1)).as(again.body()).hasSize(21);
        for (int i = 0; i < 3; i++) {
          assertThat(
                  post("/v1/chat/completions", body, Map.of(Headers.PAYMENT_SIGNATURE, payment))
                      .body())
              .isEqualTo(again.body());
        }
        assertThat(upstream.calls("slow") - before).isEqualTo(1);
        assertThat(world.spent(buyer.address())).isEqualTo(TestGateway.quoted(payment));
        assertThat(world.ledgerCharged(buyer.address()))
            .isEqualTo(BigInteger.valueOf(10 * 10_000_000L + (stream ? 20 : 4) * 100_000_000L));
        assertThat(world.ledgerHeld(buyer.address())).isZero();
      }
    }
  }

  private static void hangsUpAgain(String body, String payment) throws Exception {
    HttpResponse<java.io.InputStream> stream = world.paidStream(body.getBytes(UTF_8), payment);
    assertThat(stream.statusCode()).isEqualTo(200);
    assertThat(stream.body().readNBytes(1000)).hasSize(1000);
    stream.body().close();
  }

  @Test
  void whoPaysByWhatIsUsedAndLeavesBeforeTheFirstBytePaysForThePromptAndIsNotServedAgain()
      throws Exception {
    CountDownLatch go = new CountDownLatch(1);
    upstream.on("slow", (call, out) -> go.await(30, TimeUnit.SECONDS));
    EvmKey buyer = world.fundedBuyer();
    world.chain.allowPermit2(LocalChain.USDC_TOKEN, buyer.address());
    String body = slow(true, "What is a receipt?");
    HttpResponse<String> unpaid = post("/v1/chat/completions", body, Map.of());
    String payment =
        world.payFor(unpaid, new UptoClient(buyer, InstantSource.system(), new SecureRandom()), "");
    long before = upstream.calls("slow");
    hangsUp(body, payment, 0);
    TestGateway.eventually("paid", () -> world.spent(buyer.address()).signum() > 0);
    go.countDown();
    assertThat(world.spent(buyer.address())).isLessThan(TestGateway.quoted(payment));
    TestGateway.eventually("charged", () -> world.ledgerCharged(buyer.address()).signum() > 0);
    assertThat(world.ledgerCharged(buyer.address()))
        .isBetween(BigInteger.valueOf(5 * 10_000_000L), BigInteger.valueOf(20 * 10_000_000L));
    HttpResponse<String> again =
        post("/v1/chat/completions", body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(again.body()).contains("payment_spent");
    assertThat(upstream.calls("slow") - before).isEqualTo(1);
  }

  @Test
  void aHostedModelThatFailsKeepsThePaymentForLaterAndChargesNothing() throws Exception {
    EvmKey buyer = world.fundedBuyer();
    String body =
        "{\"model\":\"hosted/bad\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    String payment = pay("/v1/chat/completions", body, buyer);
    HttpResponse<String> failed =
        post("/v1/chat/completions", body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(failed.statusCode()).isGreaterThanOrEqualTo(500);
    assertThat(failed.body()).contains("nothing was charged");
    assertThat(world.ledgerCharged(buyer.address())).isZero();
    upstream.on("bad", ScriptedServer.well("better now"));
    TestGateway.eventually(
        "the answer, for the same payment",
        () ->
            post("/v1/chat/completions", body, Map.of(Headers.PAYMENT_SIGNATURE, payment))
                .body()
                .contains("better now"));
    assertThat(world.spent(buyer.address())).isEqualTo(TestGateway.quoted(payment));
  }

  @Test
  void anotherGatewayIsPaidFromOurWalletAndOnlyAsMuchAsItAsks() throws Exception {
    Home home = new Home(directory.resolve("buying"));
    home.create();
    EvmKey wallet = home.evmKey("upstream");
    world.chain.mint(wallet.address(), TestGateway.FUNDS);
    world.chain.giveGas(home.evmKey("facilitator").address());
    Path catalog = directory.resolve("buying.yaml");
    Files.writeString(
        catalog,
        """
        providers:
          - { name: other, dialect: openai, url: "%s/v1", payMaxUsdPerRequest: "0.05", payMaxUsdPerDay: "1" }
        models:
          - id: resold/tiny
            endpoints:
              - { provider: other, model: gridtie/tiny, promptUsdPerMillion: "2", completionUsdPerMillion: "8", contextTokens: 1024, maxCompletionTokens: 200 }
        """
            .formatted(world.url));
    String key;
    try (KeyStore store = KeyStore.open(home.ledger())) {
      ApiKey.Fresh fresh =
          ApiKey.create("reader", KeyLimits.NONE, Instant.now(), new SecureRandom());
      store.add(fresh.key());
      key = fresh.secret().reveal();
    }
    try (Gateway second =
        Gateway.start(world.config(catalog), home, new Install(TestGateway.ROOT))) {
      HttpResponse<String> answer =
          world.http.send(
              HttpRequest.newBuilder(
                      URI.create("http://127.0.0.1:" + second.port() + "/v1/chat/completions"))
                  .header("Content-Type", "application/json")
                  .header("Authorization", "Bearer " + key)
                  .POST(
                      HttpRequest.BodyPublishers.ofString(
                          "{\"model\":\"resold/tiny\",\"temperature\":0,\"max_tokens\":60,\"messages\":[{\"role\":\"user\",\"content\":\"What"
                              + " is a receipt?\"}]}"))
                  .build(),
              HttpResponse.BodyHandlers.ofString());
      assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
      JsonNode json = Json.parse(answer.body().getBytes(UTF_8));
      assertThat(json.path("choices").path(0).path("message").path("content").asString())
          .contains("signed record");
      BigInteger spent = TestGateway.FUNDS.subtract(world.chain.usdc(wallet.address()));
      assertThat(spent).isPositive().isLessThan(BigInteger.valueOf(50_000));
      assertThat(world.ledgerPaid(wallet.address())).isEqualTo(spent);
    }
  }
}
