package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static dev.gridtie.app.TestGateway.eventually;
import static dev.gridtie.app.TestGateway.json;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.receipts.ReceiptSigner;
import dev.gridtie.gateway.receipts.Receipts;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.AfterParameterizedClassInvocation;
import org.junit.jupiter.params.BeforeParameterizedClassInvocation;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** The main job, with a real chain and a real model, and the ledger in a file or on PostgreSQL. */
@ParameterizedClass
@ValueSource(booleans = {false, true})
class PaidAnswerIT {
  @Parameter boolean onPostgres;

  @TempDir static Path directory;
  private static TestGateway world;
  private static Gateway gateway;

  @BeforeParameterizedClassInvocation
  static void start(boolean onPostgres) throws Exception {
    world =
        new TestGateway(
            Files.createDirectory(directory.resolve(onPostgres ? "postgres" : "file")), onPostgres);
    gateway = world.start(world.config());
  }

  @AfterParameterizedClassInvocation
  static void stop() {
    gateway.close();
    world.requireSound();
    world.close();
  }

  @BeforeEach
  void freshBuyer() throws Exception {
    world.buyer = world.fundedBuyer();
  }

  private static ObjectNode streamed(String question) {
    return chat(question).put("stream", true);
  }

  /** The events' JSON, and whether the end came. */
  private static List<JsonNode> events(String body) throws Exception {
    List<JsonNode> events = new ArrayList<>();
    for (String line : body.split("\n", -1)) {
      if (line.startsWith("data: {")) {
        events.add(Json.parse(line.substring(6).getBytes(UTF_8)));
      }
    }
    return events;
  }

  private static String text(List<JsonNode> events) {
    StringBuilder text = new StringBuilder();
    events.forEach(
        e -> text.append(e.path("choices").path(0).path("delta").path("content").asString("")));
    return text.toString();
  }

  private BigInteger spent() throws Exception {
    return world.spent(world.buyer.address());
  }

  @Test
  void withoutMoneyTheAnswerIsAPriceForBothKindsOfClient() throws Exception {
    HttpResponse<String> response = world.post(bytes(chat("What is a receipt?")), Map.of());
    assertThat(response.statusCode()).isEqualTo(402);
    assertThat(code(response)).isEqualTo("payment_required");
    JsonNode v2 = Headers.decode(response.headers().firstValue("PAYMENT-REQUIRED").orElseThrow());
    assertThat(v2.path("x402Version").asInt()).isEqualTo(2);
    assertThat(v2.path("accepts").path(0).path("scheme").asString()).isEqualTo("exact");
    JsonNode body = json(response);
    assertThat(body.path("x402Version").asInt()).isEqualTo(1);
    assertThat(body.path("accepts").path(0).path("network").asString()).isEqualTo("base-sepolia");
    assertThat(body.path("accepts").path(0).path("maxAmountRequired").asString())
        .isEqualTo(v2.path("accepts").path(0).path("amount").asString());
    assertThat(response.headers().firstValue("Cache-Control")).contains("no-store");
  }

  /** A payment with a name of the payer's own. */
  private static String named(String payment, String id) throws Exception {
    ObjectNode message = (ObjectNode) Headers.decode(payment);
    message.putObject("extensions").putObject("payment-identifier").putObject("info").put("id", id);
    return Headers.encode(message);
  }

  @Test
  void payingAnewForWhatHasANameIsNotPayingTwice() throws Exception {
    byte[] body = bytes(chat("What is a receipt?"));
    String id = "order-000000000001";
    HttpResponse<String> first = world.paid(body, named(world.sign(body), id));
    assertThat(first.statusCode()).as(first.body()).isEqualTo(200);
    BigInteger spent = spent();
    // The answer was lost, and with it the payment: a new one is signed for the same.
    HttpResponse<String> again = world.paid(body, named(world.sign(body), id));
    assertThat(again.body()).isEqualTo(first.body());
    assertThat(spent()).isEqualTo(spent);
    // A name stands for one request of its payer, and for nobody else's.
    byte[] other = bytes(chat("What is the ledger?"));
    HttpResponse<String> conflict = world.paid(other, named(world.sign(other), id));
    assertThat(conflict.statusCode()).isEqualTo(409);
    assertThat(code(conflict)).isEqualTo("payment_identifier_used");
    assertThat(spent()).isEqualTo(spent);
    assertThat(world.paid(body, named(world.sign(body), "short")).statusCode()).isEqualTo(402);
    assertThat(spent()).isEqualTo(spent);
    world.buyer = world.fundedBuyer();
    HttpResponse<String> theirs = world.paid(body, named(world.sign(body), id));
    assertThat(theirs.statusCode()).isEqualTo(200);
    assertThat(theirs.body()).isNotEqualTo(first.body());
    assertThat(spent()).isPositive();
  }

