package dev.gridtie.x402.evm.exact;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.testkit.FaultyProxy;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.exact.ExactTypes.Authorization;
import dev.gridtie.x402.evm.exact.ExactTypes.Payload;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.io.IOException;
import java.math.BigInteger;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The facilitator against a real EVM chain, and against one that misbehaves. */
class ExactFacilitatorIT {
  private static final BigInteger FEE_CAP = BigInteger.valueOf(500_000_000_000L);
  private static final BigInteger PRICE = BigInteger.valueOf(10_000);
  private static final EvmAddress PAYEE =
      EvmAddress.of("0x90F79bf6EB2c4f870365E785982E1f101E93b906");
  private static final BigInteger ORDER =
      new BigInteger("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16);

  @TempDir static Path directory;
  private static LocalChain chain;
  private static FaultyProxy proxy;
  private static EvmKey gasKey;

  private static final String ZEROS_28 = "00000000000000000000000000000000000000000000000000000000";

  private final SecureRandom random = new SecureRandom();
  private EvmKey buyer;
  private ExactFacilitator facilitator;
  private PaymentRequirements requirements;

  @BeforeAll
  static void startChain() throws Exception {
    Path root = Path.of(System.getProperty("gridtie.root"));
    chain =
        LocalChain.start(
            LocalChain.program(root.resolve("native/node_modules")), directory, freePort());
    proxy = new FaultyProxy(chain.url());
  }

  @AfterAll
  static void stopChain() {
    proxy.close();
    chain.close();
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  @BeforeEach
  void freshKeys() throws Exception {
    proxy.behaveWell();
    gasKey = EvmKey.random(random);
    buyer = EvmKey.random(random);
    chain.giveGas(gasKey.address());
    chain.mint(buyer.address(), BigInteger.valueOf(1_000_000));
    JsonRpcChain rpc = new JsonRpcChain(proxy.url(), Duration.ofMillis(1500));
    facilitator = facilitator(rpc, gasKey, FEE_CAP);
    requirements =
        new ExactServer(
                new EvmToken(LocalChain.NETWORK, LocalChain.USDC, 6, "USDC", "2"), PAYEE, 60)
            .requirements(PRICE);
  }

  private static ExactFacilitator facilitator(EvmChain on, EvmKey gas, BigInteger feeCap) {
    SenderPool senders =
        SenderPool.of(on, LocalChain.CHAIN_ID, List.of(gas), feeCap, InstantSource.system());
    return new ExactFacilitator(
        on, new Settler(on, senders, Duration.ofSeconds(2)), InstantSource.system());
  }

  /** Two facilitators send the same payment: one moves the money, and both pay for gas. */
  @Test
  void whatATransactionCostsThatComesSecondIsTold() throws Exception {
    EvmKey other = EvmKey.random(random);
    chain.giveGas(other.address());
    JsonRpcChain rpc = new JsonRpcChain(chain.url(), Duration.ofMillis(1500));
    Map<String, BigInteger> failed = new ConcurrentHashMap<>();
    List<Callable<Settlement>> both = new ArrayList<>();
    PaymentPayload payment = pay();
    BigInteger before = rpc.balance(gasKey.address()).add(rpc.balance(other.address()));
    for (EvmKey key : List.of(gasKey, other)) {
      SenderPool senders =
          SenderPool.of(rpc, LocalChain.CHAIN_ID, List.of(key), FEE_CAP, InstantSource.system());
      Settler settler = new Settler(rpc, senders, Duration.ofSeconds(5), failed::put);
      ExactFacilitator one = new ExactFacilitator(rpc, settler, InstantSource.system());
      both.add(() -> one.settle(payment, requirements, t -> {}));
    }
    Object unused = chain.raw().ask("evm_setAutomine", false);
    List<Settlement> ended = new ArrayList<>();
    try (var threads = Executors.newFixedThreadPool(2)) {
      List<Future<Settlement>> running = new ArrayList<>();
      for (Callable<Settlement> one : both) {
        running.add(threads.submit(one));
      }
      Thread.sleep(1000);
      unused = chain.raw().ask("evm_mine");
      for (Future<Settlement> one : running) {
        ended.add(one.get());
      }
    } finally {
      unused = chain.raw().ask("evm_setAutomine", true);
    }
    assertThat(ended).allMatch(Settlement.Settled.class::isInstance);
    BigInteger cost = failed.values().stream().reduce(BigInteger.ZERO, BigInteger::add);
    for (Settlement one : ended) {
      cost = cost.add(((Settlement.Settled) one).feeWei());
    }
    assertThat(failed).hasSize(1);
    BigInteger after = rpc.balance(gasKey.address()).add(rpc.balance(other.address()));
    assertThat(before.subtract(after)).isEqualTo(cost);
  }

  private PaymentPayload pay() throws Exception {
    return payment(new ExactClient(buyer, InstantSource.system(), random).sign(2, requirements));
  }

  private PaymentPayload payment(tools.jackson.databind.JsonNode payload) throws Exception {
    return PaymentPayload.fromJson(PaymentPayload.v2(payload, Json.array(), requirements.toJson()));
  }

  private PaymentPayload signed(Authorization authorization, EvmKey key) throws Exception {
    byte[] digest =
        Eip712.digest(ExactTypes.domainSeparator(requirements), authorization.structHash());
    return payment(new Payload(authorization, key.sign(digest)).toJson());
  }

  private Authorization authorization(
      long value, EvmAddress to, long afterSeconds, long beforeSeconds) {
    long now = InstantSource.system().instant().getEpochSecond();
    byte[] nonce = new byte[32];
    random.nextBytes(nonce);
    return new Authorization(
        buyer.address(),
        to,
        BigInteger.valueOf(value),
        BigInteger.valueOf(now + afterSeconds),
        BigInteger.valueOf(now + beforeSeconds),
        nonce);
  }

  private String refusal(PaymentPayload payment) throws Exception {
    return switch (facilitator.verify(payment, requirements)) {
      case Verdict.Valid v -> "valid";
      case Verdict.Invalid i -> i.why().code();
    };
  }

  @Test
  void aPaymentMovesExactlyItsAmountOnce() throws Exception {
    PaymentPayload payment = pay();
    BigInteger before = chain.usdc(PAYEE);
    assertThat(refusal(payment)).isEqualTo("valid");
    List<SignedTransaction> noted = new ArrayList<>();
    Settlement settlement = facilitator.settle(payment, requirements, noted::add);
    assertThat(settlement)
        .isInstanceOfSatisfying(
            Settlement.Settled.class,
            s -> {
              assertThat(s.transaction()).isEqualTo(noted.getFirst().hash());
              assertThat(s.amount()).isEqualTo(PRICE);
              assertThat(s.feeWei()).isPositive();
            });
    assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
    assertThat(refusal(payment)).isEqualTo("invalid_exact_evm_nonce_already_used");
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isInstanceOf(Settlement.Failed.class);
    assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
  }

  @ParameterizedTest
  @CsvSource({
    "10001, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -10, 60, invalid_exact_evm_authorization_value",
    "9999, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -10, 60, invalid_exact_evm_authorization_value",
    "10000, 0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65, -10, 60, invalid_exact_evm_recipient_mismatch",
    "10000, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, 30, 60, invalid_exact_evm_payload_authorization_valid_after",
    "10000, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -60, -1, invalid_exact_evm_payload_authorization_valid_before",
    "10000, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -60, 3, invalid_exact_evm_payload_authorization_valid_before",
    "10000, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -60, 60, valid",
  })
  void eachFieldWrongInTurnHasItsCode(long value, String to, long after, long before, String code)
      throws Exception {
    assertThat(refusal(signed(authorization(value, EvmAddress.of(to), after, before), buyer)))
        .isEqualTo(code);
  }

  @Test
  void aSignatureOfAnotherKeyIsRefused() throws Exception {
    assertThat(refusal(signed(authorization(10_000, PAYEE, -1, 60), EvmKey.random(random))))
        .isEqualTo("invalid_exact_evm_signature");
  }

  @Test
  void theMalleableTwinOfASignatureIsRefused() throws Exception {
    Authorization a = authorization(10_000, PAYEE, -1, 60);
    byte[] low =
        buyer.sign(Eip712.digest(ExactTypes.domainSeparator(requirements), a.structHash()));
    byte[] s = Abi.word(ORDER.subtract(new BigInteger(1, Arrays.copyOfRange(low, 32, 64))));
    byte[] high =
        Abi.concat(Arrays.copyOf(low, 32), s, new byte[] {(byte) (low[64] == 27 ? 28 : 27)});
    assertThat(refusal(payment(new Payload(a, high).toJson())))
        .isEqualTo("invalid_exact_evm_signature");
    assertThat(refusal(payment(new Payload(a, Arrays.copyOf(low, 64)).toJson())))
        .isEqualTo("invalid_exact_evm_signature");
    assertThat(refusal(payment(new Payload(a, low).toJson()))).isEqualTo("valid");
  }

  @Test
  void aSignatureForAWalletThatIsNotDeployedIsRefused() throws Exception {
    byte[] tail = Hex.decode("0x" + "6492".repeat(16));
    assertThat(
            refusal(
                payment(
                    new Payload(
                            authorization(10_000, PAYEE, -1, 60), Abi.concat(new byte[96], tail))
                        .toJson())))
        .isEqualTo("eip6492_factory_not_allowed");
  }

  /** Wallets that are contracts, by what they answer to isValidSignature (EIP-1271). */
  @ParameterizedTest
  @CsvSource({
    "the magic value, 7f1626ba7e" + ZEROS_28 + "60005260206000f3, valid",
    "zero, 60206000f3, invalid_exact_evm_signature",
    "the magic value at the wrong end, 631626ba7e60005260206000f3, invalid_exact_evm_signature",
    "the magic value and a word more, 7f1626ba7e"
        + ZEROS_28
        + "60005260406000f3, invalid_exact_evm_signature",
    "the magic value cut short, 7f1626ba7e"
        + ZEROS_28
        + "60005260046000f3, invalid_exact_evm_signature",
    "nothing, 00, invalid_exact_evm_signature",
    "a revert, 60006000fd, invalid_exact_evm_signature",
    "never, 5b600056, invalid_exact_evm_signature",
  })
  void aContractsWordCountsAndItsOwnersKeyDoesNot(String answer, String code, String outcome)
      throws Exception {
    PaymentPayload payment = pay();
    assertThat(refusal(payment)).as("as long as there is no code").isEqualTo("valid");
    chain.raw().ask("anvil_setCode", buyer.address().lower(), "0x" + code);
    assertThat(refusal(payment)).as(answer).isEqualTo(outcome);
    BigInteger before = chain.usdc(PAYEE);
    if (outcome.equals("valid")) {
      assertThat(facilitator.settle(payment, requirements, t -> {}))
          .isInstanceOf(Settlement.Settled.class);
      assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
    }
  }

  @Test
  void aWalletOfTwoKeysPaysWithBothAndWithNothingLess() throws Exception {
    EvmKey second = EvmKey.random(random);
    EvmAddress wallet = EvmKey.random(random).address();
    chain.placeWallet(wallet, buyer.address(), second.address());
    chain.mint(wallet, BigInteger.valueOf(1_000_000));
    Authorization plain = authorization(10_000, PAYEE, -1, 60);
    Authorization a =
        new Authorization(
            wallet, PAYEE, PRICE, plain.validAfter(), plain.validBefore(), plain.nonce());
    byte[] digest = Eip712.digest(ExactTypes.domainSeparator(requirements), a.structHash());
    byte[] one = buyer.sign(digest);
    byte[] two = second.sign(digest);
    for (byte[] wrong :
        List.of(
            one,
            two,
            Abi.concat(one, one),
            Abi.concat(two, one),
            Abi.concat(one, two, new byte[1]),
            new byte[0])) {
      assertThat(refusal(payment(new Payload(a, wrong).toJson())))
          .isEqualTo("invalid_exact_evm_signature");
    }
    PaymentPayload payment = payment(new Payload(a, Abi.concat(one, two)).toJson());
    assertThat(refusal(payment)).isEqualTo("valid");
    BigInteger before = chain.usdc(PAYEE);
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isInstanceOfSatisfying(
            Settlement.Settled.class, s -> assertThat(s.payer()).isEqualTo(wallet.toString()));
    assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isNotInstanceOf(Settlement.Unknown.class);
    assertThat(chain.usdc(PAYEE).subtract(before)).as("once").isEqualTo(PRICE);
  }

  @Test
  void aPayerWhoEmptiesItsWalletAfterVerifyingPaysNothing() throws Exception {
    PaymentPayload payment = pay();
    assertThat(refusal(payment)).isEqualTo("valid");
    chain.as(
        buyer.address(),
        LocalChain.USDC,
        Abi.call(
            "transfer(address,uint256)",
            Abi.word(EvmKey.random(random).address()),
            Abi.word(BigInteger.valueOf(1_000_000))));
    BigInteger before = chain.usdc(PAYEE);
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isInstanceOf(Settlement.Failed.class);
    assertThat(chain.usdc(PAYEE)).isEqualTo(before);
  }

  @Test
  void aWalletWithoutFundsIsRefused() throws Exception {
    buyer = EvmKey.random(random);
    assertThat(refusal(pay())).isEqualTo("invalid_exact_evm_insufficient_balance");
  }

  @Test
  void aTokenThatIsNoContractAndANameThatIsNotItsOwnAreRefused() throws Exception {
    requirements =
        new ExactServer(
                new EvmToken(LocalChain.NETWORK, EvmKey.random(random).address(), 6, "USDC", "2"),
                PAYEE,
                60)
            .requirements(PRICE);
    assertThat(refusal(pay())).isEqualTo("asset_not_deployed_contract");
    requirements =
        new ExactServer(
                new EvmToken(LocalChain.NETWORK, LocalChain.USDC, 6, "USD Coin", "2"), PAYEE, 60)
            .requirements(PRICE);
    assertThat(refusal(pay())).isEqualTo("invalid_exact_evm_token_name_mismatch");
  }

  @Test
  void fiftyPaymentsAtOnceAllSettleThroughOneKey() throws Exception {
    BigInteger before = chain.usdc(PAYEE);
    List<PaymentPayload> payments = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      payments.add(pay());
    }
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      var results =
          threads.invokeAll(
              payments.stream()
                  .<java.util.concurrent.Callable<Settlement>>map(
                      p -> () -> facilitator.settle(p, requirements, t -> {}))
                  .toList());
      for (var result : results) {
        assertThat(result.get()).isInstanceOf(Settlement.Settled.class);
      }
    }
    assertThat(chain.usdc(PAYEE).subtract(before))
        .isEqualTo(PRICE.multiply(BigInteger.valueOf(50)));
  }

