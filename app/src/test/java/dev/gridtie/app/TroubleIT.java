package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static dev.gridtie.app.TestGateway.eventually;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.testkit.FaultyProxy;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.wire.Headers;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.sql.DriverManager;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.node.ObjectNode;

/** A chain or an engine that fails at the worst moment: charged at most once, and nothing lost. */
class TroubleIT {
  private static final String SENT =
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x" + "00".repeat(32) + "\"}";

  /** After this long the gateway has looked at the chain, in ms. */
  private static final long LOOKED_AT = 9_000;

  @TempDir Path directory;
  private TestGateway world;
  private Gateway gateway;
  private final byte[] body = bytes(chat("What is a receipt?"));

  @BeforeEach
  void start() throws Exception {
    world = new TestGateway(directory);
    gateway = world.start(world.config());
  }

  @AfterEach
  void stop() {
    gateway.close();
    world.requireSound();
    world.close();
  }

  private HttpResponse<String> pay(String payment) throws Exception {
    return world.paid(body, payment);
  }

  private BigInteger spent() throws Exception {
    return world.spent(world.buyer.address());
  }

  private void paidOnceAndServed(String payment) throws Exception {
    eventually("the same payment gets its answer", () -> pay(payment).statusCode() == 200);
    assertThat(spent())
        .isEqualTo(TestGateway.quoted(payment))
        .isEqualTo(world.ledgerPaid(world.buyer.address()));
    assertThat(world.ledgerHeld(world.buyer.address())).isZero();
  }

  private static FaultyProxy.Fault at(String method, FaultyProxy.Fault fault) {
    return (called, forward) ->
        called.equals(method) ? fault.on(called, forward) : forward.answer();
  }

