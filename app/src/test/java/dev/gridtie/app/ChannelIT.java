package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static dev.gridtie.app.TestGateway.eventually;
import static dev.gridtie.app.TestGateway.json;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.PaymentJournal;
import dev.gridtie.x402.client.SpendingCaps;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.batch.BatchSigner;
import dev.gridtie.x402.evm.batch.BatchTypes;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.batch.BatchWithdrawal;
import dev.gridtie.x402.evm.batch.ChannelBook;
import dev.gridtie.x402.evm.batch.ChannelState;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Requests that are charged on payers' channels, and what comes of it on the chain. */
class ChannelIT {
  private static final BigInteger DEPOSITS = BigInteger.valueOf(1_000_000);
  private static final String P = "invalid_batch_settlement_evm_";

  @TempDir Path directory;
  private TestGateway world;
  private Gateway gateway;
  private BatchSigner signer;
  private ChannelBook book;

  @BeforeEach
  void start() throws Exception {
    world = new TestGateway(directory);
    gateway = world.start(config("1000"));
    book = new ChannelBook(directory.resolve("channels.json"));
    signer = signer(world.buyer, book);
  }

  @AfterEach
  void stop() {
    gateway.close();
    world.requireSound();
    world.close();
  }

  private static BatchSigner signer(EvmKey key, ChannelBook book) {
    return new BatchSigner(
        key, book, asked -> DEPOSITS, InstantSource.system(), new SecureRandom());
  }

  private GatewayConfig config(String claimUsd) {
    GatewayConfig usual = world.config();
    return usual.withChains(
        usual
            .chain()
            .withSchemes(List.of("batch-settlement", "exact"))
            .withChannels(new GatewayConfig.ChannelSettings(900, claimUsd, 60, 0, 1)),
        List.of(),
        null);
  }

  private PayingClient client(BatchSigner by) throws Exception {
    BigInteger cap = PicoUsd.ofDollars("1").pico();
    return new PayingClient(
        new Payer(List.of(by), new Payer.Limits(cap, TestGateway.COINS, List.of())),
        new SpendingCaps(cap, cap, directory.resolve("spending.json"), InstantSource.system()),
        PaymentJournal.inMemory());
  }

  private PayingClient.Answer ask(BatchSigner by, byte[] body) throws Exception {
    return switch (client(by)
        .send(
            "POST",
            world.url.resolve("/v1/chat/completions"),
            Map.of("Content-Type", "application/json"),
            body)) {
      case PayingClient.Result.Answered answered -> answered.response();
      case PayingClient.Result other -> throw new AssertionError(other);
    };
  }

  private static byte[] question(int number) {
    return bytes(chat("What is the ledger, question " + number + "?").put("max_tokens", 20));
  }

  private SettleResponse asked(int number) throws Exception {
    PayingClient.Answer answer = ask(signer, question(number));
    assertThat(answer.statusCode()).isEqualTo(200);
    String said = new String(answer.body().readAllBytes(), UTF_8);
    assertThat(said).contains("chat.completion");
    SettleResponse settled =
        SettleResponse.fromHeader(
            answer.headers().firstValue(Headers.PAYMENT_RESPONSE).orElseThrow());
    assertThat(settled.success()).isTrue();
    return settled;
  }

  private PaymentRequirements offered(byte[] body) throws Exception {
    HttpResponse<String> unpaid = world.post(body, Map.of());
    return offered(unpaid);
  }

  private static PaymentRequirements offered(HttpResponse<String> unpaid) throws Exception {
    return PaymentRequired.fromHeader(
            unpaid.headers().firstValue(Headers.PAYMENT_REQUIRED).orElseThrow())
        .accepts()
        .stream()
        .filter(a -> a.scheme().equals(BatchTypes.SCHEME))
        .findFirst()
        .orElseThrow();
  }

  private static String header(Payload payload, PaymentRequirements asked) {
    return header(payload.toJson(), asked);
  }

  private static String header(JsonNode payload, PaymentRequirements asked) {
    return Headers.encode(PaymentPayload.v2(payload, Json.array(), asked.toJson()));
  }

  private ChannelBook.Line line() throws Exception {
    return book.all().getFirst();
  }

  private ChannelState state() throws Exception {
    return ChannelState.of(
        world.chain.rpc(), world.buyer.address(), line().config().id(LocalChain.CHAIN_ID));
  }