  @Test
  void aDroppedTransactionIsUnknownAndIsSentAgain() throws Exception {
    AtomicBoolean drop = new AtomicBoolean(true);
    proxy.behave(
        (method, forward) ->
            method.equals("eth_sendRawTransaction") && drop.get()
                ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x" + "00".repeat(32) + "\"}"
                : forward.answer());
    PaymentPayload payment = pay();
    AtomicReference<SignedTransaction> sent = new AtomicReference<>();
    assertThat(facilitator.settle(payment, requirements, sent::set))
        .isInstanceOf(Settlement.Unknown.class);
    drop.set(false);
    assertThat(facilitator.reconcile(payment, requirements, sent.get()))
        .isInstanceOf(Settlement.Unknown.class);
    assertThat(facilitator.reconcile(payment, requirements, sent.get()))
        .isInstanceOf(Settlement.Settled.class);
  }

  @Test
  void aLostAnswerToSendingIsUnknownAndThenFoundSettled() throws Exception {
    AtomicBoolean lose = new AtomicBoolean(true);
    proxy.behave(
        (method, forward) -> {
          String answer = forward.answer();
          if (method.equals("eth_sendRawTransaction") && lose.getAndSet(false)) {
            throw new IOException("lost");
          }
          return answer;
        });
    PaymentPayload payment = pay();
    AtomicReference<SignedTransaction> sent = new AtomicReference<>();
    Settlement first = facilitator.settle(payment, requirements, sent::set);
    assertThat(first).isInstanceOf(Settlement.Unknown.class);
    assertThat(facilitator.reconcile(payment, requirements, sent.get()))
        .isInstanceOf(Settlement.Settled.class);
  }

