package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static dev.gridtie.app.TestGateway.eventually;
import static dev.gridtie.app.TestGateway.json;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.testkit.LocalSolana;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.evm.permit2.Permit2Client;
import dev.gridtie.x402.evm.upto.UptoClient;
import dev.gridtie.x402.solana.JsonRpcSolana;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.solana.exact.SolanaExactClient;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.math.BigInteger;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Answers that are paid after they were given, by what was used; and other coins. */
class MeteredIT {
  private static final String BILL = ": PAYMENT-RESPONSE ";

  @TempDir static Path directory;
  private static final SolanaAddress MINT =
      SolanaAddress.of("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU");
  private static final SolanaKey SELLER = SolanaKey.random(new SecureRandom());
  private static LocalSolana solana;
  private static TestGateway world;
  private static Gateway gateway;

  @BeforeAll
  static void start() throws Exception {
    world = new TestGateway(directory);
    solana = LocalSolana.start(TestGateway.ROOT, directory.resolve("solana.log"));
    solana.mint(MINT.toString(), SolanaAddress.TOKEN.toString(), 6);
    fundOnSolana(SELLER, 0);
    solana.airdrop(world.home.solanaKey("facilitator-solana").address().toString(), 1_000_000_000);
    gateway = world.start(config());
  }

  private static GatewayConfig.Chain onSolana() {
    return new GatewayConfig.Chain(
        solana.url().toString(),
        SolanaToken.DEVNET,
        MINT.toString(),
        null,
        null,
        6,
        0,
        2,
        2,
        60,
        List.of(),
        0,
        SELLER.address().toString(),
        null,
        null,
        null);
  }

  private static void fundOnSolana(SolanaKey owner, long amount) throws Exception {
    solana.tokenAccount(
        SolanaAddress.tokenAccount(owner.address(), SolanaAddress.TOKEN, MINT).toString(),
        MINT.bytes(),
        owner.address().bytes(),
        SolanaAddress.TOKEN.toString(),
        amount);
  }

  private static GatewayConfig config() {
    GatewayConfig usual = world.config();
    GatewayConfig.Chain pegged =
        new GatewayConfig.Chain(
            world.rpc.url().toString(),
            TestGateway.NETWORK,
            LocalChain.PEGGED.address().toString(),
            LocalChain.PEGGED.name(),
            LocalChain.PEGGED.version(),
            LocalChain.PEGGED.decimals(),
            0,
            2,
            2,
            60);
    return usual.withChains(
        usual.chain().withSchemes(List.of("upto", "exact", "exact-permit2")),
        List.of(pegged.withSchemes(List.of("exact-permit2")), onSolana()),
        new GatewayConfig.ExposureLimits("0.01", "0.05", "1"));
  }

  @AfterAll
  static void stop() {
    gateway.close();
    world.requireSound();
    world.close();
    solana.close();
  }

  @BeforeEach
  void freshBuyer() throws Exception {
    world.rpc.behaveWell();
    world.buyer = world.fundedBuyer();
    world.chain.allowPermit2(LocalChain.USDC_TOKEN, world.buyer.address());
  }

  private static String sign(byte[] body) throws Exception {
    return sign(body, world.buyer);
  }

  private static String sign(byte[] body, EvmKey key) throws Exception {
    return sign(body, key, InstantSource.system());
  }

  private static String sign(byte[] body, EvmKey key, InstantSource clock) throws Exception {
    HttpResponse<String> unpaid = world.post(body, Map.of());
    assertThat(unpaid.statusCode()).isEqualTo(402);
    return world.payFor(unpaid, new UptoClient(key, clock, new SecureRandom()), "");
  }

  private static BigInteger spent() throws Exception {
    return world.spent(world.buyer.address());
  }

  private static SettleResponse bill(String events) throws Exception {
    String line = events.lines().filter(l -> l.startsWith(BILL)).findFirst().orElseThrow();
    return SettleResponse.fromHeader(line.substring(BILL.length()));
  }

