package dev.gridtie.x402.evm.permit2;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.testkit.FaultyProxy;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.GasGuard;
import dev.gridtie.x402.evm.GasGuard.Sponsoring;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.evm.permit2.Permit2Types.Authorization;
import dev.gridtie.x402.evm.permit2.Permit2Types.Payload;
import dev.gridtie.x402.evm.permit2.Permit2Types.Witness;
import dev.gridtie.x402.evm.upto.UptoClient;
import dev.gridtie.x402.evm.upto.UptoFacilitator;
import dev.gridtie.x402.evm.upto.UptoServer;
import dev.gridtie.x402.facilitator.FileGasMemory;
import dev.gridtie.x402.facilitator.GasMemory;
import dev.gridtie.x402.facilitator.GasWatcher;
import dev.gridtie.x402.facilitator.PaymentScheme;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.web3j.crypto.Credentials;
import org.web3j.crypto.RawTransaction;
import org.web3j.crypto.TransactionEncoder;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Schemes exact and upto by Permit2 against a real EVM chain. */
class Permit2FacilitatorIT {
  private static final BigInteger FEE_CAP = BigInteger.valueOf(500_000_000_000L);
  private static final BigInteger PRICE = BigInteger.valueOf(10_000);
  private static final EvmAddress PAYEE =
      EvmAddress.of("0x90F79bf6EB2c4f870365E785982E1f101E93b906");
  private static final EvmAddress OTHER =
      EvmAddress.of("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65");

  @TempDir static Path directory;
  private static LocalChain chain;
  private static FaultyProxy proxy;

  private final SecureRandom random = new SecureRandom();
  private final AtomicReference<Duration> later = new AtomicReference<>(Duration.ZERO);
  private final InstantSource clock = () -> Instant.now().plus(later.get());
  private EvmKey buyer;
  private EvmKey gasKey;
  private SenderPool senders;
  private Permit2Facilitator exact;
  private UptoFacilitator upto;
  private PaymentRequirements exactAsked;
  private PaymentRequirements uptoAsked;

  @BeforeAll
  static void startChain() throws Exception {
    Path root = Path.of(System.getProperty("gridtie.root"));
    try (ServerSocket socket = new ServerSocket(0)) {
      int port = socket.getLocalPort();
      socket.close();
      chain =
          LocalChain.start(
              LocalChain.program(root.resolve("native/node_modules")), directory, port);
    }
    proxy = new FaultyProxy(chain.url());
  }

  @AfterAll
  static void stopChain() {
    proxy.close();
    chain.close();
  }

  @BeforeEach
  void freshKeys() throws Exception {
    proxy.behaveWell();
    gasKey = EvmKey.random(random);
    EvmKey second = EvmKey.random(random);
    buyer = EvmKey.random(random);
    chain.giveGas(gasKey.address());
    chain.giveGas(second.address());
    chain.mint(buyer.address(), BigInteger.valueOf(1_000_000));
    chain.allowPermit2(LocalChain.USDC_TOKEN, buyer.address());
    JsonRpcChain rpc = new JsonRpcChain(proxy.url(), Duration.ofMillis(1500));
    senders = SenderPool.of(rpc, LocalChain.CHAIN_ID, List.of(gasKey, second), FEE_CAP, clock);
    facilitators(Optional.empty(), GasMemory.forThisRun());
    exactAsked = new Permit2Server(LocalChain.USDC_TOKEN, PAYEE, 60).requirements(PRICE);
    uptoAsked =
        new UptoServer(LocalChain.USDC_TOKEN, PAYEE, senders.first(), 60).requirements(PRICE);
  }

  /** Facilitators that give gas for approvals, or do not. */
  private void facilitators(Optional<Sponsoring> sponsoring, GasMemory memory) {
    JsonRpcChain rpc = new JsonRpcChain(proxy.url(), Duration.ofMillis(1500));
    GasGuard guard =
        new GasGuard(
            new GasGuard.Terms(
                LocalChain.NETWORK,
                PicoUsd.ZERO,
                Map.of(LocalChain.USDC, LocalChain.USDC_DECIMALS),
                sponsoring),
            memory,
            InstantSource.system());
    Settler settler =
        new Settler(
            rpc, senders, Duration.ofSeconds(2), GasWatcher.NOBODY, guard, InstantSource.system());
    exact = new Permit2Facilitator(rpc, settler, InstantSource.system());
    upto = new UptoFacilitator(rpc, settler, InstantSource.system());
  }