  @Test
  void aChainThatIsDownBeforeSendingHasFailedAndAfterIsUnknown() throws Exception {
    PaymentPayload payment = pay();
    proxy.behave(
        (method, forward) -> {
          throw new IOException("down");
        });
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isInstanceOf(Settlement.Failed.class);
    proxy.behave(
        (method, forward) -> {
          if (method.equals("eth_getTransactionReceipt")) {
            throw new IOException("down");
          }
          return forward.answer();
        });
    AtomicReference<SignedTransaction> sent = new AtomicReference<>();
    assertThat(facilitator.settle(payment, requirements, sent::set))
        .isInstanceOf(Settlement.Unknown.class);
    proxy.behaveWell();
    assertThat(facilitator.reconcile(payment, requirements, sent.get()))
        .isInstanceOf(Settlement.Settled.class);
  }

  @Test
  void somebodyElseBringingTheSameAuthorisationSettlesItAllTheSame() throws Exception {
    EvmKey otherKey = EvmKey.random(random);
    chain.giveGas(otherKey.address());
    ExactFacilitator other = facilitator(chain.rpc(), otherKey, FEE_CAP);
    PaymentPayload payment = pay();
    proxy.behave(
        (method, forward) -> {
          if (method.equals("eth_sendRawTransaction")) {
            assertThat(other.settle(payment, requirements, t -> {}))
                .isInstanceOf(Settlement.Settled.class);
          }
          return forward.answer();
        });
    BigInteger before = chain.usdc(PAYEE);
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
  }