  private static JsonNode receipt(HttpResponse<String> answer) throws Exception {
    String id = answer.headers().firstValue("X-Gridtie-Receipt").orElseThrow();
    return json(world.get("/v1/receipts/" + id)).path("receipt");
  }

  private static BigInteger charged(JsonNode receipt) {
    return new BigInteger(receipt.path("price").path("charged").asString());
  }

  @Test
  void aStreamIsPaidByWhatItCameToAndItsLastCommentSaysSo() throws Exception {
    byte[] body = bytes(chat("What is a receipt?").put("stream", true).put("max_tokens", 500));
    String payment = sign(body);
    HttpResponse<String> answer = world.paid(body, payment);
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    assertThat(answer.headers().firstValue(Headers.PAYMENT_RESPONSE)).isEmpty();
    assertThat(answer.body()).contains("data: [DONE]");
    SettleResponse bill = bill(answer.body());
    assertThat(bill.success()).isTrue();
    assertThat(spent()).isEqualTo(bill.amount()).isLessThan(TestGateway.quoted(payment));
    JsonNode receipt = receipt(answer);
    assertThat(receipt.path("payment").path("transaction").asString())
        .isEqualTo(bill.transaction());
    // What was taken is what was used, rounded up to the coin's unit.
    assertThat(new PicoUsd(charged(receipt)).toAtomicRoundedUp(6)).isEqualTo(bill.amount());
    assertThat(world.ledgerCharged(world.buyer.address())).isEqualTo(charged(receipt));
    HttpResponse<String> again = world.paid(body, payment);
    assertThat(again.body()).isEqualTo(answer.body().substring(0, answer.body().indexOf(BILL)));
    assertThat(spent()).isEqualTo(bill.amount());
  }

  /** The next blocks cost so much, in gwei. */
  private static void gasCosts(long gwei) throws Exception {
    String wei = "0x" + Long.toHexString(gwei * 1_000_000_000);
    for (String method : List.of("anvil_setNextBlockBaseFeePerGas", "evm_mine")) {
      Object unused =
          method.equals("evm_mine")
              ? world.chain.raw().ask(method)
              : world.chain.raw().ask(method, wei);
    }
  }

  @Test
  void aGasPriceSpikeTakesNothingForNothingAndNothingTwice() throws Exception {
    EvmAddress buyer = world.buyer.address();
    byte[] body = bytes(chat("What is the ledger?").put("max_tokens", 300));
    String exact = world.sign(body);
    byte[] metered = bytes(chat("What is a receipt?").put("max_tokens", 300));
    String upto = sign(metered);
    gasCosts(100_000);
    // Paid first: not taken, not answered, and good again when gas is.
    HttpResponse<String> refused = world.paid(body, exact);
    assertThat(refused.statusCode()).as(refused.body()).isEqualTo(503);
    assertThat(refused.body()).contains("gas is too expensive now").doesNotContain("assistant");
    // Given first: owed, and taken when gas has fallen.
    HttpResponse<String> pending = world.paid(metered, upto);
    assertThat(code(pending)).isEqualTo("settlement_pending");
    assertThat(pending.body()).doesNotContain("assistant");
    assertThat(spent()).isZero();
    gateway.close();
    gateway = world.start(config()); // it is still owed after a restart
    assertThat(code(world.paid(metered, upto))).isEqualTo("settlement_pending");
    gasCosts(1);
    eventually("answered", () -> world.paid(metered, upto).statusCode() == 200);
    BigInteger once = spent();
    assertThat(once).isEqualTo(world.ledgerPaid(buyer)).isPositive();
    assertThat(world.paid(metered, upto).statusCode()).isEqualTo(200);
    assertThat(spent()).isEqualTo(once);
    assertThat(world.paid(body, exact).statusCode()).isEqualTo(200);
    assertThat(spent()).isEqualTo(once.add(TestGateway.quoted(exact)));
  }