  /** What the local chain's coin is worth here, so that an approval is not dearer than PRICE. */
  private static final Sponsoring GENEROUS =
      new Sponsoring(PicoUsd.ofDollars("10"), 50, PicoUsd.ofDollars("1"), PicoUsd.ofDollars("5"));

  private static PaymentPayload payment(PaymentRequirements asked, JsonNode payload)
      throws Exception {
    return PaymentPayload.fromJson(PaymentPayload.v2(payload, Json.array(), asked.toJson()));
  }

  private PaymentPayload payExact() throws Exception {
    return payment(
        exactAsked, new Permit2Client(buyer, InstantSource.system(), random).sign(2, exactAsked));
  }

  private PaymentPayload payUpto() throws Exception {
    return payment(
        uptoAsked, new UptoClient(buyer, InstantSource.system(), random).sign(2, uptoAsked));
  }

  private static PaymentRequirements used(PaymentRequirements asked, long amount) {
    return new PaymentRequirements(
        asked.scheme(),
        asked.network(),
        BigInteger.valueOf(amount),
        asked.asset(),
        asked.payTo(),
        asked.maxTimeoutSeconds(),
        asked.extra());
  }

  private static String refusal(
      PaymentScheme scheme, PaymentPayload payment, PaymentRequirements asked) throws Exception {
    return switch (scheme.verify(payment, asked)) {
      case Verdict.Valid v -> "valid";
      case Verdict.Invalid i -> i.why().code();
    };
  }

  private BigInteger earned(Step step) throws Exception {
    BigInteger before = chain.usdc(PAYEE);
    step.run();
    return chain.usdc(PAYEE).subtract(before);
  }

  private interface Step {
    void run() throws Exception;
  }

  @Test
  void anExactPermitMovesItsAmountOnce() throws Exception {
    PaymentPayload payment = payExact();
    assertThat(refusal(exact, payment, exactAsked)).isEqualTo("valid");
    assertThat(
            earned(
                () -> {
                  assertThat(exact.settle(payment, exactAsked, t -> {}))
                      .isInstanceOf(Settlement.Settled.class);
                  assertThat(exact.settle(payment, exactAsked, t -> {}))
                      .as("it has moved")
                      .isInstanceOf(Settlement.Settled.class);
                }))
        .isEqualTo(PRICE);
    assertThat(refusal(exact, payment, exactAsked)).isEqualTo("permit2_invalid_nonce");
  }

  @Test
  void aCeilingMovesWhatWasUsedOnce() throws Exception {
    PaymentPayload payment = payUpto();
    assertThat(refusal(upto, payment, uptoAsked)).isEqualTo("valid");
    assertThat(
            earned(
                () ->
                    assertThat(upto.settle(payment, used(uptoAsked, 1_858), t -> {}))
                        .isInstanceOfSatisfying(
                            Settlement.Settled.class,
                            s -> assertThat(s.amount()).isEqualTo(BigInteger.valueOf(1_858)))))
        .isEqualTo(BigInteger.valueOf(1_858));
    assertThat(upto.settle(payment, used(uptoAsked, 1), t -> {}))
        .isInstanceOf(Settlement.Failed.class);
  }

  @Test
  void nothingUsedIsNoTransactionAndMoreThanTheCeilingIsRefused() throws Exception {
    PaymentPayload payment = payUpto();
    assertThat(
            earned(
                () -> {
                  assertThat(upto.settle(payment, used(uptoAsked, 0), t -> {}))
                      .isInstanceOfSatisfying(
                          Settlement.Settled.class, s -> assertThat(s.transaction()).isEmpty());
                  assertThat(upto.settle(payment, used(uptoAsked, 10_001), t -> {}))
                      .isInstanceOfSatisfying(
                          Settlement.Failed.class,
                          f ->
                              assertThat(f.why().code())
                                  .isEqualTo("invalid_upto_evm_payload_settlement_exceeds_amount"));
                }))
        .isZero();
  }