  private HttpResponse<String> channelPage(String payment) throws Exception {
    HttpRequest.Builder request = HttpRequest.newBuilder(world.url.resolve("/v1/channel"));
    if (!payment.isEmpty()) {
      request.header(Headers.PAYMENT_SIGNATURE, payment);
    }
    return world.http.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  /** Whether the chain, the channel's contract and the ledger agree to the last atomic unit. */
  private void requireBalanced() throws Exception {
    BigInteger operator = world.chain.usdc(world.operator.address());
    BigInteger inContract = world.chain.usdc(BatchTypes.BATCH);
    BigInteger custody =
        new PicoUsd(world.sum("custody:" + world.operator.address().lower(), "debits_posted"))
            .toAtomicRoundedDown(6);
    assertThat(custody).as("what was claimed has come").isEqualTo(operator);
    BigInteger promised =
        new PicoUsd(
                world
                    .sum("channels:" + world.operator.address().lower(), "debits_posted")
                    .subtract(
                        world.sum(
                            "channels:" + world.operator.address().lower(), "credits_posted")))
            .toAtomicRoundedDown(6);
    assertThat(promised).as("what is promised is there").isLessThanOrEqualTo(inContract);
  }

  @Test
  void oneDepositPaysForManyAnswersAndEachIsChargedWhatItUsed() throws Exception {
    SettleResponse first = asked(1);
    assertThat(first.transaction()).as("the deposit").startsWith("0x");
    long block = world.chain.rpc().latestBlock().number();
    BigInteger before = line().charged();
    assertThat(before).isPositive();
    for (int i = 2; i <= 5; i++) {
      SettleResponse next = asked(i);
      assertThat(next.transaction()).isEmpty();
      assertThat(new BigInteger(next.extra().path("chargedAmount").asString())).isPositive();
    }
    assertThat(world.chain.rpc().latestBlock().number())
        .as("no transaction for any of them")
        .isEqualTo(block);
    assertThat(world.spent(world.buyer.address())).isEqualTo(line().balance());
    BigInteger charged = world.ledgerCharged(world.buyer.address());
    assertThat(new PicoUsd(charged).toAtomicRoundedUp(6))
        .as("charged to the pico-dollar, rounded up once a request at most")
        .isBetween(line().charged().subtract(BigInteger.valueOf(5)), line().charged());
    assertThat(world.chain.usdc(world.operator.address())).isZero();
    requireBalanced();
  }

  @Test
  void aStreamIsChargedAndSaysSoAtItsEnd() throws Exception {
    asked(1);
    BigInteger before = line().charged();
    byte[] body = bytes(chat("What is the ledger?").put("stream", true).put("max_tokens", 20));
    PayingClient.Answer answer = ask(signer, body);
    String all = new String(answer.body().readAllBytes(), UTF_8);
    assertThat(all).contains("data: [DONE]").contains(": PAYMENT-RESPONSE ");
    String bill = all.substring(all.indexOf(": PAYMENT-RESPONSE ") + 19).strip();
    BigInteger said =
        new BigInteger(
            SettleResponse.fromHeader(bill)
                .extra()
                .path("channelState")
                .path("chargedCumulativeAmount")
                .asString());
    assertThat(said).isGreaterThan(before);
    // The client did not read the comment: it is put right at the next request, and goes on.
    assertThat(line().charged()).isEqualTo(before);
    asked(3);
    assertThat(line().charged()).isGreaterThan(said);
  }

  @Test
  void aClientThatLostItsBookIsPutRightByItsOwnSignature() throws Exception {
    asked(1);
    asked(2);
    ChannelBook.Line true_ = line();
    book = new ChannelBook(directory.resolve("other.json"));
    book.put(
        true_.config().id(LocalChain.CHAIN_ID),
        new ChannelBook.Line(true_.network(), true_.config(), true_.balance(), BigInteger.ZERO));
    signer = signer(world.buyer, book);
    asked(3);
    assertThat(line().charged()).isGreaterThan(true_.charged());
    assertThat(line().balance()).isEqualTo(true_.balance());
    // A server that claims more than was ever signed is not believed.
    PaymentRequirements asked = offered(question(9));
    Payload voucher = Payload.fromJson(signer.sign(2, asked));
    PaymentRequirements lie =
        asked.withExtra(
            (ObjectNode)
                Json.trusted(
                    "{\"channelState\":"
                        + state().toJson().put("chargedCumulativeAmount", "999999")
                        + "}"));
    assertThat(signer.corrected(PaymentPayload.fromHeader(header(voucher, asked)), List.of(lie)))
        .isFalse();
  }

  @Test
  void theSameVoucherGetsTheSameAnswerAndIsChargedOnce() throws Exception {
    asked(1);
    byte[] body = question(2);
    PaymentRequirements asked = offered(body);
    String voucher = header(signer.sign(2, asked), asked);
    List<Callable<HttpResponse<String>>> many = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      many.add(() -> world.paid(body, voucher));
    }
    List<String> ids = new ArrayList<>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (Future<HttpResponse<String>> one : threads.invokeAll(many)) {
        assertThat(one.get().statusCode()).isEqualTo(200);
        ids.add(json(one.get()).path("id").asString());
      }
    }
    assertThat(ids.stream().distinct()).hasSize(1);
    HttpResponse<String> later = world.paid(body, voucher);
    SettleResponse settled =
        SettleResponse.fromHeader(
            later.headers().firstValue(Headers.PAYMENT_RESPONSE).orElseThrow());
    BigInteger once = new BigInteger(settled.extra().path("chargedAmount").asString());
    assertThat(
            new BigInteger(
                settled.extra().path("channelState").path("chargedCumulativeAmount").asString()))
        .isEqualTo(line().charged().add(once));
    // With another body it opens nothing.
    byte[] other = bytes(((ObjectNode) Json.trusted(new String(body, UTF_8))).put("seed", 5));
    assertThat(code(world.paid(other, voucher))).isEqualTo(P + "cumulative_amount_mismatch");
  }

  @Test
  void oneChannelServesOneRequestAtATime() throws Exception {
    CountDownLatch sent = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    world.rpc.behave(
        (method, forward) -> {
          if (method.equals("eth_sendRawTransaction")) {
            sent.countDown();
            goOn.await();
          }
          return forward.answer();
        });
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<SettleResponse> first = threads.submit(() -> asked(1));
      sent.await();
      PaymentRequirements asked = offered(question(2));
      JsonNode second = signer(world.buyer, book).sign(2, asked);
      assertThat(code(world.paid(question(2), header(second, asked))))
          .isEqualTo(P + "channel_busy");
      goOn.countDown();
      assertThat(first.get().success()).isTrue();
    }
    asked(3);
  }

  @Test
  void whoLeavesAStreamPaysForWhatItGotAndIsToldSo() throws Exception {
    asked(1);
    byte[] slow = TestGateway.longStream(7);
    PaymentRequirements dear = offered(slow);
    HttpResponse<InputStream> running = world.paidStream(slow, header(signer.sign(2, dear), dear));
    assertThat(running.statusCode()).isEqualTo(200);
    PaymentRequirements asked = offered(question(2));
    JsonNode second = signer(world.buyer, book).sign(2, asked);
    running.body().close();
    eventually(
        "the channel is free and says what is right",
        () ->
            code(world.paid(question(2), header(second, asked)))
                .equals(P + "cumulative_amount_mismatch"));
    HttpResponse<String> refused = world.paid(question(2), header(second, asked));
    JsonNode state = offered(refused).extra().path("channelState");
    assertThat(new BigInteger(state.path("chargedCumulativeAmount").asString()))
        .isGreaterThan(line().charged());
    assertThat(
            signer.corrected(
                PaymentPayload.fromHeader(header(second, asked)), List.of(offered(refused))))
        .isTrue();
    asked(3);
  }

  @Test
  void vouchersAreWorthNothingElsewhereAndWrongOnesAreRefused() throws Exception {
    asked(1);
    PaymentRequirements asked = offered(question(2));
    JsonNode good = signer.sign(2, asked);
    Map<String, String> wrong =
        Map.of(
            "voucher/signature", P + "voucher_signature",
            "channelConfig/receiver", P + "receiver_mismatch",
            "channelConfig/salt", P + "channel_id_mismatch",
            "channelConfig/withdrawDelay", P + "channel_id_mismatch",
            "voucher/maxClaimableAmount", P + "cumulative_amount_mismatch");
    for (var one : wrong.entrySet()) {
      var copy = (ObjectNode) good.deepCopy();
      String[] path = one.getKey().split("/");
      var at = (ObjectNode) copy.path(path[0]);
      switch (path[1]) {
        case "signature" ->
            at.put(
                path[1],
                Json.text(
                    signer(EvmKey.random(new SecureRandom()), book)
                        .refund(asked)
                        .toJson()
                        .path("voucher"),
                    "signature"));
        case "receiver" -> at.put(path[1], world.buyer.address().toString());
        case "salt" -> at.put(path[1], "0x" + "11".repeat(32));
        case "withdrawDelay" -> at.put(path[1], 901);
        default -> at.put(path[1], "123456");
      }
      assertThat(code(world.paid(question(2), header(copy, asked))))
          .as(one.getKey())
          .isIn(one.getValue(), P + "channel_id_mismatch");
    }
    assertThat(code(world.paid(question(2), header(signer.refund(asked), asked))))
        .isEqualTo(P + "payload_type");
    assertThat(world.paid(question(2), header(good, asked)).statusCode()).isEqualTo(200);
  }

  @Test
  void claimsComeByAmountAndAreInTheLedger() throws Exception {
    gateway.close();
    gateway = world.start(config("0.000001"));
    List<BatchSigner> payers = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      EvmKey key = world.fundedBuyer();
      payers.add(signer(key, new ChannelBook(directory.resolve("book-" + i))));
    }
    for (BatchSigner payer : payers) {
      assertThat(ask(payer, question(1)).statusCode()).isEqualTo(200);
      assertThat(ask(payer, question(2)).statusCode()).isEqualTo(200);
    }
    BigInteger charged = BigInteger.ZERO;
    for (int i = 0; i < 3; i++) {
      charged =
          charged.add(new ChannelBook(directory.resolve("book-" + i)).all().getFirst().charged());
    }
    BigInteger all = charged;
    eventually(
        "all that was charged has come",
        () -> world.chain.usdc(world.operator.address()).equals(all));
    eventually(
        "and is in the ledger",
        () ->
            new PicoUsd(world.sum("custody:" + world.operator.address().lower(), "debits_posted"))
                .toAtomicRoundedDown(6)
                .equals(all));
    requireBalanced();
  }

  @Test
  void aClaimThatIsTakenBackInAReorganisationIsMadeAgain() throws Exception {
    gateway.close();
    gateway = world.start(config("0.000001"));
    asked(1);
    BigInteger charged = line().charged();
    eventually("paid out", () -> world.chain.usdc(world.operator.address()).equals(charged));
    Thread.sleep(9_000); // so that the gateway has seen the blocks that are taken back
    Object unused = world.chain.raw().ask("anvil_reorg", Json.trusted("2"), Json.array());
    assertThat(state().totalClaimed()).isZero();
    eventually("paid out again", () -> world.chain.usdc(world.operator.address()).equals(charged));
    assertThat(state().totalClaimed()).isEqualTo(charged);
    requireBalanced();
  }

  @Test
  void aPayerOnItsWayOutIsClaimedFromBeforeItIsGone() throws Exception {
    asked(1);
    asked(2);
    BigInteger charged = line().charged();
    world.chain.giveGas(world.buyer.address());
    world.chain.as(
        world.buyer.address(),
        BatchTypes.BATCH,
        BatchWithdrawal.begin(line().config(), line().balance()));
    // The gateway looks again when what it knows is old: the test's clock is the chain's alone.
    gateway.close();
    try (var db = world.raw();
        var old = db.prepareStatement("UPDATE channel SET state_at = 0")) {
      old.executeUpdate();
    }
    gateway = world.start(config("1000"));
    eventually("claimed", () -> state().totalClaimed().equals(charged));
    eventually("paid out", () -> world.chain.usdc(world.operator.address()).equals(charged));
    PaymentRequirements asked = offered(question(3));
    HttpResponse<String> refused = world.paid(question(3), header(signer.sign(2, asked), asked));
    assertThat(code(refused)).isEqualTo(P + "cumulative_exceeds_balance");
    world.chain.raw().ask("evm_increaseTime", Json.trusted("901"));
    world.chain.raw().ask("evm_mine");
    world.chain.as(
        world.buyer.address(), BatchTypes.BATCH, BatchWithdrawal.finish(line().config()));
    assertThat(world.spent(world.buyer.address())).isEqualTo(charged);
    requireBalanced();
  }

  @Test
  void aChannelIsFilledShownAndEmptiedAtItsPage() throws Exception {
    HttpResponse<String> unpaid = channelPage("");
    assertThat(unpaid.statusCode()).isEqualTo(402);
    PaymentRequirements asked = offered(unpaid);
    Payload deposit = signer.deposit(asked, BigInteger.valueOf(50_000));
    HttpResponse<String> filled = channelPage(header(deposit, asked));
    assertThat(filled.statusCode()).as(filled.body()).isEqualTo(200);
    assertThat(json(filled).path("balance").asString()).isEqualTo("50000");
    assertThat(json(filled).path("chargedCumulativeAmount").asString()).isEqualTo("0");
    // Again: it is in the channel once.
    assertThat(json(channelPage(header(deposit, asked))).path("balance").asString())
        .isEqualTo("50000");
    signer.answered(
        PaymentPayload.fromHeader(header(deposit, asked)),
        java.util.Optional.of(
            SettleResponse.fromHeader(
                filled.headers().firstValue(Headers.PAYMENT_RESPONSE).orElseThrow())));
    asked(1);
    BigInteger charged = line().charged();
    HttpResponse<String> back = channelPage(header(signer.refund(asked), asked));
    assertThat(back.statusCode()).as(back.body()).isEqualTo(200);
    assertThat(world.spent(world.buyer.address())).isEqualTo(charged);
    assertThat(state().totalClaimed()).isEqualTo(charged);
    assertThat(code(channelPage(header(signer.refund(asked), asked))))
        .isEqualTo(P + "refund_no_balance");
  }

  @Test
  void aPaymentThatWasRefusedLeavesItsChannelFree() throws Exception {
    asked(1);
    byte[] unknown = bytes(chat("What is it?").put("model", "nobody/nothing"));
    PaymentRequirements asked = offered(question(2));
    String voucher = header(signer.sign(2, asked), asked);
    assertThat(signer.canSign(asked)).as("it waits for its answer").isFalse();
    assertThat(world.paid(unknown, voucher).statusCode()).isEqualTo(404);
    signer.refused(PaymentPayload.fromHeader(voucher));
    assertThat(signer.canSign(asked)).isTrue();
    asked(2);
  }

  @Test
  void aRestartForgetsNoChannel() throws Exception {
    asked(1);
    asked(2);
    BigInteger charged = line().charged();
    gateway.close();
    gateway = world.start(config("1000"));
    asked(3);
    assertThat(line().charged()).isGreaterThan(charged);
    assertThat(world.spent(world.buyer.address())).isEqualTo(line().balance());
  }

  @Test
  void theCommandLineFillsUsesAndEmptiesAChannel() throws Exception {
    Home wallet = new Home(directory.resolve("wallet"));
    wallet.create();
    wallet.keep(Wallet.NAME, world.buyer);
    String coin = TestGateway.NETWORK + "/" + LocalChain.USDC + ":6";
    String home = wallet.path().toString();
    assertThat(
            new picocli.CommandLine(new Main())
                .execute(
                    "wallet",
                    "deposit",
                    world.url.toString(),
                    "--usd",
                    "0.25",
                    "--coin",
                    coin,
                    "--home",
                    home))
        .isZero();
    assertThat(world.spent(world.buyer.address())).isEqualTo(BigInteger.valueOf(250_000));
    URI chat = world.url.resolve("/v1/chat/completions");
    long block = world.chain.rpc().latestBlock().number();
    assertThat(
            new picocli.CommandLine(new Main())
                .execute(
                    "call",
                    chat.toString(),
                    "-d",
                    new String(question(1)),
                    "--coin",
                    coin,
                    "--home",
                    home))
        .isZero();
    assertThat(world.chain.rpc().latestBlock().number()).isEqualTo(block);
    assertThat(new picocli.CommandLine(new Main()).execute("wallet", "channels", "--home", home))
        .isZero();
    assertThat(
            new picocli.CommandLine(new Main())
                .execute(
                    "wallet", "withdraw", world.url.toString(), "--coin", coin, "--home", home))
        .isZero();
    EvmAddress buyer = world.buyer.address();
    assertThat(world.spent(buyer)).isPositive().isLessThan(BigInteger.valueOf(1000));
    assertThat(world.spent(buyer))
        .isEqualTo(
            world.chain.usdc(world.operator.address()).add(world.chain.usdc(BatchTypes.BATCH)));
  }
}
