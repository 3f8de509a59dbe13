package dev.gridtie.x402.solana.exact;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.FaultyProxy;
import dev.gridtie.testkit.LocalSolana;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.solana.JsonRpcSolana;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaInstructions;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaMessage;
import dev.gridtie.x402.solana.SolanaMessage.Instruction;
import dev.gridtie.x402.solana.SolanaMessage.Meta;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Scheme exact on Solana, with the real runtime and token programs. */
class SolanaExactIT {
  private static final BigInteger PRICE = BigInteger.valueOf(10_000);
  private static final SecureRandom RANDOM = new SecureRandom();
  private static final SolanaAddress MINT =
      SolanaAddress.of("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU");
  private static final SolanaToken USDC =
      new SolanaToken(SolanaToken.DEVNET, MINT, SolanaAddress.TOKEN, 6);

  @TempDir static Path directory;
  private static LocalSolana solana;
  private static FaultyProxy proxy;

  private SolanaKey buyer;
  private SolanaKey payTo;
  private SolanaKey feePayer;
  private JsonRpcSolana rpc;
  private SolanaExactFacilitator facilitator;
  private PaymentRequirements asked;

  @BeforeAll
  static void start() throws Exception {
    Path root = Path.of(System.getProperty("gridtie.root"));
    solana = LocalSolana.start(root, directory.resolve("solana.log"));
    solana.mint(MINT.toString(), SolanaAddress.TOKEN.toString(), 6);
    proxy = new FaultyProxy(solana.url());
  }

  @AfterAll
  static void stop() {
    proxy.close();
    solana.close();
  }

  @BeforeEach
  void freshKeys() throws Exception {
    proxy.behaveWell();
    buyer = SolanaKey.random(RANDOM);
    payTo = SolanaKey.random(RANDOM);
    feePayer = SolanaKey.random(RANDOM);
    solana.airdrop(feePayer.address().toString(), 1_000_000_000);
    fund(buyer, 1_000_000);
    fund(payTo, 0);
    rpc = new JsonRpcSolana(proxy.url(), Duration.ofMillis(1500));
    facilitator = new SolanaExactFacilitator(rpc, feePayer, Duration.ofSeconds(2));
    asked =
        new SolanaExactServer(USDC, payTo.address(), feePayer.address(), 60).requirements(PRICE);
  }

  private static SolanaAddress account(SolanaKey owner) {
    return SolanaAddress.tokenAccount(owner.address(), SolanaAddress.TOKEN, MINT);
  }

  private static void fund(SolanaKey owner, long amount) throws Exception {
    solana.tokenAccount(
        account(owner).toString(),
        MINT.bytes(),
        owner.address().bytes(),
        SolanaAddress.TOKEN.toString(),
        amount);
  }

  private PaymentPayload payment(JsonNode payload) throws Exception {
    return PaymentPayload.fromJson(PaymentPayload.v2(payload, Json.array(), asked.toJson()));
  }

  private PaymentPayload pay() throws Exception {
    return payment(new SolanaExactClient(buyer, SolanaToken.DEVNET, rpc, RANDOM).sign(2, asked));
  }

  private String refusal(PaymentPayload payment) throws Exception {
    return switch (facilitator.verify(payment, asked)) {
      case Verdict.Valid v -> "valid";
      case Verdict.Invalid i -> i.why().code();
    };
  }

  private long received() throws Exception {
    return solana.amount(account(payTo).toString());
  }

  @Test
  void aPaymentMovesItsAmountOnceAndTheBuyerNeedsNoLamports() throws Exception {
    PaymentPayload payment = pay();
    assertThat(refusal(payment)).isEqualTo("valid");
    long before = solana.lamports(feePayer.address().toString());
    Settlement settlement = facilitator.settle(payment, asked, t -> {});
    long paid = before - solana.lamports(feePayer.address().toString());
    assertThat(settlement)
        .isInstanceOfSatisfying(
            Settlement.Settled.class,
            s -> {
              assertThat(s.payer()).isEqualTo(buyer.address().toString());
              assertThat(s.feeWei()).isEqualTo(paid).isPositive();
            });
    assertThat(received()).isEqualTo(10_000);
    assertThat(solana.lamports(buyer.address().toString())).isZero();
    // Again: the chain knows the transaction, and it has moved money once.
    assertThat(facilitator.settle(payment, asked, t -> {})).isInstanceOf(Settlement.Settled.class);
    assertThat(received()).isEqualTo(10_000);
  }

