package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static dev.gridtie.app.TestGateway.json;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.exact.ExactTypes.Authorization;
import dev.gridtie.x402.evm.exact.ExactTypes.Payload;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.wire.Headers;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigInteger;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Instant;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Whatever is wrong with a request or a payment: a clear error in OpenAI's envelope, nothing lost,
 * nothing charged.
 */
class BadInputIT {
  private static final BigInteger ORDER =
      new BigInteger("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16);
  private static final EvmAddress SOMEBODY =
      EvmAddress.of("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65");

  @TempDir static Path directory;
  private static TestGateway world;
  private static Gateway gateway;

  private final byte[] body = bytes(chat("What is a receipt?"));

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

  @AfterEach
  void nothingWasCharged() throws Exception {
    assertThat(world.spent(world.buyer.address())).isZero();
    assertThat(world.ledgerPaid(world.buyer.address())).isZero();
    assertThat(world.get("/health/ready").statusCode()).isEqualTo(200);
  }

  private static void refused(HttpResponse<String> response, int status, String errorCode)
      throws Exception {
    assertThat(response.statusCode()).as(response.body()).isEqualTo(status);
    assertThat(code(response)).as(response.body()).isEqualTo(errorCode);
  }

  private static String message(HttpResponse<String> response) throws Exception {
    return json(response).path("error").path("message").asString();
  }

  // Requests

  @Test
  void jsonThatIsNone() throws Exception {
    refused(world.post("{\"model\":".getBytes(UTF_8), Map.of()), 400, "invalid_json");
    refused(world.post("[]".getBytes(UTF_8), Map.of()), 400, "invalid_json");
    refused(world.post("{\"model\":1,\"model\":2}".getBytes(UTF_8), Map.of()), 400, "invalid_json");
    refused(world.post(new byte[0], Map.of()), 400, "invalid_json");
  }

  @Test
  void anUnknownModelNamesTheNearest() throws Exception {
    HttpResponse<String> response =
        world.post(bytes(chat("hi").put("model", "gridtie/tinny")), Map.of());
    refused(response, 404, "model_not_found");
    assertThat(message(response)).contains("gridtie/tinny").contains("'gridtie/tiny'");
  }

  @Test
  void aPromptThatIsTooLongSaysBothNumbers() throws Exception {
    HttpResponse<String> response = world.post(bytes(chat("receipt ".repeat(2000))), Map.of());
    refused(response, 400, "context_length_exceeded");
    assertThat(message(response)).contains("1024").containsPattern("prompt has [0-9]{4,} tokens");
    HttpResponse<String> together =
        world.post(bytes(chat("receipt ".repeat(200)).put("max_tokens", 1000)), Map.of());
    refused(together, 400, "context_length_exceeded");
    assertThat(message(together)).contains("1000").contains("1024");
  }

  @ParameterizedTest
  @CsvSource({"0", "-1", "1025", "2147483647", "99999999999999999999"})
  void maxTokensThatCannotBe(String maxTokens) throws Exception {
    ObjectNode request = chat("hi");
    request.set("max_tokens", Json.trusted(maxTokens));
    HttpResponse<String> response = world.post(bytes(request), Map.of());
    refused(response, 400, "invalid_value");
    assertThat(json(response).path("error").path("param").asString()).isEqualTo("max_tokens");
  }

  @Test
  void anotherContentType() throws Exception {
    refused(world.post(body, Map.of("Content-Type", "text/plain")), 415, "unsupported_media_type");
    assertThat(
            world
                .post(body, Map.of("Content-Type", "application/json; charset=utf-8"))
                .statusCode())
        .isEqualTo(402);
  }

  @Test
  void aBodyThatIsTooLarge() throws Exception {
    byte[] large = bytes(chat("x".repeat(1024 * 1024)));
    refused(world.post(large, Map.of()), 413, "request_too_large");
  }

  @Test
  void aBodyThatNeverComesWhole() throws Exception {
    try (Socket socket = new Socket(world.url.getHost(), world.url.getPort())) {
      socket.setSoTimeout(15_000);
      OutputStream out = socket.getOutputStream();
      out.write(
          ("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
              .getBytes(UTF_8));
      out.flush();
      InputStream in = socket.getInputStream();
      String answer = new String(in.readAllBytes(), UTF_8);
      assertThat(answer).startsWith("HTTP/1.1 408").contains("request_timeout");
    }
  }

  @Test
  void aConnectionThatEndsInTheMiddleLeavesNothingBehind() throws Exception {
    for (int i = 0; i < 300; i++) {
      try (Socket socket = new Socket(world.url.getHost(), world.url.getPort())) {
        socket
            .getOutputStream()
            .write(
                ("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
                    .getBytes(UTF_8));
      }
    }
    TestGateway.eventually(
        "all permits are back", () -> world.post(body, Map.of()).statusCode() == 402);
  }

  @Test
  void garbageInsteadOfHttpIsRefusedAndTheGatewayGoesOn() throws Exception {
    Seeded seeded = new Seeded(3);
    for (int i = 0; i < 50; i++) {
      try (Socket socket = new Socket(world.url.getHost(), world.url.getPort())) {
        socket.getOutputStream().write(seeded.bytes(1 + seeded.below(5000)));
      } catch (java.io.IOException e) {
        // It may well have hung up on us.
      }
    }
  }

  // Payments that cannot be read

  private HttpResponse<String> paidWith(String header) throws Exception {
    return world.post(body, Map.of(Headers.PAYMENT_SIGNATURE, header));
  }

  @Test
  void aPaymentThatIsNoBase64NoJsonOrTruncated() throws Exception {
    refused(paidWith("%%%"), 400, "invalid_payload");
    refused(paidWith(base64("no json")), 400, "invalid_payload");
    refused(paidWith(base64("[]")), 400, "invalid_payload");
    refused(paidWith(base64("{}")), 400, "invalid_x402_version");
    String good = world.sign(body);
    for (int length : new int[] {1, 10, good.length() / 2, good.length() - 5}) {
      HttpResponse<String> response = paidWith(good.substring(0, length));
      assertThat(response.statusCode()).isEqualTo(400);
      assertThat(code(response)).startsWith("invalid_");
    }
    refused(paidWith("A".repeat(20_000)), 400, "invalid_payload");
  }

  @Test
  void versionOneInVersionTwosHeaderAndTheOtherWayRound() throws Exception {
    ObjectNode v1 = Json.object();
    v1.put("x402Version", 1).put("scheme", "exact").put("network", "base-sepolia");
    v1.set("payload", Headers.decode(world.sign(body)).path("payload"));
    refused(paidWith(Headers.encode(v1)), 400, "invalid_x402_version");
    refused(
        world.post(body, Map.of(Headers.X_PAYMENT, world.sign(body))), 400, "invalid_x402_version");
    v1.put("network", "eip155:84532");
    refused(
        world.post(body, Map.of(Headers.X_PAYMENT, Headers.encode(v1))), 400, "invalid_payload");
  }

  @Test
  void anyFieldMissingOrOfAnotherType() throws Exception {
    JsonNode good = Headers.decode(world.sign(body));
    for (String field :
        new String[] {"from", "to", "value", "validAfter", "validBefore", "nonce"}) {
      ObjectNode bad = (ObjectNode) good.deepCopy();
      ((ObjectNode) bad.path("payload").path("authorization")).put(field, 7);
      refused(paidWith(Headers.encode(bad)), 400, "invalid_payload");
      ((ObjectNode) bad.path("payload").path("authorization")).remove(field);
      refused(paidWith(Headers.encode(bad)), 400, "invalid_payload");
    }
  }

  private static String base64(String text) {
    return Base64.getEncoder().encodeToString(text.getBytes(UTF_8));
  }

  // Payments for something else

  @ParameterizedTest
  @CsvSource({
    "amount, 1, invalid_payment_requirements",
    "asset, 0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913, invalid_payment_requirements",
    "network, eip155:8453, invalid_network",
    "network, solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp, invalid_network",
    "payTo, 0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65, invalid_payment_requirements",
    "scheme, upto, unsupported_scheme",
  })
  void requirementsThatWereNotOffered(String field, String value, String errorCode)
      throws Exception {
    ObjectNode bad = (ObjectNode) Headers.decode(world.sign(body)).deepCopy();
    ((ObjectNode) bad.path("accepted")).put(field, value);
    HttpResponse<String> response = paidWith(Headers.encode(bad));
    refused(response, 402, errorCode);
    assertThat(response.headers().firstValue("PAYMENT-REQUIRED")).isPresent();
  }

  /** A payment like the one asked for but for what a test says, signed by {@code key}. */
  private String forged(
      EvmKey key, EvmAddress to, long extraUnits, long after, long before, long chainId)
      throws Exception {
    JsonNode good = Headers.decode(world.sign(body));
    BigInteger amount = new BigInteger(good.path("accepted").path("amount").asString());
    long now = Instant.now().getEpochSecond();
    byte[] nonce = new byte[32];
    new SecureRandom().nextBytes(nonce);
    Authorization authorization =
        new Authorization(
            world.buyer.address(),
            to,
            amount.add(BigInteger.valueOf(extraUnits)),
            BigInteger.valueOf(now + after),
            BigInteger.valueOf(now + before),
            nonce);
    byte[] domain = Eip712.domainSeparator("USDC", "2", chainId, LocalChain.USDC);
    byte[] signature = key.sign(Eip712.digest(domain, authorization.structHash()));
    return with(good, new Payload(authorization, signature));
  }

  private static String with(JsonNode message, Payload payload) {
    ObjectNode changed = (ObjectNode) message.deepCopy();
    changed.set("payload", payload.toJson());
    return Headers.encode(changed);
  }

  private void refusedPayment(String header, String errorCode) throws Exception {
    HttpResponse<String> response = paidWith(header);
    refused(response, 402, errorCode);
    JsonNode settlement =
        Headers.decode(response.headers().firstValue("PAYMENT-RESPONSE").orElseThrow());
    assertThat(settlement.path("success").asBoolean(true)).isFalse();
    assertThat(settlement.path("errorReason").asString()).isEqualTo(errorCode);
  }

  @Test
  void anAuthorisationThatDoesNotFit() throws Exception {
    EvmAddress us = world.operator.address();
    EvmKey buyer = world.buyer;
    long chain = LocalChain.CHAIN_ID;
    refusedPayment(
        forged(buyer, us, 0, -60, -1, chain),
        "invalid_exact_evm_payload_authorization_valid_before");
    refusedPayment(
        forged(buyer, us, 0, 30, 60, chain), "invalid_exact_evm_payload_authorization_valid_after");
    refusedPayment(forged(buyer, us, 1, -60, 60, chain), "invalid_exact_evm_authorization_value");
    refusedPayment(forged(buyer, us, -1, -60, 60, chain), "invalid_exact_evm_authorization_value");
    refusedPayment(
        forged(buyer, SOMEBODY, 0, -60, 60, chain), "invalid_exact_evm_recipient_mismatch");
    refusedPayment(forged(buyer, us, 0, -60, 60, 8453), "invalid_exact_evm_signature");
    refusedPayment(
        forged(EvmKey.random(new SecureRandom()), us, 0, -60, 60, chain),
        "invalid_exact_evm_signature");
  }

  @Test
  void theMalleableTwinOfASignature() throws Exception {
    JsonNode good = Headers.decode(world.sign(body));
    Payload payload = Payload.fromJson(good.path("payload"));
    byte[] low = payload.signature();
    byte[] s = Abi.word(ORDER.subtract(new BigInteger(1, Arrays.copyOfRange(low, 32, 64))));
    byte[] high =
        Abi.concat(Arrays.copyOf(low, 32), s, new byte[] {(byte) (low[64] == 27 ? 28 : 27)});
    refusedPayment(
        with(good, new Payload(payload.authorization(), high)), "invalid_exact_evm_signature");
  }

  @Test
  void aWalletWithoutFunds() throws Exception {
    refusedPayment(
        world.sign(body, EvmKey.random(new SecureRandom())),
        "invalid_exact_evm_insufficient_balance");
  }

  @Test
  void aRefusedPaymentCanBeSentAgainOnceItsCauseIsGone() throws Exception {
    EvmKey poor = EvmKey.random(new SecureRandom());
    String payment = world.sign(body, poor);
    refused(paidWith(payment), 402, "invalid_exact_evm_insufficient_balance");
    world.chain.mint(poor.address(), TestGateway.FUNDS);
    assertThat(paidWith(payment).statusCode()).isEqualTo(200);
  }

  @Test
  void noPaymentHeaderWhateverBringsTheGatewayDown() throws Exception {
    byte[] good = Base64.getDecoder().decode(world.sign(body));
    Seeded seeded = new Seeded(9);
    for (int i = 0; i < Size.of(300, 10_000); i++) {
      byte[] bad = good.clone();
      for (int flips = 1 + seeded.below(3); flips > 0; flips--) {
        bad[seeded.below(bad.length)] = (byte) (32 + seeded.below(95));
      }
      if (Arrays.equals(bad, good)) {
        continue;
      }
      HttpRequest request =
          world
              .request(body)
              .setHeader(Headers.PAYMENT_SIGNATURE, Base64.getEncoder().encodeToString(bad))
              .build();
      HttpResponse<String> response =
          world.http.send(request, HttpResponse.BodyHandlers.ofString());
      if (response.statusCode() == 200) {
        // Only what does not matter was changed: the resource's description, say. It is paid for
        // then.
        world.buyer = world.fundedBuyer();
        good = Base64.getDecoder().decode(world.sign(body));
      } else {
        assertThat(response.statusCode()).as(response.body()).isIn(400, 402, 409);
        assertThat(code(response)).isNotEmpty();
      }
    }
    world.buyer = world.fundedBuyer();
  }
}