  @Test
  void aPaidRequestGetsItsAnswerItsTransactionAndItsReceipt() throws Exception {
    byte[] body = bytes(chat("What is a receipt?"));
    HttpResponse<String> response = world.pay(body);
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    JsonNode answer = json(response);
    String text = answer.path("choices").path(0).path("message").path("content").asString();
    assertThat(text).contains("signed record");
    SettleResponse settlement =
        SettleResponse.fromHeader(response.headers().firstValue("PAYMENT-RESPONSE").orElseThrow());
    assertThat(settlement.success()).isTrue();
    assertThat(settlement.amount())
        .isEqualTo(spent())
        .isEqualTo(world.ledgerPaid(world.buyer.address()));
    assertThat(world.chain.rpc().receipt(settlement.transaction())).isPresent();

    String receiptId = response.headers().firstValue("X-Gridtie-Receipt").orElseThrow();
    JsonNode signed = json(world.get("/v1/receipts/" + receiptId));
    assertThat(ReceiptSigner.verify(signed, signed.path("publicKey").asString())).isTrue();
    JsonNode receipt = signed.path("receipt");
    byte[] salt = HexFormat.of().parseHex(receipt.path("salt").asString());
    assertThat(salt).hasSize(16);
    assertThat(receipt.path("requestHash").asString())
        .isEqualTo(Receipts.salted(salt, Hashes.sha256(body)));
    assertThat(receipt.path("answerHash").asString())
        .isEqualTo(Receipts.salted(salt, Hashes.sha256(text.getBytes(UTF_8))));
    long prompt = answer.path("usage").path("prompt_tokens").asLong();
    long completion = answer.path("usage").path("completion_tokens").asLong();
    BigInteger price = BigInteger.valueOf(prompt * 1_000_000 + completion * 4_000_000);
    assertThat(receipt.path("price").path("charged").asString()).isEqualTo(price.toString());
    assertThat(world.ledgerCharged(world.buyer.address())).isEqualTo(price);
    ((ObjectNode) receipt.path("usage")).put("completionTokens", completion + 1);
    assertThat(ReceiptSigner.verify(signed, signed.path("publicKey").asString())).isFalse();
  }

  @Test
  void aStreamHasTheSameTextAsTheWholeAnswerAndEndsWithUsageWhereItIsWanted() throws Exception {
    String whole =
        json(world.pay(bytes(chat("What is x402?"))))
            .path("choices")
            .path(0)
            .path("message")
            .path("content")
            .asString();
    ObjectNode request = streamed("What is x402?");
    request.putObject("stream_options").put("include_usage", true);
    HttpResponse<String> response = world.pay(bytes(request));
    assertThat(response.statusCode()).isEqualTo(200);
    assertThat(response.headers().firstValue("Content-Type").orElseThrow())
        .startsWith("text/event-stream");
    assertThat(response.headers().firstValue("PAYMENT-RESPONSE")).isPresent();
    assertThat(response.body()).endsWith("data: [DONE]\n\n");
    List<JsonNode> events = events(response.body());
    assertThat(events.getFirst().path("choices").path(0).path("delta").path("role").asString())
        .isEqualTo("assistant");
    assertThat(text(events)).isEqualTo(whole);
    assertThat(events.getLast().path("usage").path("completion_tokens").asInt()).isPositive();
    assertThat(events.getLast().path("choices").isEmpty()).isTrue();
    assertThat(
            events.get(events.size() - 2).path("choices").path(0).path("finish_reason").asString())
        .isEqualTo("stop");
  }

  @Test
  void aVersionOneClientPaysByItsOwnHeaderAndBody() throws Exception {
    byte[] body = bytes(chat("What is a hold?"));
    HttpResponse<String> unpaid = world.post(body, Map.of());
    Payer payer =
        new Payer(
            List.of(new ExactClient(world.buyer, InstantSource.system(), new SecureRandom())),
            new Payer.Limits(BigInteger.TEN.pow(12), TestGateway.COINS, List.of()));
    Payer.Decision.Pay pay =
        (Payer.Decision.Pay) payer.decide(Optional.empty(), unpaid.body().getBytes(UTF_8));
    assertThat(pay.headerName()).isEqualTo("X-PAYMENT");
    HttpResponse<String> paid = world.post(body, Map.of("X-PAYMENT", pay.headerValue()));
    assertThat(paid.statusCode()).as(paid.body()).isEqualTo(200);
    SettleResponse settlement =
        SettleResponse.fromHeader(paid.headers().firstValue("X-PAYMENT-RESPONSE").orElseThrow());
    assertThat(settlement.network()).isEqualTo("base-sepolia");
    assertThat(spent()).isEqualTo(pay.requirements().amount());
  }