  private PaymentPayload signed(PaymentRequirements asked, Authorization a, EvmKey key)
      throws Exception {
    return payment(asked, new Payload(a, key.sign(a.digest(LocalChain.CHAIN_ID))).toJson());
  }

  private Authorization authorization(
      boolean metered,
      EvmAddress token,
      long amount,
      EvmAddress spender,
      EvmAddress to,
      long after,
      long until,
      EvmAddress facilitator) {
    long now = Instant.now().getEpochSecond();
    return new Authorization(
        buyer.address(),
        token,
        BigInteger.valueOf(amount),
        spender,
        new BigInteger(256, random),
        BigInteger.valueOf(now + until),
        new Witness(
            to,
            metered ? Optional.of(facilitator) : Optional.empty(),
            BigInteger.valueOf(after == 0 ? 0 : now + after)));
  }

  @ParameterizedTest
  @CsvSource({
    "amount above, 10001, usdc, own, payee, 0, 60, own, permit2_amount_mismatch",
    "amount below, 9999, usdc, own, payee, 0, 60, own, permit2_amount_mismatch",
    "another token, 10000, pegged, own, payee, 0, 60, own, permit2_token_mismatch",
    "another spender, 10000, usdc, other, payee, 0, 60, own, invalid_permit2_spender",
    "the other scheme's proxy, 10000, usdc, crossed, payee, 0, 60, own, invalid_permit2_spender",
    "another payee, 10000, usdc, own, other, 0, 60, own, invalid_permit2_recipient_mismatch",
    "not yet valid, 10000, usdc, own, payee, 30, 60, own, permit2_not_yet_valid",
    "expired, 10000, usdc, own, payee, 0, -1, own, permit2_deadline_expired",
    "about to expire, 10000, usdc, own, payee, 0, 3, own, permit2_deadline_expired",
    "good, 10000, usdc, own, payee, 0, 60, own, valid",
  })
  void eachFieldWrongInTurnHasItsCode(
      String what,
      long amount,
      String token,
      String spender,
      String to,
      long after,
      long until,
      String facilitator,
      String code)
      throws Exception {
    for (boolean metered : new boolean[] {false, true}) {
      EvmAddress own = metered ? Permit2Types.UPTO_PROXY : Permit2Types.EXACT_PROXY;
      EvmAddress crossed = metered ? Permit2Types.EXACT_PROXY : Permit2Types.UPTO_PROXY;
      Authorization a =
          authorization(
              metered,
              token.equals("usdc") ? LocalChain.USDC : LocalChain.PEGGED.address(),
              amount,
              spender.equals("own") ? own : spender.equals("crossed") ? crossed : OTHER,
              to.equals("payee") ? PAYEE : OTHER,
              after,
              until,
              senders.first());
      PaymentRequirements asked = metered ? uptoAsked : exactAsked;
      assertThat(refusal(metered ? upto : exact, signed(asked, a, buyer), asked))
          .as(what + " " + metered)
          .isEqualTo(code);
    }
  }

  @Test
  void whoDidNotSignAndWhatWasChangedAreRefused() throws Exception {
    Authorization a =
        authorization(
            false, LocalChain.USDC, 10_000, Permit2Types.EXACT_PROXY, PAYEE, 0, 60, OTHER);
    assertThat(refusal(exact, signed(exactAsked, a, EvmKey.random(random)), exactAsked))
        .isEqualTo("invalid_permit2_signature");
    PaymentPayload good = signed(exactAsked, a, buyer);
    ObjectNode changed = (ObjectNode) good.payload().deepCopy();
    ((ObjectNode) changed.path("permit2Authorization")).put("nonce", "7");
    assertThat(refusal(exact, payment(exactAsked, changed), exactAsked))
        .isEqualTo("invalid_permit2_signature");
    ObjectNode cut = (ObjectNode) good.payload().deepCopy();
    cut.put("signature", cut.path("signature").asString().substring(0, 130));
    assertThat(refusal(exact, payment(exactAsked, cut), exactAsked))
        .isEqualTo("invalid_permit2_signature");
    ObjectNode without = (ObjectNode) good.payload().deepCopy();
    ((ObjectNode) without.path("permit2Authorization")).remove("witness");
    assertThat(refusal(exact, payment(exactAsked, without), exactAsked))
        .isEqualTo("invalid_payload");
    PaymentRequirements elsewhere =
        new PaymentRequirements(
            "exact",
            "eip155:8453",
            PRICE,
            exactAsked.asset(),
            exactAsked.payTo(),
            60,
            exactAsked.extra());
    assertThat(refusal(exact, good, elsewhere)).isEqualTo("invalid_exact_evm_network_mismatch");
    assertThat(refusal(upto, good, uptoAsked)).isEqualTo("invalid_upto_evm_scheme");
    assertThat(refusal(exact, payUpto(), exactAsked)).isEqualTo("invalid_exact_evm_scheme");
  }