  // Each part wrong in turn

  private static Instruction transfer(
      SolanaAddress source, SolanaAddress mint, SolanaAddress to, SolanaKey from, long amount) {
    return SolanaExactTypes.transfer(
        SolanaAddress.TOKEN, source, mint, to, from.address(), BigInteger.valueOf(amount), 6);
  }

  private PaymentPayload made(List<Instruction> instructions) throws Exception {
    return made(feePayer.address(), instructions, buyer);
  }

  private PaymentPayload made(
      SolanaAddress payer, List<Instruction> instructions, SolanaKey... signers) throws Exception {
    SolanaTransaction transaction =
        SolanaTransaction.of(SolanaMessage.of(payer, rpc.latestBlockhash().hash(), instructions));
    for (SolanaKey key : signers) {
      transaction = transaction.signedBy(key);
    }
    return payment(SolanaExactTypes.payload(transaction));
  }

  private Instruction good() {
    return transfer(account(buyer), MINT, account(payTo), buyer, 10_000);
  }

  private static final Instruction LIMIT = SolanaInstructions.unitLimit(SolanaExactTypes.UNITS);
  private static final Instruction PRICE_OF_UNITS = SolanaInstructions.unitPrice();

  private static Instruction budget(byte[] data) {
    return new Instruction(SolanaAddress.COMPUTE_BUDGET, List.of(), data);
  }