  @Test
  void aGasPriceSpikeThatOutlastsAPaymentIsNotItsPayersFault() throws Exception {
    byte[] body = bytes(chat("What is a receipt?").put("max_tokens", 300));
    // Signed long ago: it has a few seconds left.
    String upto =
        sign(body, world.buyer, () -> Instant.now().minus(Validity.USUAL.minusSeconds(10)));
    gasCosts(100_000);
    assertThat(code(world.paid(body, upto))).isEqualTo("settlement_pending");
    Thread.sleep(11_000);
    gasCosts(1);
    eventually("it is over", () -> world.paid(body, upto).statusCode() == 402);
    HttpResponse<String> again = world.paid(body, sign(body));
    assertThat(again.statusCode()).as("its payer may again: " + again.body()).isEqualTo(200);
    assertThat(spent()).isEqualTo(world.ledgerPaid(world.buyer.address()));
  }

  @Test
  void aDocumentComesWithItsBillAndIsNotGivenUnpaid() throws Exception {
    byte[] body = bytes(chat("What is a receipt?").put("max_tokens", 500));
    HttpResponse<String> answer = world.paid(body, sign(body));
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    SettleResponse bill =
        SettleResponse.fromHeader(
            answer.headers().firstValue(Headers.PAYMENT_RESPONSE).orElseThrow());
    assertThat(spent()).isEqualTo(bill.amount());

    // Verified, answered, and then the payer has moved everything elsewhere.
    String payment = sign(body);
    AtomicBoolean once = new AtomicBoolean(true);
    EvmAddress buyer = world.buyer.address();
    world.rpc.behave(
        (method, forward) -> {
          if (method.equals("eth_estimateGas") && once.getAndSet(false)) {
            drain(buyer);
          }
          return forward.answer();
        });
    HttpResponse<String> refused = world.paid(body, payment);
    assertThat(refused.statusCode()).as(refused.body()).isEqualTo(402);
    assertThat(code(refused)).isEqualTo("invalid_upto_evm_transaction_failed");
    assertThat(refused.body()).doesNotContain("assistant");
    world.rpc.behaveWell();
    // Whoever did that owes nothing more: but by other schemes may pay.
    world.chain.mint(buyer, TestGateway.FUNDS);
    HttpResponse<String> barred = world.paid(body, sign(body));
    assertThat(code(barred)).isEqualTo("unsettled_limit");
  }

  private static void drain(EvmAddress buyer) throws IOException {
    try {
      world.chain.as(
          buyer,
          LocalChain.USDC,
          Abi.call(
              "transfer(address,uint256)",
              Abi.word(world.operator.address()),
              Abi.word(world.chain.usdc(buyer))));
    } catch (Exception e) {
      throw new IOException(e);
    }
  }

  @Test
  void aClientThatLeavesIsChargedWhatItGot() throws Exception {
    boolean cut = false;
    // An answer may be whole before the hang-up is heard of: then another one is tried.
    for (long seed = 7; seed < 87 && !cut; seed++) {
      freshBuyer();
      cut = leaves(TestGateway.longStream(seed));
    }
    assertThat(cut).as("at least one hang-up came in the middle of its answer").isTrue();
  }

  /** Whether the hang-up came in the middle of the answer; what holds then, and otherwise. */
  private static boolean leaves(byte[] body) throws Exception {
    String payment = sign(body);
    HttpResponse<java.io.InputStream> stream = world.paidStream(body, payment);
    assertThat(stream.statusCode()).isEqualTo(200);
    try (BufferedReader lines = new BufferedReader(new InputStreamReader(stream.body(), UTF_8))) {
      for (int i = 0; i < 12; i++) {
        assertThat(lines.readLine()).isNotNull();
      }
    }
    eventually("paid for its part", () -> spent().signum() > 0);
    assertThat(spent()).isLessThan(TestGateway.quoted(payment));
    String id = stream.headers().firstValue("X-Gridtie-Receipt").orElseThrow();
    eventually("a receipt", () -> world.get("/v1/receipts/" + id).statusCode() == 200);
    JsonNode receipt = json(world.get("/v1/receipts/" + id)).path("receipt");
    assertThat(new PicoUsd(charged(receipt)).toAtomicRoundedUp(6)).isEqualTo(spent());
    boolean cut = receipt.path("finish").asString().equals("cut");
    HttpResponse<String> again = world.paid(body, payment);
    if (cut) {
      assertThat(code(again)).isEqualTo("payment_spent");
    } else {
      assertThat(again.statusCode()).as("it is kept whole").isEqualTo(200);
    }
    return cut;
  }