  @Test
  void thePaymentSentAgainGetsTheSameAnswerAndIsChargedOnce() throws Exception {
    byte[] body = bytes(chat("How do I pay?").put("temperature", 1.1));
    String payment = world.sign(body);
    HttpResponse<String> first = world.paid(body, payment);
    BigInteger charged = world.ledgerCharged(world.buyer.address());
    BigInteger paid = spent();
    Thread.sleep(1_001); // another second: a time that is said or signed anew would show
    HttpResponse<String> again = world.paid(body, payment);
    assertThat(again.statusCode()).isEqualTo(200);
    assertThat(again.body()).isEqualTo(first.body());
    assertThat(again.headers().firstValue("X-Gridtie-Receipt"))
        .isEqualTo(first.headers().firstValue("X-Gridtie-Receipt"));
    assertThat(again.headers().firstValue("PAYMENT-RESPONSE"))
        .isEqualTo(first.headers().firstValue("PAYMENT-RESPONSE"));
    assertThat(world.ledgerCharged(world.buyer.address())).isEqualTo(charged);
    assertThat(spent()).isEqualTo(paid);
  }

  @Test
  void thePaymentSentWithAnotherBodyIsRefusedAndNothingMoves() throws Exception {
    byte[] body = bytes(chat("How do I pay?"));
    String payment = world.sign(body);
    assertThat(world.paid(body, payment).statusCode()).isEqualTo(200);
    BigInteger paid = spent();
    HttpResponse<String> other =
        world.post(bytes(chat("Who are you?")), Map.of(Headers.PAYMENT_SIGNATURE, payment));
    assertThat(other.statusCode()).isEqualTo(409);
    assertThat(code(other)).isEqualTo("payment_reused");
    assertThat(spent()).isEqualTo(paid);
  }