  @Test
  void eachInstructionWrongInTurnHasItsCode() throws Exception {
    String p = "invalid_exact_svm_payload_";
    String i = p + "transaction_instructions_";
    SolanaKey other = SolanaKey.random(RANDOM);
    fund(other, 0);
    Instruction memo = SolanaInstructions.memo("hello".getBytes(StandardCharsets.US_ASCII));
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good(), memo)))).isEqualTo("valid");
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good())))).isEqualTo("valid");
    assertThat(refusal(made(List.of(PRICE_OF_UNITS, good())))).isEqualTo(i + "length");
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good(), memo, memo, memo, memo, memo))))
        .isEqualTo(i + "length");
    assertThat(refusal(made(List.of(PRICE_OF_UNITS, LIMIT, good()))))
        .isEqualTo(i + "compute_limit_instruction");
    assertThat(refusal(made(List.of(LIMIT, LIMIT, good()))))
        .isEqualTo(i + "compute_price_instruction");
    byte[] dear = {3, 0x41, 0x4b, 0x4c, 0, 0, 0, 0, 0};
    assertThat(refusal(made(List.of(LIMIT, budget(dear), good()))))
        .isEqualTo(i + "compute_price_instruction_too_high");
    byte[] much = {2, 0, 0, (byte) 0xff, (byte) 0xff};
    assertThat(refusal(made(List.of(budget(much), PRICE_OF_UNITS, good()))))
        .isEqualTo(i + "compute_limit_instruction_too_high");
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, memo, good()))))
        .isEqualTo(p + "no_transfer_instruction");
    assertThat(
            refusal(
                made(
                    List.of(
                        LIMIT,
                        PRICE_OF_UNITS,
                        transfer(account(buyer), MINT, account(payTo), buyer, 9_999)))))
        .isEqualTo(p + "amount_mismatch");
    assertThat(
            refusal(
                made(
                    List.of(
                        LIMIT,
                        PRICE_OF_UNITS,
                        transfer(account(buyer), MINT, account(other), buyer, 10_000)))))
        .isEqualTo(p + "recipient_mismatch");
    assertThat(
            refusal(
                made(
                    List.of(
                        LIMIT,
                        PRICE_OF_UNITS,
                        transfer(account(buyer), other.address(), account(payTo), buyer, 10_000)))))
        .isEqualTo(p + "mint_mismatch");
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good(), good()))))
        .isEqualTo(p + "unknown_fourth_instruction");
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good(), memo, good()))))
        .isEqualTo(p + "unknown_fifth_instruction");
  }

  @Test
  void theFeePayersMoneyIsNotTouched() throws Exception {
    String code = "invalid_exact_svm_payload_transaction_fee_payer_transferring_funds";
    fund(feePayer, 1_000_000);
    Instruction ours = transfer(account(feePayer), MINT, account(payTo), feePayer, 10_000);
    assertThat(refusal(made(feePayer.address(), List.of(LIMIT, PRICE_OF_UNITS, ours))))
        .isEqualTo(code);
    Instruction names =
        new Instruction(
            SolanaAddress.LIGHTHOUSE,
            List.of(new Meta(feePayer.address(), true, true)),
            new byte[] {1});
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good(), names)))).isEqualTo(code);
  }

  @Test
  void whoDidNotSignOrIsNotTheFeePayerIsRefused() throws Exception {
    List<Instruction> plain = List.of(LIMIT, PRICE_OF_UNITS, good());
    assertThat(refusal(made(feePayer.address(), plain)))
        .isEqualTo("invalid_exact_svm_payload_signature_invalid");
    SolanaKey other = SolanaKey.random(RANDOM);
    assertThat(refusal(made(other.address(), plain, buyer, other)))
        .isEqualTo("invalid_exact_svm_fee_payer_mismatch");
    Instruction third =
        new Instruction(
            SolanaAddress.MEMO, List.of(new Meta(other.address(), true, false)), new byte[] {65});
    assertThat(
            refusal(
                made(
                    feePayer.address(),
                    List.of(LIMIT, PRICE_OF_UNITS, good(), third),
                    buyer,
                    other)))
        .isEqualTo("invalid_exact_svm_payload_excessive_signers");
    PaymentPayload payment = pay();
    ObjectNode changed = (ObjectNode) asked.toJson();
    ((ObjectNode) changed.path("extra")).put("feePayer", other.address().toString());
    PaymentRequirements elsewhere = PaymentRequirements.fromJson(changed);
    assertThat(facilitator.verify(payment, elsewhere))
        .isInstanceOfSatisfying(
            Verdict.Invalid.class,
            v ->
                assertThat(v.why().code())
                    .isEqualTo("invalid_exact_svm_fee_payer_not_managed_by_facilitator"));
    ((ObjectNode) changed.path("extra")).remove("feePayer");
    assertThat(facilitator.verify(payment, PaymentRequirements.fromJson(changed)))
        .isInstanceOfSatisfying(
            Verdict.Invalid.class,
            v ->
                assertThat(v.why().code())
                    .isEqualTo("invalid_exact_svm_payload_missing_fee_payer"));
  }

  @Test
  void aMemoThatTheSellerWantsMustBeThereOnce() throws Exception {
    ObjectNode json = asked.toJson();
    ((ObjectNode) json.path("extra")).put("memo", "pi_1");
    asked = PaymentRequirements.fromJson(json);
    assertThat(refusal(pay())).isEqualTo("valid");
    Instruction right = SolanaInstructions.memo("pi_1".getBytes(StandardCharsets.US_ASCII));
    Instruction wrong = SolanaInstructions.memo("pi_2".getBytes(StandardCharsets.US_ASCII));
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good()))))
        .isEqualTo("invalid_exact_svm_payload_memo_count");
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good(), right, right))))
        .isEqualTo("invalid_exact_svm_payload_memo_count");
    assertThat(refusal(made(List.of(LIMIT, PRICE_OF_UNITS, good(), wrong))))
        .isEqualTo("invalid_exact_svm_payload_memo_mismatch");
  }

  @Test
  void whatCannotBeReadOrPaidIsSaid() throws Exception {
    assertThat(refusal(payment(Json.object().put("transaction", "AAAA"))))
        .isEqualTo("invalid_exact_svm_payload_transaction_could_not_be_decoded");
    assertThat(refusal(payment(Json.object())))
        .isEqualTo("invalid_exact_svm_payload_transaction_could_not_be_decoded");
    fund(buyer, 9_999);
    assertThat(refusal(pay())).isEqualTo("invalid_exact_svm_transaction_simulation_failed");
  }

  @Test
  void garbageIsRefusedAndNeverABug() throws Exception {
    String good = pay().payload().path("transaction").asString();
    byte[] bytes = java.util.Base64.getDecoder().decode(good);
    for (int i = 0; i < 2_000; i++) {
      byte[] changed = bytes.clone();
      int flips = 1 + RANDOM.nextInt(3);
      for (int n = 0; n < flips; n++) {
        changed[RANDOM.nextInt(changed.length)] = (byte) RANDOM.nextInt(256);
      }
      byte[] cut = java.util.Arrays.copyOf(changed, RANDOM.nextInt(changed.length + 3));
      for (byte[] each : List.of(changed, cut)) {
        if (!java.util.Arrays.equals(each, bytes)) {
          String text = java.util.Base64.getEncoder().encodeToString(each);
          PaymentPayload payment = payment(Json.object().put("transaction", text));
          if (SolanaExactIT.sameButForTheFeePayersSignature(each, bytes)) {
            continue;
          }
          assertThat(refusal(payment)).as(text).startsWith("invalid_exact_svm_");
        }
      }
    }
  }

  private static boolean sameButForTheFeePayersSignature(byte[] a, byte[] b) {
    return a.length == b.length
        && a[0] == b[0]
        && java.util.Arrays.equals(a, 65, a.length, b, 65, b.length);
  }

  @Test
  void aLostAnswerIsUnknownAndThenFound() throws Exception {
    AtomicBoolean lose = new AtomicBoolean(true);
    proxy.behave(
        (method, forward) -> {
          String answer = forward.answer();
          if (method.equals("sendTransaction") && lose.getAndSet(false)) {
            throw new IOException("lost");
          }
          return answer;
        });
    PaymentPayload payment = pay();
    AtomicReference<SignedTransaction> sent = new AtomicReference<>();
    assertThat(facilitator.settle(payment, asked, sent::set))
        .isInstanceOf(Settlement.Unknown.class);
    assertThat(facilitator.reconcile(payment, asked, sent.get()))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(received()).isEqualTo(10_000);
  }

  @Test
  void whatWasNeverTakenHasFailedOnceItsBlockIsTooOld() throws Exception {
    proxy.behave(
        (method, forward) ->
            method.equals("sendTransaction")
                ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"dropped\"}"
                : forward.answer());
    PaymentPayload payment = pay();
    AtomicReference<SignedTransaction> sent = new AtomicReference<>();
    assertThat(facilitator.settle(payment, asked, sent::set))
        .isInstanceOf(Settlement.Unknown.class);
    solana.expire();
    assertThat(facilitator.reconcile(payment, asked, sent.get()))
        .isInstanceOf(Settlement.Failed.class);
    proxy.behaveWell();
    assertThat(facilitator.settle(payment, asked, t -> {}))
        .isNotInstanceOf(Settlement.Settled.class);
    assertThat(received()).isZero();
  }

  @Test
  void fiftyPaymentsAtOnceAllSettle() throws Exception {
    List<Callable<Settlement>> calls = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      PaymentPayload payment = pay();
      calls.add(() -> facilitator.settle(payment, asked, t -> {}));
    }
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (var call : threads.invokeAll(calls)) {
        assertThat(call.get()).isInstanceOf(Settlement.Settled.class);
      }
    }
    assertThat(received()).isEqualTo(500_000);
  }
}
