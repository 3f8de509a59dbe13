package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static dev.gridtie.app.TestGateway.json;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.wire.Headers;
import java.math.BigInteger;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** What scheme exact leaves over is the wallet's, and pays for the next request. */
class BalanceIT {
  private static final byte[] SHORT = bytes(chat("What is a receipt?").put("max_tokens", 60));

  @TempDir static Path directory;
  private static TestGateway world;
  private static Gateway gateway;

  @BeforeAll
  static void start() throws Exception {
    world = new TestGateway(directory);
    gateway = world.start(world.config());
  }

  @AfterAll
  static void stop() {
    gateway.close();
    world.requireSound();
    world.close();
  }

  @BeforeEach
  void freshBuyer() throws Exception {
    world.buyer = world.fundedBuyer();
  }

  private static String challenged(byte[] body, EvmKey key) throws Exception {
    HttpResponse<String> unpaid = world.post(body, Map.of());
    JsonNode required =
        Headers.decode(unpaid.headers().firstValue("PAYMENT-REQUIRED").orElseThrow());
    return SignIn.answer(
            required.path("extensions"), world.url.resolve("/v1/chat/completions"), key)
        .orElseThrow();
  }

  private static HttpResponse<String> signedIn(byte[] body, String signIn) throws Exception {
    return world.post(body, Map.of(SignIn.HEADER, signIn));
  }

  private static BigInteger balance() throws Exception {
    String payer = "payer:" + world.buyer.address().lower();
    return world
        .sum(payer, "credits_posted")
        .subtract(world.sum(payer, "debits_posted"))
        .subtract(world.sum(payer, "debits_pending"));
  }

  /** Pays for a long answer and uses a short one. */
  private static void leaveBalance() throws Exception {
    byte[] body = bytes(chat("What is a receipt?").put("max_tokens", 900));
    assertThat(world.paid(body, world.sign(body)).statusCode()).isEqualTo(200);
    assertThat(balance()).isPositive();
  }

  @Test
  void theRestOfAPaymentPaysForTheNextRequestAndNothingMovesOnTheChain() throws Exception {
    leaveBalance();
    BigInteger before = balance();
    BigInteger spent = world.spent(world.buyer.address());
    String signIn = challenged(SHORT, world.buyer);
    HttpResponse<String> answer = signedIn(SHORT, signIn);
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    JsonNode receipt =
        json(world.get(
                "/v1/receipts/" + answer.headers().firstValue("X-Gridtie-Receipt").orElseThrow()))
            .path("receipt");
    BigInteger charged = new BigInteger(receipt.path("price").path("charged").asString());
    assertThat(receipt.path("payment").path("scheme").asString()).isEqualTo("balance");
    assertThat(receipt.path("price").path("balance").asString())
        .isEqualTo(before.subtract(charged).toString());
    assertThat(balance()).isEqualTo(before.subtract(charged));
    assertThat(world.spent(world.buyer.address())).isEqualTo(spent);

    // The same again is the same answer; another request needs another sign-in.
    assertThat(signedIn(SHORT, signIn).body()).isEqualTo(answer.body());
    assertThat(balance()).isEqualTo(before.subtract(charged));
    HttpResponse<String> reused =
        signedIn(bytes(chat("What is the ledger?").put("max_tokens", 60)), signIn);
    assertThat(code(reused)).isEqualTo("payment_reused");
  }

  @Test
  void withoutABalanceThePriceIsSaidAgain() throws Exception {
    HttpResponse<String> answer = signedIn(SHORT, challenged(SHORT, world.buyer));
    assertThat(answer.statusCode()).isEqualTo(402);
    assertThat(code(answer)).isEqualTo("insufficient_balance");
    assertThat(answer.headers().firstValue("PAYMENT-REQUIRED")).isPresent();
  }

  private static String changed(String signIn, String key, String value) throws Exception {
    ObjectNode json = (ObjectNode) Headers.decode(signIn);
    json.put(key, value);
    return Headers.encode(json);
  }

  @Test
  void aSignInOfSomebodyElseOrForSomethingElseIsRefused() throws Exception {
    leaveBalance();
    BigInteger before = balance();
    String good = challenged(SHORT, world.buyer);
    EvmKey thief = EvmKey.random(new SecureRandom());
    String stolen = changed(challenged(SHORT, thief), "address", world.buyer.address().toString());
    assertThat(code(signedIn(SHORT, stolen))).isEqualTo("invalid_siwx_signature");
    assertThat(code(signedIn(SHORT, changed(good, "nonce", "0123456789"))))
        .isEqualTo("invalid_siwx_signature");
    assertThat(code(signedIn(SHORT, changed(good, "domain", "evil.example"))))
        .isEqualTo("invalid_siwx_domain_mismatch");
    assertThat(code(signedIn(SHORT, changed(good, "uri", "https://evil.example/"))))
        .isEqualTo("invalid_siwx_uri_mismatch");
    assertThat(code(signedIn(SHORT, changed(good, "issuedAt", "2020-01-01T00:00:00Z"))))
        .isEqualTo("invalid_siwx_issued_at_too_old");
    assertThat(code(signedIn(SHORT, changed(good, "issuedAt", "2999-01-01T00:00:00Z"))))
        .isEqualTo("invalid_siwx_issued_at_in_future");
    assertThat(code(signedIn(SHORT, changed(good, "issuedAt", "yesterday"))))
        .isEqualTo("invalid_siwx_issued_at");
    assertThat(code(signedIn(SHORT, changed(good, "expirationTime", "2020-01-01T00:00:00Z"))))
        .isEqualTo("invalid_siwx_expired");
    assertThat(code(signedIn(SHORT, changed(good, "statement", "Give me everything"))))
        .isEqualTo("invalid_siwx_signature");
    assertThat(code(signedIn(SHORT, changed(good, "chainId", "eip155:8453"))))
        .isEqualTo("invalid_siwx_signature");
    assertThat(signedIn(SHORT, changed(good, "address", "a\nb")).statusCode()).isEqualTo(400);
    assertThat(signedIn(SHORT, "garbage").statusCode()).isEqualTo(400);
    assertThat(balance()).isEqualTo(before);
  }

  @Test
  void fiftySignInsAtOnceSpendTheBalanceOnce() throws Exception {
    leaveBalance();
    BigInteger before = balance();
    List<Callable<HttpResponse<String>>> calls = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      byte[] body = TestGateway.longStream(i);
      String signIn = challenged(body, world.buyer);
      calls.add(() -> signedIn(body, signIn));
    }
    int answered = 0;
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (var call : threads.invokeAll(calls)) {
        answered += call.get().statusCode() == 200 ? 1 : 0;
      }
    }
    BigInteger charged = before.subtract(balance());
    assertThat(charged).isLessThanOrEqualTo(before).isNotNegative();
    assertThat(balance()).isNotNegative();
    // Each of them can come to nine tenths of it, so no two at a time.
    assertThat(answered).isLessThan(50);
    assertThat(new PicoUsd(charged).isZero()).isEqualTo(answered == 0);
  }
}