  @Test
  void fiftyTimesTheSamePaymentAtOnceIsOneChargeAndOneAnswer() throws Exception {
    for (boolean stream : List.of(false, true)) {
      freshBuyer();
      byte[] body = bytes(chat("What is the ledger?").put("temperature", 1).put("stream", stream));
      String payment = world.sign(body);
      List<String> ids = new ArrayList<>();
      List<String> texts = new ArrayList<>();
      try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
        List<Callable<HttpResponse<String>>> calls = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
          calls.add(() -> world.paid(body, payment));
        }
        for (Future<HttpResponse<String>> each : threads.invokeAll(calls)) {
          HttpResponse<String> response = each.get();
          assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
          if (stream) {
            assertThat(response.body()).endsWith("data: [DONE]\n\n");
            ids.add(events(response.body()).getFirst().path("id").asString());
            texts.add(text(events(response.body())));
          } else {
            ids.add(json(response).path("id").asString());
            texts.add(
                json(response).path("choices").path(0).path("message").path("content").asString());
          }
        }
      }
      assertThat(ids.stream().distinct()).hasSize(1);
      assertThat(texts.stream().distinct()).hasSize(1);
      BigInteger quoted = TestGateway.quoted(payment);
      assertThat(spent()).isEqualTo(quoted).isEqualTo(world.ledgerPaid(world.buyer.address()));
    }
  }

  @Test
  void fiftyDifferentBuyersAtOnceAreAllServed() throws Exception {
    List<Callable<HttpResponse<String>>> calls = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      byte[] body = bytes(chat("What is a token?").put("seed", i));
      String payment = world.sign(body, world.fundedBuyer());
      calls.add(() -> world.paid(body, payment));
    }
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (Future<HttpResponse<String>> each : threads.invokeAll(calls)) {
        assertThat(each.get().statusCode()).as(each.get().body()).isEqualTo(200);
      }
    }
  }

  @Test
  void aClientThatHangsUpHasItsAnswerFinishedAndGetsItForTheSamePayment() throws Exception {
    for (long seed = 11; seed < 14; seed++) {
      freshBuyer();
      byte[] body = TestGateway.longStream(seed);
      String payment = world.sign(body);
      HttpResponse<InputStream> response = world.paidStream(body, payment);
      assertThat(response.statusCode()).isEqualTo(200);
      response.body().readNBytes(200);
      response.body().close();
      String receiptId = response.headers().firstValue("X-Gridtie-Receipt").orElseThrow();
      eventually("a receipt", () -> world.get("/v1/receipts/" + receiptId).statusCode() == 200);
      JsonNode receipt = json(world.get("/v1/receipts/" + receiptId)).path("receipt");
      assertThat(receipt.path("finish").asString()).isIn("stop", "length");
      hungUp(body, payment, receipt);
    }
  }

  /** What holds after a hang-up, once the answer is whole. */
  private void hungUp(byte[] body, String payment, JsonNode receipt) throws Exception {
    BigInteger charged = world.ledgerCharged(world.buyer.address());
    BigInteger quotedPico = TestGateway.quoted(payment).multiply(BigInteger.valueOf(1_000_000));
    assertThat(receipt.path("price").path("charged").asString()).isEqualTo(charged.toString());
    assertThat(receipt.path("price").path("balance").asString())
        .isEqualTo(quotedPico.subtract(charged).toString());
    assertThat(world.ledgerHeld(world.buyer.address())).isZero();

    HttpResponse<String> again = world.paid(body, payment);
    assertThat(again.statusCode()).isEqualTo(200);
    assertThat(again.body()).endsWith("data: [DONE]\n\n");
    BigInteger inAll = world.ledgerCharged(world.buyer.address());
    assertThat(inAll).isLessThanOrEqualTo(quotedPico).isEqualTo(charged);
    assertThat(spent()).isEqualTo(TestGateway.quoted(payment));
  }

  @Test
  void aClientThatHangsUpWhileItsPaymentSettlesIsChargedOnceAndGetsItsAnswer() throws Exception {
    for (boolean stream : List.of(false, true)) {
      freshBuyer();
      byte[] body = bytes(chat("What is the ledger?").put("stream", stream));
      String payment = world.sign(body);
      CountDownLatch settling = new CountDownLatch(1);
      CountDownLatch gone = new CountDownLatch(1);
      world.rpc.behave(
          (method, forward) -> {
            if (method.equals("eth_getTransactionReceipt")) {
              settling.countDown();
              gone.await(1, TimeUnit.SECONDS);
            }
            return forward.answer();
          });
      try (Socket socket = new Socket(world.url.getHost(), world.url.getPort())) {
        String head =
            "POST /v1/chat/completions HTTP/1.1\r\n"
                + "Host: localhost\r\n"
                + "Content-Type: application/json\r\n"
                + "PAYMENT-SIGNATURE: "
                + payment
                + "\r\nContent-Length: "
                + body.length
                + "\r\n\r\n";
        socket.getOutputStream().write(head.getBytes(UTF_8));
        socket.getOutputStream().write(body);
        assertThat(settling.await(20, TimeUnit.SECONDS)).isTrue();
      }
      Thread.sleep(300); // the gateway hears of the hang-up from the system
      gone.countDown();
      world.rpc.behaveWell();
      eventually(
          "paid, and nothing is held",
          () ->
              world.ledgerCharged(world.buyer.address()).signum() > 0
                  && world.ledgerHeld(world.buyer.address()).signum() == 0);
      BigInteger charged = world.ledgerCharged(world.buyer.address());
      assertThat(spent()).isEqualTo(TestGateway.quoted(payment));
      HttpResponse<String> again = world.paid(body, payment);
      assertThat(again.statusCode()).isEqualTo(200);
      assertThat(again.body()).contains("double");
      assertThat(world.ledgerCharged(world.buyer.address())).isEqualTo(charged);
      assertThat(spent()).isEqualTo(TestGateway.quoted(payment));
    }
  }

  @Test
  void modelsHealthAndUnknownPathsAnswer() throws Exception {
    JsonNode model = json(world.get("/v1/models")).path("data").path(0);
    assertThat(model.path("id").asString()).isEqualTo("gridtie/tiny");
    assertThat(model.path("context_length").asInt()).isEqualTo(1024);
    assertThat(model.path("quantization").asString()).isEqualTo("F16");
    assertThat(model.path("pricing").path("prompt").asString()).isEqualTo("0.000001");
    assertThat(world.get("/health/live").statusCode()).isEqualTo(200);
    assertThat(json(world.get("/health/ready")).path("status").asString()).isEqualTo("ready");
    assertThat(code(world.get("/nowhere"))).isEqualTo("not_found");
    assertThat(code(world.get("/v1/receipts/rcpt-none"))).isEqualTo("receipt_not_found");
    assertThat(world.get("/v1/chat/completions").statusCode()).isEqualTo(405);
  }
}