  @Test
  void aChainThatIsDownTakesNoPayment() throws Exception {
    String payment = world.sign(body);
    world.rpc.behave(
        (method, forward) -> {
          throw new IOException("down");
        });
    HttpResponse<String> response = pay(payment);
    assertThat(response.statusCode()).isEqualTo(503);
    assertThat(code(response)).isEqualTo("chain_unreachable");
    assertThat(response.headers().firstValue("Retry-After")).isPresent();
    assertThat(world.get("/health/ready").statusCode()).isEqualTo(503);
    world.rpc.behaveWell();
    assertThat(spent()).isZero();
    paidOnceAndServed(payment);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "eth_getCode",
        "eth_call",
        "eth_estimateGas",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt"
      })
  void aChainThatAnswersTooLateIsNotWaitedForAndNothingIsPaidTwice(String method) throws Exception {
    String payment = world.sign(body);
    AtomicBoolean slow = new AtomicBoolean(true);
    world.rpc.behave(
        at(
            method,
            (called, forward) -> {
              String answer =
                  forward
                      .answer(); // it was done, and the answer comes after everybody has given up
              if (slow.get()) {
                Thread.sleep(4000);
              }
              return answer;
            }));
    HttpResponse<String> response = pay(payment);
    assertThat(response.statusCode()).isEqualTo(503);
    slow.set(false);
    paidOnceAndServed(payment);
  }

  @Test
  void aChainThatDropsTheTransactionGetsItAgain() throws Exception {
    String payment = world.sign(body);
    AtomicBoolean drop = new AtomicBoolean(true);
    world.rpc.behave(
        at("eth_sendRawTransaction", (called, forward) -> drop.get() ? SENT : forward.answer()));
    HttpResponse<String> response = pay(payment);
    assertThat(response.statusCode()).isEqualTo(503);
    assertThat(code(response)).isEqualTo("settlement_pending");
    assertThat(spent()).isZero();
    drop.set(false);
    paidOnceAndServed(payment);
  }

  @Test
  void aPaymentThatExpiresBeforeTheChainTakesItHasFailedForGood() throws Exception {
    String payment = world.sign(body);
    world.rpc.behave(at("eth_sendRawTransaction", (called, forward) -> SENT));
    assertThat(code(pay(payment))).isEqualTo("settlement_pending");
    world.chain.raw().ask("evm_increaseTime", Json.trusted("120"));
    world.chain.raw().ask("evm_mine");
    eventually(
        "it is known to have failed",
        () -> {
          HttpResponse<String> response = pay(payment);
          return response.statusCode() == 402 && code(response).startsWith("invalid_exact_evm_");
        });
    assertThat(spent()).isZero();
    assertThat(world.ledgerPaid(world.buyer.address())).isZero();
  }

  @Test
  void aSettlementThatFailsSendsNoByteOfTheAnswer() throws Exception {
    String payment = world.sign(body);
    world.rpc.behave(
        at(
            "eth_sendRawTransaction",
            (called, forward) ->
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"insufficient funds for gas\"}}"));
    HttpResponse<String> response = pay(payment);
    assertThat(response.statusCode()).isNotEqualTo(200);
    assertThat(response.body()).doesNotContain("signed record");
    assertThat(spent()).isZero();
    world.rpc.behaveWell();
    paidOnceAndServed(payment);
  }

  @Test
  void anEngineThatCrashesInTheMiddleIsContinuedFromTheTokensSentAndTheClientSeesOneStream()
      throws Exception {
    byte[] longBody = TestGateway.longStream(5);
    String undisturbed = contents(world.pay(longBody).body());
    world.buyer = world.fundedBuyer();
    String payment = world.sign(longBody);
    HttpResponse<InputStream> response = world.paidStream(longBody, payment);
    InputStream in = response.body();
    String start = new String(in.readNBytes(3000), java.nio.charset.StandardCharsets.UTF_8);
    ProcessHandle.current()
        .descendants()
        .filter(p -> p.info().commandLine().orElse("").contains("EngineChild"))
        .forEach(ProcessHandle::destroyForcibly);
    String rest = new String(in.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
    assertThat(start + rest).endsWith("data: [DONE]\n\n");
    assertThat(contents(start + rest)).isEqualTo(undisturbed);
    assertThat(spent()).isEqualTo(TestGateway.quoted(payment));
  }

  /** The text of a stream of chat completions. */
  private static String contents(String events) throws Exception {
    StringBuilder text = new StringBuilder();
    for (String line : events.split("\n")) {
      if (line.startsWith("data: {")) {
        text.append(
            dev.gridtie.base.Json.parse(
                    line.substring(6).getBytes(java.nio.charset.StandardCharsets.UTF_8))
                .path("choices")
                .path(0)
                .path("delta")
                .path("content")
                .asString(""));
      }
    }
    return text.toString();
  }

  @Test
  void aLedgerThatCannotBeWrittenWhenAnAnswerEndsBreaksItOffAndTheSamePaymentGetsItAll()
      throws Exception {
    boolean broken = false;
    for (long seed = 30; seed < 36 && !broken; seed++) {
      world.buyer = world.fundedBuyer();
      byte[] longBody = TestGateway.longStream(seed);
      String payment = world.sign(longBody);
      try (var other =
              DriverManager.getConnection("jdbc:sqlite:" + world.home.path().resolve("ledger.db"));
          var statement = other.createStatement()) {
        InputStream in = world.paidStream(longBody, payment).body();
        statement.execute("BEGIN IMMEDIATE"); // nobody else can write now
        try {
          broken =
              !new String(in.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8)
                  .contains("[DONE]");
        } catch (IOException e) {
          broken = true;
        }
        statement.execute("ROLLBACK");
      }
      eventually(
          "the whole answer",
          () -> {
            HttpResponse<String> again = world.paid(longBody, payment);
            return again.statusCode() == 200 && again.body().endsWith("data: [DONE]\n\n");
          });
      assertThat(spent()).isEqualTo(TestGateway.quoted(payment));
      assertThat(world.ledgerCharged(world.buyer.address())).isPositive();
      assertThat(world.ledgerHeld(world.buyer.address())).isZero();
    }
    assertThat(broken)
        .as("at least one answer was still coming when the ledger was locked")
        .isTrue();
  }

  @Test
  void aChainThatForgetsASettledPaymentGetsItAgain() throws Exception {
    Object snapshot = world.chain.raw().ask("evm_snapshot");
    String payment = world.sign(body);
    assertThat(pay(payment).statusCode()).isEqualTo(200);
    gateway.close();
    world.chain.raw().ask("evm_revert", snapshot);
    assertThat(spent()).isZero();
    gateway = world.start(world.config());
    eventually(
        "the payment is on the chain again", () -> spent().equals(TestGateway.quoted(payment)));
    assertThat(world.ledgerPaid(world.buyer.address())).isEqualTo(spent());
  }

  @Test
  void aReorganisationOfOneBlockIsNoticedWhileRunningAndThePaymentIsSentAgain() throws Exception {
    String payment = world.sign(body);
    HttpResponse<String> answer = pay(payment);
    assertThat(answer.statusCode()).isEqualTo(200);
    Thread.sleep(LOOKED_AT); // so that the gateway has seen the block that is taken back
    Object unused = world.chain.raw().ask("anvil_reorg", Json.trusted("1"), Json.array());
    eventually(
        "the payment is on the chain again", () -> spent().equals(TestGateway.quoted(payment)));
    eventually("it is known to be", () -> pay(payment).statusCode() == 200);
    assertThat(pay(payment).body()).isEqualTo(answer.body());
    assertThat(world.ledgerPaid(world.buyer.address())).isEqualTo(spent());
  }

  @Test
  void aPayerWhoIsEmptyAfterAReorganisationIsALossInTheBooks() throws Exception {
    EvmAddress buyer = world.buyer.address();
    EvmAddress other = EvmAddress.of(world.chain.raw().ask("eth_accounts").path(0).asString());
    world.chain.as(
        buyer,
        LocalChain.USDC,
        Abi.call("approve(address,uint256)", Abi.word(other), Abi.word(TestGateway.FUNDS)));
    String payment = world.sign(body);
    assertThat(pay(payment).statusCode()).isEqualTo(200);
    BigInteger charged = world.ledgerCharged(buyer);
    Thread.sleep(LOOKED_AT); // so that the gateway has seen the block that is taken back
    byte[] all =
        Abi.call(
            "transferFrom(address,address,uint256)",
            Abi.word(buyer),
            Abi.word(other),
            Abi.word(TestGateway.FUNDS));
    ObjectNode drain = Json.object().put("from", other.lower()).put("to", LocalChain.USDC.lower());
    drain.put("data", Hex.encode(all)).put("gas", "0x30d40");
    Object unused =
        world
            .chain
            .raw()
            .ask(
                "anvil_reorg", Json.trusted("1"), Json.array().add(Json.array().add(drain).add(0)));
    assertThat(world.chain.usdc(buyer)).isZero();
    eventually("the loss is in the books", () -> world.sum("losses", "debits_posted").signum() > 0);
    assertThat(world.chain.usdc(world.operator.address())).isZero();
    assertThat(world.ledgerCharged(buyer)).isEqualTo(charged);
    assertThat(pay(payment).statusCode()).isEqualTo(402);
  }

  @Test
  void moreRequestsThanAreServedAtOnceAreToldToComeAgain() throws Exception {
    gateway.close();
    GatewayConfig usual = world.config();
    gateway =
        world.start(
            new GatewayConfig(
                null,
                0,
                null,
                usual.payTo(),
                usual.chain(),
                usual.models(),
                null,
                0,
                null,
                null,
                false,
                new GatewayConfig.Limits(0, 0, 1, 0)));
    String payment = world.sign(body);
    AtomicBoolean hold = new AtomicBoolean(true);
    int callsBefore = world.rpc.seen().size();
    world.rpc.behave(
        (method, forward) -> {
          while (hold.get()) {
            Thread.sleep(20);
          }
          return forward.answer();
        });
    var first =
        world.http.sendAsync(
            world.request(body).setHeader(Headers.PAYMENT_SIGNATURE, payment).build(),
            HttpResponse.BodyHandlers.ofString());
    eventually("the first is being served", () -> world.rpc.seen().size() > callsBefore);
    eventually(
        "a second is refused",
        () -> {
          HttpResponse<String> second = world.post(body, Map.of());
          return second.statusCode() == 429
              && code(second).equals("too_many_requests")
              && second.headers().firstValue("Retry-After").isPresent();
        });
    assertThat(world.get("/health/live").statusCode()).as("busy is well").isEqualTo(200);
    hold.set(false);
    assertThat(List.of(200, 503)).contains(first.join().statusCode());
    paidOnceAndServed(payment);
  }
}
