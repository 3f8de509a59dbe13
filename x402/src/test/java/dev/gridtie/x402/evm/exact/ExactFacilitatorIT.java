package dev.gridtie.x402.evm.exact;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.testkit.FaultyProxy;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.GasGuard;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.exact.ExactTypes.Authorization;
import dev.gridtie.x402.evm.exact.ExactTypes.Payload;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.facilitator.FileGasMemory;
import dev.gridtie.x402.facilitator.GasMemory;
import dev.gridtie.x402.facilitator.GasWatcher;
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
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
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

  /** A facilitator that is told what failed, and that remembers whom it has barred. */
  private ExactFacilitator remembering(
      EvmKey gas, GasMemory memory, Map<String, BigInteger> failed, InstantSource clock) {
    JsonRpcChain rpc = new JsonRpcChain(chain.url(), Duration.ofMillis(1500));
    SenderPool senders =
        SenderPool.of(rpc, LocalChain.CHAIN_ID, List.of(gas), FEE_CAP, InstantSource.system());
    GasGuard guard = new GasGuard(GasGuard.Terms.open(LocalChain.NETWORK), memory, clock);
    return new ExactFacilitator(
        rpc, new Settler(rpc, senders, Duration.ofSeconds(5), failed::put, guard, clock), clock);
  }

  /** Settles a payment, and empties its wallet by a transaction that is mined before it. */
  private Settlement settleAndEmpty(ExactFacilitator one, PaymentPayload payment) throws Exception {
    Object unused = chain.raw().ask("evm_setAutomine", false);
    try (var thread = Executors.newSingleThreadExecutor()) {
      BigInteger waiting = chain.rpc().pendingNonce(gasKey.address()).add(BigInteger.ONE);
      Future<Settlement> running = thread.submit(() -> one.settle(payment, requirements, t -> {}));
      while (chain.rpc().pendingNonce(gasKey.address()).compareTo(waiting) < 0
          && !running.isDone()) {
        Thread.sleep(10);
      }
      unused =
          chain
              .raw()
              .ask(
                  "anvil_setStorageAt",
                  LocalChain.USDC.lower(),
                  Hex.encode(
                      Hashes.keccak256(
                          Abi.word(buyer.address()), Abi.word(BigInteger.ONE))), // balanceOf
                  "0x" + "00".repeat(32));
      unused = chain.raw().ask("evm_mine");
      return running.get();
    } finally {
      unused = chain.raw().ask("evm_setAutomine", true);
    }
  }

  @Test
  void whoHasCostUsATransactionIsToldAndBarredForLongerEachTimeAcrossRestarts() throws Exception {
    Map<String, BigInteger> failed = new ConcurrentHashMap<>();
    AtomicReference<Instant> now = new AtomicReference<>(Instant.now());
    Path file = directory.resolve("gas-" + buyer.address() + ".json");
    BigInteger before = chain.rpc().balance(gasKey.address());
    ExactFacilitator one = remembering(gasKey, new FileGasMemory(file), failed, now::get);
    facilitator = one;
    assertThat(refusal(pay())).isEqualTo("valid");
    assertThat(settleAndEmpty(one, pay())).isInstanceOf(Settlement.Failed.class);
    assertThat(failed).hasSize(1);
    assertThat(before.subtract(chain.rpc().balance(gasKey.address())))
        .isEqualTo(failed.values().iterator().next());
    chain.mint(buyer.address(), BigInteger.valueOf(1_000_000));
    assertThat(refusal(pay())).isEqualTo("payer_barred");
    facilitator = remembering(gasKey, new FileGasMemory(file), failed, now::get);
    assertThat(refusal(pay())).as("after a restart").isEqualTo("payer_barred");
    now.set(now.get().plus(Duration.ofMinutes(11)));
    PaymentPayload later = payment(new ExactClient(buyer, now::get, random).sign(2, requirements));
    assertThat(refusal(later)).isEqualTo("valid");
    assertThat(settleAndEmpty(facilitator, pay())).isInstanceOf(Settlement.Failed.class);
    chain.mint(buyer.address(), BigInteger.valueOf(1_000_000));
    now.set(now.get().plus(Duration.ofMinutes(11)));
    later = payment(new ExactClient(buyer, now::get, random).sign(2, requirements));
    assertThat(refusal(later)).as("the second time is longer").isEqualTo("payer_barred");
  }

  /** Code that answers EIP-1271 with yes where gas is free, and reverts where it is not. */
  private static final String YES_IF_GAS_IS_FREE =
      "0x3a15600957600080fd5b7f1626ba7e" + ZEROS_28 + "60005260206000f3";

  @Test
  void aWalletThatIsValidOnlyWhereGasIsFreeCostsNothing() throws Exception {
    chain.raw().ask("anvil_setCode", buyer.address().lower(), YES_IF_GAS_IS_FREE);
    PaymentPayload payment = pay();
    BigInteger before = chain.rpc().balance(gasKey.address());
    assertThat(refusal(payment)).isEqualTo("invalid_exact_evm_signature");
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isInstanceOf(Settlement.Failed.class);
    assertThat(chain.rpc().balance(gasKey.address())).isEqualTo(before);
  }

  @Test
  void twentyPaymentsAtOnceFromAWalletThatHoldsOneSettleOneAndCostNothingElse() throws Exception {
    buyer = EvmKey.random(random);
    chain.mint(buyer.address(), PRICE);
    List<EvmKey> keys = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      keys.add(EvmKey.random(random));
      chain.giveGas(keys.get(i).address());
    }
    Map<String, BigInteger> failed = new ConcurrentHashMap<>();
    JsonRpcChain rpc = new JsonRpcChain(proxy.url(), Duration.ofSeconds(5));
    SenderPool senders =
        SenderPool.of(rpc, LocalChain.CHAIN_ID, keys, FEE_CAP, InstantSource.system());
    ExactFacilitator one =
        new ExactFacilitator(
            rpc,
            new Settler(rpc, senders, Duration.ofSeconds(5), failed::put),
            InstantSource.system());
    List<Callable<Settlement>> all = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      PaymentPayload payment = pay();
      all.add(() -> one.settle(payment, requirements, t -> {}));
    }
    BigInteger before = chain.usdc(PAYEE);
    List<Settlement> ended = new ArrayList<>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (Future<Settlement> each : threads.invokeAll(all)) {
        ended.add(each.get());
      }
    }
    assertThat(ended).filteredOn(Settlement.Settled.class::isInstance).hasSize(1);
    assertThat(ended).filteredOn(Settlement.Failed.class::isInstance).hasSize(19);
    assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
    assertThat(failed).isEmpty();
  }

  /** Brings calls of the coin to the chain in somebody's transaction. */
  private void byAnother(byte[]... calls) throws Exception {
    EvmAddress another = EvmKey.random(random).address();
    if (calls.length == 1) {
      chain.as(another, LocalChain.USDC, calls[0]);
      return;
    }
    // Multicall3: aggregate3((address,bool,bytes)[])
    byte[][] encoded = new byte[calls.length][];
    byte[] heads = new byte[0];
    int offset = calls.length * 32;
    for (int i = 0; i < calls.length; i++) {
      encoded[i] =
          Abi.concat(
              Abi.word(LocalChain.USDC), Abi.word(BigInteger.ZERO), Abi.trailingBytes(2, calls[i]));
      heads = Abi.concat(heads, Abi.word(BigInteger.valueOf(offset)));
      offset += encoded[i].length;
    }
    chain.as(
        another,
        EvmAddress.of("0xcA11bde05977b3631167028862bE2a173976CA11"),
        Abi.concat(
            Abi.selector("aggregate3((address,bool,bytes)[])"),
            Abi.word(BigInteger.valueOf(32)),
            Abi.word(BigInteger.valueOf(calls.length)),
            heads,
            Abi.concat(encoded)));
  }

  private byte[] transfer(Authorization a) throws Exception {
    byte[] signature =
        buyer.sign(Eip712.digest(ExactTypes.domainSeparator(requirements), a.structHash()));
    return Abi.concat(
        Abi.selector(
            "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"),
        a.words(),
        Abi.word(BigInteger.valueOf(signature[64])),
        Arrays.copyOf(signature, 64));
  }

  @Test
  void whatAnotherHasBroughtToTheChainBeforeIsSettledByThat() throws Exception {
    Authorization a = authorization(10_000, PAYEE, -60, 60);
    PaymentPayload payment = signed(a, buyer);
    BigInteger before = chain.usdc(PAYEE);
    byAnother(transfer(a));
    assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
    assertThat(facilitator.verify(payment, requirements))
        .isInstanceOfSatisfying(Verdict.Invalid.class, i -> assertThat(i.used()).isTrue());
    List<SignedTransaction> noted = new ArrayList<>();
    assertThat(facilitator.settle(payment, requirements, noted::add))
        .isInstanceOfSatisfying(
            Settlement.Settled.class,
            s -> {
              assertThat(s.amount()).isEqualTo(PRICE);
              assertThat(s.feeWei()).as("it cost us nothing").isZero();
            });
    assertThat(noted).isEmpty();
    assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
  }

  @Test
  void oneTransferCountsForTheRightThatMovedItAndForNoOtherInItsTransaction() throws Exception {
    EvmAddress self = EvmKey.random(random).address();
    Authorization good = authorization(10_000, PAYEE, -60, 60);
    Authorization elsewhere = authorization(10_000, self, -60, 60);
    Authorization twin =
        new Authorization(
            buyer.address(),
            PAYEE,
            PRICE,
            elsewhere.validAfter(),
            elsewhere.validBefore(),
            elsewhere.nonce());
    byAnother(transfer(elsewhere), transfer(good));
    assertThat(facilitator.settle(signed(good, buyer), requirements, t -> {}))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(facilitator.settle(signed(twin, buyer), requirements, t -> {}))
        .as("its nonce was used to pay somebody else")
        .isInstanceOf(Settlement.Failed.class);
  }

  @Test
  void aRightThatIsUsedUpAndWhoseTransferCannotBeFoundIsUnknownAndNeverGuessed() throws Exception {
    Authorization a = authorization(10_000, PAYEE, -60, 60);
    byAnother(transfer(a));
    PaymentPayload payment = signed(a, buyer);
    proxy.behave(
        (method, forward) ->
            method.equals("eth_getLogs")
                ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}"
                : forward.answer());
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isInstanceOf(Settlement.Unknown.class);
    // A server that looks through few blocks at once.
    AtomicInteger asked = new AtomicInteger();
    proxy.behave(
        (method, forward) -> {
          boolean first = method.equals("eth_getLogs") && asked.incrementAndGet() <= 1;
          return first
              ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}"
              : method.equals("eth_getLogs") && asked.get() == 2
                  ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-3,\"message\":\"no\"}}"
                  : forward.answer();
        });
    assertThat(facilitator.settle(payment, requirements, t -> {}))
        .isInstanceOf(Settlement.Settled.class);
  }

  @Test
  void anAmountOfNothingIsRefused() throws Exception {
    requirements = requirements.withAmount(BigInteger.ZERO);
    assertThat(refusal(signed(authorization(0, PAYEE, -60, 60), buyer)))
        .isEqualTo("invalid_payment_requirements");
  }

  @Test
  void whatIsNotWorthATransactionOfItsOwnIsRefused() throws Exception {
    GasGuard guard =
        new GasGuard(
            new GasGuard.Terms(
                LocalChain.NETWORK,
                PicoUsd.ofDollars("0.01"),
                Map.of(LocalChain.USDC, 6),
                Optional.empty()),
            GasMemory.forThisRun(),
            InstantSource.system());
    SenderPool senders =
        SenderPool.of(
            chain.rpc(), LocalChain.CHAIN_ID, List.of(gasKey), FEE_CAP, InstantSource.system());
    facilitator =
        new ExactFacilitator(
            chain.rpc(),
            new Settler(
                chain.rpc(),
                senders,
                Duration.ofSeconds(2),
                GasWatcher.NOBODY,
                guard,
                InstantSource.system()),
            InstantSource.system());
    assertThat(refusal(pay())).isEqualTo("valid");
    requirements = requirements.withAmount(BigInteger.valueOf(9_999));
    assertThat(refusal(pay())).isEqualTo("amount_below_minimum");
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
    assertThat(facilitator.settle(payment, requirements, noted::add))
        .as("it has moved, by the same transaction")
        .isInstanceOfSatisfying(
            Settlement.Settled.class,
            s -> assertThat(s.transaction()).isEqualTo(noted.getFirst().hash()));
    assertThat(noted).hasSize(1);
    assertThat(chain.usdc(PAYEE).subtract(before)).isEqualTo(PRICE);
  }

  @ParameterizedTest
  @CsvSource({
    "10001, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -10, 60,"
        + " invalid_exact_evm_authorization_value",
    "9999, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -10, 60,"
        + " invalid_exact_evm_authorization_value",
    "10000, 0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65, -10, 60,"
        + " invalid_exact_evm_recipient_mismatch",
    "10000, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, 30, 60,"
        + " invalid_exact_evm_payload_authorization_valid_after",
    "10000, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -60, -1,"
        + " invalid_exact_evm_payload_authorization_valid_before",
    "10000, 0x90F79bf6EB2c4f870365E785982E1f101E93b906, -60, 3,"
        + " invalid_exact_evm_payload_authorization_valid_before",
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