  @Test
  void aWalletOfTwoKeysPaysWithBothAndWithNothingLess() throws Exception {
    EvmKey second = EvmKey.random(random);
    EvmAddress wallet = EvmKey.random(random).address();
    chain.placeWallet(wallet, buyer.address(), second.address());
    chain.mint(wallet, BigInteger.valueOf(1_000_000));
    chain.allowPermit2(LocalChain.USDC_TOKEN, wallet);
    for (boolean metered : new boolean[] {false, true}) {
      EvmAddress proxy = metered ? Permit2Types.UPTO_PROXY : Permit2Types.EXACT_PROXY;
      Authorization b =
          authorization(metered, LocalChain.USDC, 10_000, proxy, PAYEE, 0, 60, senders.first());
      Authorization a =
          new Authorization(
              wallet, b.token(), b.amount(), b.spender(), b.nonce(), b.deadline(), b.witness());
      byte[] one = buyer.sign(a.digest(LocalChain.CHAIN_ID));
      byte[] two = second.sign(a.digest(LocalChain.CHAIN_ID));
      PaymentRequirements asked = metered ? uptoAsked : exactAsked;
      Permit2Guards scheme = metered ? upto : exact;
      for (byte[] wrong : List.of(one, two, Abi.concat(one, one), Abi.concat(two, one))) {
        assertThat(refusal(scheme, payment(asked, new Payload(a, wrong).toJson()), asked))
            .isEqualTo("invalid_permit2_signature");
      }
      PaymentPayload payment = payment(asked, new Payload(a, Abi.concat(one, two)).toJson());
      assertThat(refusal(scheme, payment, asked)).isEqualTo("valid");
      PaymentRequirements due = metered ? used(asked, 400) : asked;
      assertThat(earned(() -> scheme.settle(payment, due, t -> {}))).isEqualTo(due.amount());
      assertThat(earned(() -> scheme.settle(payment, due, t -> {}))).isZero();
    }
  }

  @Test
  void aCeilingForAForeignFacilitatorIsRefusedAndCannotBeSettledByIt() throws Exception {
    Authorization a =
        authorization(true, LocalChain.USDC, 10_000, Permit2Types.UPTO_PROXY, PAYEE, 0, 60, OTHER);
    PaymentPayload payment = signed(uptoAsked, a, buyer);
    assertThat(refusal(upto, payment, uptoAsked)).isEqualTo("upto_facilitator_mismatch");
    assertThat(earned(() -> upto.settle(payment, uptoAsked, t -> {}))).isZero();
  }

  @Test
  void withoutAllowanceOrFundsItIsSaidWhatIsMissing() throws Exception {
    buyer = EvmKey.random(random);
    assertThat(refusal(exact, payExact(), exactAsked)).isEqualTo("permit2_insufficient_balance");
    chain.mint(buyer.address(), PRICE);
    assertThat(refusal(exact, payExact(), exactAsked)).isEqualTo("permit2_allowance_required");
    assertThat(refusal(upto, payUpto(), uptoAsked)).isEqualTo("permit2_allowance_required");
  }