  @Test
  void gasAboveTheCapIsNotPaid() throws Exception {
    ExactFacilitator f = facilitator(chain.rpc(), gasKey, BigInteger.ONE);
    assertThat(f.settle(pay(), requirements, t -> {}))
        .isInstanceOfSatisfying(
            Settlement.Failed.class,
            failed -> assertThat(failed.why().message()).contains("gas is too expensive"));
  }

  @Test
  void aGapInTheNoncesIsClosedOnceALostPaymentHasExpired() throws Exception {
    AtomicBoolean dropFirst = new AtomicBoolean(true);
    proxy.behave(
        (method, forward) ->
            method.equals("eth_sendRawTransaction") && dropFirst.get()
                ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x" + "00".repeat(32) + "\"}"
                : forward.answer());
    PaymentPayload lost = signed(authorization(10_000, PAYEE, -1, 8), buyer);
    AtomicReference<SignedTransaction> lostSent = new AtomicReference<>();
    assertThat(facilitator.settle(lost, requirements, lostSent::set))
        .isInstanceOf(Settlement.Unknown.class);
    AtomicReference<SignedTransaction> stuckSent = new AtomicReference<>();
    dropFirst.set(false);
    PaymentPayload stuck = pay();
    assertThat(facilitator.settle(stuck, requirements, stuckSent::set))
        .isInstanceOf(Settlement.Unknown.class);
    chain.raw().ask("evm_increaseTime", Json.trusted("20"));
    chain.raw().ask("evm_mine");
    assertThat(facilitator.reconcile(lost, requirements, lostSent.get()))
        .isInstanceOf(Settlement.Failed.class);
    assertThat(facilitator.reconcile(stuck, requirements, stuckSent.get()))
        .isInstanceOf(Settlement.Settled.class);
  }
}