  @Test
  void fiftyAtOnceOweNoMoreThanTheirPayerMay() throws Exception {
    // At four dollars a million tokens, 900 tokens are $0.0036: a new payer may owe two of them.
    List<Callable<HttpResponse<String>>> calls = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      byte[] body = TestGateway.longStream(i);
      String payment = sign(body);
      calls.add(() -> world.paid(body, payment));
    }
    int answered = 0;
    int refused = 0;
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (Future<HttpResponse<String>> call : threads.invokeAll(calls)) {
        if (call.get().statusCode() == 200) {
          answered++;
        } else {
          assertThat(code(call.get())).isEqualTo("unsettled_limit");
          refused++;
        }
      }
    }
    assertThat(answered).isBetween(2, 20);
    assertThat(refused).isEqualTo(50 - answered);
    BigInteger paid = new PicoUsd(world.ledgerCharged(world.buyer.address())).pico();
    assertThat(paid).isPositive();
    assertThat(spent()).isEqualTo(world.ledgerPaid(world.buyer.address()));
  }

  @Test
  void aSettlementThatIsNotSeenIsFoundAndTheAnswerGivenOnce() throws Exception {
    byte[] body = bytes(chat("What is the ledger?").put("max_tokens", 500));
    String payment = sign(body);
    AtomicBoolean blind = new AtomicBoolean(true);
    world.rpc.behave(
        (method, forward) -> {
          if (method.equals("eth_getTransactionReceipt") && blind.get()) {
            throw new IOException("no answer");
          }
          return forward.answer();
        });
    HttpResponse<String> pending = world.paid(body, payment);
    assertThat(pending.statusCode()).isEqualTo(503);
    assertThat(code(pending)).isEqualTo("settlement_pending");
    blind.set(false);
    eventually("answered", () -> world.paid(body, payment).statusCode() == 200);
    HttpResponse<String> answer = world.paid(body, payment);
    assertThat(json(answer).path("choices").path(0).path("message").path("content").asString())
        .isNotEmpty();
    assertThat(spent()).isEqualTo(world.ledgerPaid(world.buyer.address()));
    assertThat(spent()).isLessThan(TestGateway.quoted(payment)).isPositive();
  }

  @Test
  void whatIsNotSeenToSettleIsOwedUntilItIsAndWhoLetsItFailOwesNothingMore() throws Exception {
    AtomicBoolean blind = new AtomicBoolean(true);
    AtomicBoolean draining = new AtomicBoolean(false);
    EvmAddress buyer = world.buyer.address();
    world.rpc.behave(
        (method, forward) -> {
          if (method.equals("eth_getTransactionReceipt") && blind.get()) {
            throw new IOException("no answer");
          }
          if (method.equals("eth_sendRawTransaction") && draining.getAndSet(false)) {
            drain(buyer);
          }
          return forward.answer();
        });
    byte[] body = bytes(chat("What is the ledger?").put("max_tokens", 900));
    String third = sign(body);
    for (String payment : List.of(sign(body), sign(body))) {
      assertThat(code(world.paid(body, payment))).isEqualTo("settlement_pending");
    }
    assertThat(code(world.paid(body, third))).isEqualTo("unsettled_limit");
    blind.set(false);
    eventually("paid", () -> spent().equals(world.ledgerPaid(buyer)) && spent().signum() > 0);
    eventually("owed no more", () -> world.paid(body, sign(body)).statusCode() == 200);

    blind.set(true);
    draining.set(true);
    assertThat(code(world.paid(body, sign(body)))).isEqualTo("settlement_pending");
    blind.set(false);
    world.chain.mint(buyer, TestGateway.FUNDS);
    // Its transaction failed at our cost: it is barred from paying at all for a while.
    eventually("barred", () -> world.paid(body, sign(body)).body().contains("payer_barred"));
  }

  @Test
  void aSolanaWalletPaysForAnAnswer() throws Exception {
    SolanaKey buyer = SolanaKey.random(new SecureRandom());
    fundOnSolana(buyer, 1_000_000);
    byte[] body = bytes(chat("What is a receipt?").put("max_tokens", 500));
    HttpResponse<String> unpaid = world.post(body, Map.of());
    SolanaExactClient client =
        new SolanaExactClient(
            buyer,
            SolanaToken.DEVNET,
            new JsonRpcSolana(solana.url(), Duration.ofSeconds(5)),
            new SecureRandom());
    String payment = world.payFor(unpaid, client, MINT.toString());
    HttpResponse<String> answer = world.paid(body, payment);
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    long quoted = TestGateway.quoted(payment).longValueExact();
    SolanaAddress account = SolanaAddress.tokenAccount(SELLER.address(), SolanaAddress.TOKEN, MINT);
    assertThat(solana.amount(account.toString())).isEqualTo(quoted);
    JsonNode receipt = receipt(answer);
    assertThat(receipt.path("payment").path("payer").asString())
        .isEqualTo(buyer.address().toString());
    assertThat(receipt.path("payment").path("network").asString()).isEqualTo(SolanaToken.DEVNET);
    assertThat(world.paid(body, payment).body()).isEqualTo(answer.body());
    assertThat(solana.amount(account.toString())).isEqualTo(quoted);
  }

  @Test
  void aCeilingCannotBeUsedForAnotherRequest() throws Exception {
    byte[] body = bytes(chat("What is a receipt?").put("max_tokens", 500));
    String payment = sign(body);
    assertThat(world.paid(body, payment).statusCode()).isEqualTo(200);
    HttpResponse<String> other =
        world.paid(bytes(chat("What is the ledger?").put("max_tokens", 500)), payment);
    assertThat(other.statusCode()).isEqualTo(409);
    assertThat(code(other)).isEqualTo("payment_reused");
  }

  @Test
  void aCoinOfEighteenDecimalsIsTakenAtItsOwnScale() throws Exception {
    ObjectNode request = chat("What is a receipt?").put("max_tokens", 500);
    HttpResponse<String> unpaid = world.post(bytes(request), Map.of());
    JsonNode accepts =
        Headers.decode(unpaid.headers().firstValue("PAYMENT-REQUIRED").orElseThrow())
            .path("accepts");
    assertThat(accepts.size()).isEqualTo(5);
    BigInteger inUsdc = new BigInteger(accepts.path(0).path("amount").asString());
    BigInteger inPegged = new BigInteger(accepts.path(3).path("amount").asString());
    // The finer coin needs no rounding up to a millionth of a dollar.
    assertThat(inPegged).isLessThanOrEqualTo(inUsdc.multiply(BigInteger.TEN.pow(12)));
    assertThat(inPegged.add(BigInteger.TEN.pow(12)))
        .isGreaterThan(inUsdc.multiply(BigInteger.TEN.pow(12)));
    world.chain.mint(LocalChain.PEGGED, world.buyer.address(), inPegged);
    world.chain.allowPermit2(LocalChain.PEGGED, world.buyer.address());
    String payment =
        world.payFor(
            unpaid,
            new Permit2Client(world.buyer, InstantSource.system(), new SecureRandom()),
            LocalChain.PEGGED.address().toString());
    HttpResponse<String> answer = world.paid(bytes(request), payment);
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    assertThat(world.chain.balance(LocalChain.PEGGED, world.buyer.address())).isZero();
    JsonNode receipt = receipt(answer);
    assertThat(receipt.path("payment").path("amount").asString()).isEqualTo(inPegged.toString());
    assertThat(charged(receipt)).isPositive();
  }
}