  @Test
  void aSignedAllowanceComesAlongAndThePayerNeedsNoGas() throws Exception {
    buyer = EvmKey.random(random);
    chain.mint(buyer.address(), PRICE.shiftLeft(1));
    for (boolean metered : new boolean[] {false, true}) {
      PaymentPayload bare = metered ? payUpto() : payExact();
      ObjectNode message = (ObjectNode) bare.raw().deepCopy();
      BigInteger nonce = metered ? BigInteger.ONE : BigInteger.ZERO;
      message
          .putObject("extensions")
          .putObject(GasSponsoring.KEY)
          .set(
              "info",
              GasSponsoring.sign(
                  buyer,
                  LocalChain.CHAIN_ID,
                  LocalChain.USDC,
                  "USDC",
                  "2",
                  PRICE,
                  nonce,
                  BigInteger.valueOf(Instant.now().getEpochSecond() + 60)));
      PaymentPayload payment = PaymentPayload.fromJson(message);
      PaymentScheme scheme = metered ? upto : exact;
      PaymentRequirements asked = metered ? uptoAsked : exactAsked;
      assertThat(refusal(scheme, payment, asked)).isEqualTo("valid");
      assertThat(
              earned(
                  () ->
                      assertThat(scheme.settle(payment, asked, t -> {}))
                          .isInstanceOf(Settlement.Settled.class)))
          .isEqualTo(PRICE);
    }
  }

  private final Map<EvmAddress, Credentials> credentials = new HashMap<>();

  /** A key that can sign transactions here, too. */
  private EvmKey sending() {
    byte[] secret = new byte[32];
    random.nextBytes(secret);
    EvmKey key = EvmKey.of(Hex.encode(secret));
    credentials.put(key.address(), Credentials.create(Hex.encode(secret)));
    return key;
  }

  private long approvalFee = 2_000_000_000L;

  /**
   * A payment by somebody without gas or allowance, with its signed approval; the info may be
   * changed.
   */
  private PaymentPayload withApproval(
      PaymentPayload bare,
      EvmKey signer,
      EvmAddress token,
      byte[] data,
      long gas,
      String... changed)
      throws Exception {
    RawTransaction approve =
        RawTransaction.createTransaction(
            LocalChain.CHAIN_ID,
            BigInteger.ZERO,
            BigInteger.valueOf(gas),
            token.toString(),
            BigInteger.ZERO,
            Hex.encode(data),
            BigInteger.ONE,
            BigInteger.valueOf(approvalFee));
    byte[] raw = TransactionEncoder.signMessage(approve, credentials.get(signer.address()));
    ObjectNode message = (ObjectNode) bare.raw().deepCopy();
    ObjectNode info =
        message.putObject("extensions").putObject(ApprovalSponsoring.KEY).putObject("info");
    info.put("from", buyer.address().toString());
    info.put("asset", token.toString());
    info.put("spender", Permit2Types.PERMIT2.toString());
    info.put("amount", BigInteger.TWO.pow(256).subtract(BigInteger.ONE).toString());
    info.put("signedTransaction", Hex.encode(raw)).put("version", "1");
    if (changed.length == 2) {
      info.put(changed[0], changed[1]);
    }
    return PaymentPayload.fromJson(message);
  }

  private static byte[] approve(EvmAddress spender) {
    return Abi.call(
        "approve(address,uint256)",
        Abi.word(spender),
        Abi.word(BigInteger.TWO.pow(256).subtract(BigInteger.ONE)));
  }

  @Test
  void aSignedApprovalComesAlongAndItsGasIsPaid() throws Exception {
    facilitators(Optional.of(GENEROUS), GasMemory.forThisRun());
    byte[] approval = approve(Permit2Types.PERMIT2);
    for (boolean metered : new boolean[] {false, true}) {
      buyer = sending();
      chain.mint(buyer.address(), PRICE);
      PaymentPayload bare = metered ? payUpto() : payExact();
      PaymentScheme scheme = metered ? upto : exact;
      PaymentRequirements asked = metered ? uptoAsked : exactAsked;
      assertThat(refusal(scheme, bare, asked)).isEqualTo("permit2_allowance_required");
      PaymentPayload payment = withApproval(bare, buyer, LocalChain.USDC, approval, 80_000);
      assertThat(refusal(scheme, payment, asked)).isEqualTo("valid");
      assertThat(
              earned(
                  () ->
                      assertThat(scheme.settle(payment, asked, t -> {}))
                          .isInstanceOf(Settlement.Settled.class)))
          .isEqualTo(PRICE);
      assertThat(earned(() -> scheme.settle(payment, asked, t -> {}))).isZero();
      // What an approval did not need its payer keeps: never more than a few times that.
      assertThat(chain.rpc().balance(buyer.address()))
          .isLessThan(BigInteger.valueOf(2 * 46_000L * approvalFee));
    }
  }

  /** Nothing was given: a wallet without coin has none afterwards. */
  private void assertNothingGiven(PaymentPayload payment, String code, String words)
      throws Exception {
    for (boolean metered : new boolean[] {false, true}) {
      if (payment.scheme().equals("upto") != metered) {
        continue;
      }
      PaymentScheme scheme = metered ? upto : exact;
      PaymentRequirements asked = metered ? uptoAsked : exactAsked;
      assertThat(scheme.verify(payment, asked))
          .isInstanceOfSatisfying(
              Verdict.Invalid.class,
              i -> {
                assertThat(i.why().code()).isEqualTo(code);
                assertThat(i.why().message()).contains(words);
              });
      assertThat(scheme.settle(payment, asked, t -> {})).isInstanceOf(Settlement.Failed.class);
      assertThat(chain.rpc().balance(buyer.address())).isZero();
    }
  }

  @Test
  void whereNothingIsConfiguredNoGasIsGiven() throws Exception {
    buyer = sending();
    chain.mint(buyer.address(), PRICE);
    for (PaymentPayload bare : List.of(payExact(), payUpto())) {
      assertNothingGiven(
          withApproval(bare, buyer, LocalChain.USDC, approve(Permit2Types.PERMIT2), 80_000),
          "erc20_approval_not_sponsored",
          "approve Permit2 yourself");
    }
  }

  @Test
  void anApprovalThatAsksForMoreThanItNeedsIsGivenNothing() throws Exception {
    facilitators(Optional.of(GENEROUS), GasMemory.forThisRun());
    buyer = sending();
    chain.mint(buyer.address(), PRICE);
    approvalFee = 500_000_000_000L;
    for (PaymentPayload bare : List.of(payExact(), payUpto())) {
      assertNothingGiven(
          withApproval(bare, buyer, LocalChain.USDC, approve(Permit2Types.PERMIT2), 100_000),
          "erc20_approval_broadcast_failed",
          "an approval needs");
    }
  }

  @Test
  void aPaymentThatIsWorthLittleIsGivenLittle() throws Exception {
    Sponsoring dear =
        new Sponsoring(
            PicoUsd.ofDollars("3000"), 50, PicoUsd.ofDollars("100"), PicoUsd.ofDollars("100"));
    facilitators(Optional.of(dear), GasMemory.forThisRun());
    buyer = sending();
    chain.mint(buyer.address(), PRICE);
    assertNothingGiven(
        withApproval(payExact(), buyer, LocalChain.USDC, approve(Permit2Types.PERMIT2), 80_000),
        "erc20_approval_broadcast_failed",
        "is given for a payment like this");
  }

  @Test
  void whatIsGivenInADayIsBoundedAcrossRestarts() throws Exception {
    Path file = directory.resolve("gifts.json");
    Sponsoring once =
        new Sponsoring(
            PicoUsd.ofDollars("10"), 50, PicoUsd.ofDollars("0.002"), PicoUsd.ofDollars("5"));
    facilitators(Optional.of(once), new FileGasMemory(file));
    byte[] approval = approve(Permit2Types.PERMIT2);
    buyer = sending();
    chain.mint(buyer.address(), PRICE);
    PaymentPayload first = withApproval(payExact(), buyer, LocalChain.USDC, approval, 80_000);
    assertThat(exact.settle(first, exactAsked, t -> {})).isInstanceOf(Settlement.Settled.class);
    buyer = sending();
    chain.mint(buyer.address(), PRICE);
    PaymentPayload second = withApproval(payExact(), buyer, LocalChain.USDC, approval, 80_000);
    assertNothingGiven(second, "erc20_approval_broadcast_failed", "no gas is given");
    facilitators(Optional.of(once), new FileGasMemory(file));
    assertNothingGiven(second, "erc20_approval_broadcast_failed", "no gas is given");
  }

  @Test
  void anApprovalThatIsNotThePayersForThisCoinIsRefused() throws Exception {
    facilitators(Optional.of(GENEROUS), GasMemory.forThisRun());
    buyer = sending();
    chain.mint(buyer.address(), PRICE);
    PaymentPayload bare = payExact();
    byte[] good = approve(Permit2Types.PERMIT2);
    EvmAddress other = EvmKey.random(random).address();
    byte[] transfer = Abi.call("transfer(address,uint256)", Abi.word(other), Abi.word(PRICE));
    EvmAddress usdc = LocalChain.USDC;
    Map<String, PaymentPayload> wrong =
        Map.ofEntries(
            Map.entry(
                "erc20_approval_tx_signer_mismatch",
                withApproval(bare, sending(), usdc, good, 80_000)),
            Map.entry(
                "erc20_approval_tx_wrong_spender",
                withApproval(bare, buyer, usdc, approve(other), 80_000)),
            Map.entry(
                "erc20_approval_tx_wrong_selector",
                withApproval(bare, buyer, usdc, transfer, 80_000)),
            Map.entry(
                "erc20_approval_tx_invalid_calldata",
                withApproval(bare, buyer, usdc, good, 5_000_000)),
            Map.entry(
                "erc20_approval_tx_wrong_target",
                withApproval(bare, buyer, other, good, 80_000, "asset", usdc.toString())),
            Map.entry(
                "erc20_approval_from_mismatch",
                withApproval(bare, buyer, usdc, good, 80_000, "from", other.toString())),
            Map.entry(
                "erc20_approval_asset_mismatch",
                withApproval(bare, buyer, usdc, good, 80_000, "asset", other.toString())),
            Map.entry(
                "erc20_approval_spender_not_permit2",
                withApproval(bare, buyer, usdc, good, 80_000, "spender", other.toString())),
            Map.entry(
                "erc20_approval_tx_parse_failed",
                withApproval(bare, buyer, usdc, good, 80_000, "signedTransaction", "0x0102")),
            Map.entry(
                "invalid_erc20_approval_extension_format",
                withApproval(bare, buyer, usdc, good, 80_000, "signedTransaction", "hello")));
    for (var one : wrong.entrySet()) {
      assertThat(refusal(exact, one.getValue(), exactAsked)).isEqualTo(one.getKey());
    }
    // Gas is given to a payer once a day: what it does with it is not ours to say.
    PaymentPayload payment = withApproval(bare, buyer, usdc, good, 80_000);
    assertThat(exact.settle(payment, exactAsked, t -> {})).isInstanceOf(Settlement.Settled.class);
    chain.as(
        buyer.address(),
        usdc,
        Abi.call(
            "approve(address,uint256)", Abi.word(Permit2Types.PERMIT2), Abi.word(BigInteger.ZERO)));
    chain.mint(buyer.address(), PRICE);
    chain
        .raw()
        .ask(
            "anvil_setBalance",
            Json.trusted("\"" + buyer.address() + "\""),
            Json.trusted("\"0x0\""));
    assertThat(refusal(exact, withApproval(payExact(), buyer, usdc, good, 80_000), exactAsked))
        .isIn("erc20_approval_broadcast_failed", "erc20_approval_tx_failed");
  }

  @Test
  void aCoinOfEighteenDecimalsWithoutAuthorisationsIsPaidTheSameWay() throws Exception {
    EvmToken pegged = LocalChain.PEGGED;
    BigInteger price = new BigInteger("12345678901234567");
    chain.mint(pegged, buyer.address(), price);
    chain.allowPermit2(pegged, buyer.address());
    PaymentRequirements asked = new Permit2Server(pegged, PAYEE, 60).requirements(price);
    PaymentPayload payment =
        payment(asked, new Permit2Client(buyer, InstantSource.system(), random).sign(2, asked));
    assertThat(refusal(exact, payment, asked)).isEqualTo("valid");
    BigInteger before = chain.balance(pegged, PAYEE);
    assertThat(exact.settle(payment, asked, t -> {})).isInstanceOf(Settlement.Settled.class);
    assertThat(chain.balance(pegged, PAYEE).subtract(before)).isEqualTo(price);
  }

  private void giveUp(BigInteger nonce) throws Exception {
    chain.as(
        buyer.address(),
        Permit2Types.PERMIT2,
        Abi.call(
            "invalidateUnorderedNonces(uint256,uint256)",
            Abi.word(nonce.shiftRight(8)),
            Abi.word(BigInteger.ONE.shiftLeft(nonce.intValue() & 0xff))));
  }

  @Test
  void aNonceThatThePayerGaveUpFailsThoughAnotherTransferLooksTheSame() throws Exception {
    PaymentPayload payment = payExact();
    PaymentPayload twin = payExact(); // the same from, to and value
    AtomicBoolean drop = new AtomicBoolean(true);
    proxy.behave(
        (method, forward) ->
            method.equals("eth_sendRawTransaction") && drop.getAndSet(false)
                ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x" + "00".repeat(32) + "\"}"
                : forward.answer());
    AtomicReference<SignedTransaction> sent = new AtomicReference<>();
    assertThat(exact.settle(payment, exactAsked, sent::set)).isInstanceOf(Settlement.Unknown.class);
    giveUp(Payload.fromJson(payment.payload(), false).authorization().nonce());
    SenderPool another =
        SenderPool.of(chain.rpc(), LocalChain.CHAIN_ID, List.of(gasKey), FEE_CAP, clock);
    assertThat(
            new Permit2Facilitator(
                    chain.rpc(),
                    new Settler(chain.rpc(), another, Duration.ofSeconds(2)),
                    InstantSource.system())
                .settle(twin, exactAsked, t -> {}))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(exact.reconcile(payment, exactAsked, sent.get()))
        .isInstanceOfSatisfying(
            Settlement.Failed.class,
            f -> assertThat(f.why().code()).isEqualTo("permit2_invalid_nonce"));
  }

  @Test
  void aCeilingThatThePayerGaveUpFailsAndNothingMoves() throws Exception {
    PaymentPayload payment = payUpto();
    assertThat(refusal(upto, payment, uptoAsked)).isEqualTo("valid");
    giveUp(Payload.fromJson(payment.payload(), true).authorization().nonce());
    assertThat(
            earned(
                () ->
                    assertThat(upto.settle(payment, uptoAsked, t -> {}))
                        .isInstanceOf(Settlement.Failed.class)))
        .isZero();
  }

  @Test
  void aStuckTransactionIsReplacedAtAHigherFeeAndCountsOnce() throws Exception {
    chain.raw().ask("evm_setAutomine", false);
    try {
      PaymentPayload payment = payUpto();
      AtomicReference<SignedTransaction> sent = new AtomicReference<>();
      assertThat(upto.settle(payment, uptoAsked, sent::set)).isInstanceOf(Settlement.Unknown.class);
      later.set(Duration.ofMinutes(1));
      assertThat(upto.reconcile(payment, uptoAsked, sent.get()))
          .isInstanceOf(Settlement.Unknown.class);
      assertThat(
              earned(
                  () -> {
                    chain.raw().ask("evm_mine");
                    assertThat(upto.reconcile(payment, uptoAsked, sent.get()))
                        .isInstanceOfSatisfying(
                            Settlement.Settled.class,
                            s -> assertThat(s.transaction()).isNotEqualTo(sent.get().hash()));
                  }))
          .isEqualTo(PRICE);
    } finally {
      chain.raw().ask("evm_setAutomine", true);
    }
  }

  @Test
  void aHundredPaymentsAtOnceSettleThroughTwoKeys() throws Exception {
    List<PaymentPayload> payments = new java.util.ArrayList<>();
    for (int i = 0; i < 100; i++) {
      payments.add(payExact());
    }
    assertThat(
            earned(
                () -> {
                  try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
                    var results =
                        threads.invokeAll(
                            payments.stream()
                                .<java.util.concurrent.Callable<Settlement>>map(
                                    p -> () -> exact.settle(p, exactAsked, t -> {}))
                                .toList());
                    for (var result : results) {
                      assertThat(result.get()).isInstanceOf(Settlement.Settled.class);
                    }
                  }
                }))
        .isEqualTo(PRICE.multiply(BigInteger.valueOf(100)));
    for (EvmAddress key : senders.addresses()) {
      assertThat(chain.rpc().minedNonce(key)).isGreaterThan(BigInteger.TEN);
    }
  }
}
