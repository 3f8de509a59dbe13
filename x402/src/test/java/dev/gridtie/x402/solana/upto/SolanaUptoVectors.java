package dev.gridtie.x402.solana.upto;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.Vectors;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.solana.Base58;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaInstructions;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaMessage;
import dev.gridtie.x402.solana.SolanaMessage.Instruction;
import dev.gridtie.x402.solana.SolanaMessage.Meta;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.solana.upto.SolanaUptoTypes.Terms;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** The published vector of scheme upto on Solana in both directions, and what is not like it. */
class SolanaUptoVectors {
  private static final String P = "invalid_upto_svm_payload_";
  private static final SolanaKey CLIENT = key(1);
  private static final SolanaKey FEE_PAYER = key(2);
  private static final SolanaAddress STRANGER = key(9).address();

  private JsonNode v;
  private PaymentRequirements asked;
  private ObjectNode payload;

  private static SolanaKey key(int fill) {
    byte[] seed = new byte[32];
    Arrays.fill(seed, (byte) fill);
    return SolanaKey.ofSeed(seed);
  }

  @BeforeEach
  void read() throws Exception {
    v = Vectors.read("upto-svm-devnet");
    asked = PaymentRequirements.fromJson(v.path("paymentRequirements"));
    payload = (ObjectNode) v.path("payload").deepCopy();
  }

  private String look(JsonNode what, PaymentRequirements requirements) throws Exception {
    PaymentPayload payment =
        PaymentPayload.fromJson(PaymentPayload.v2(what, Json.array(), asked.toJson()));
    SolanaUptoGuards guards = new SolanaUptoGuards(FEE_PAYER.address(), Vectors.clock(v));
    return switch (guards.look(payment, requirements)) {
      case Verdict.Valid valid -> valid.payer();
      case Verdict.Invalid invalid -> invalid.why().code();
    };
  }

  @Test
  void theClientsAnswerIsTheVectorsBytes() throws Exception {
    SolanaUptoClient client =
        new SolanaUptoClient(
            CLIENT,
            asked.network(),
            new Validity(Vectors.clock(v), Duration.ofHours(1)),
            Vectors.random(v));
    assertThat(client.canSign(asked)).isTrue();
    assertThat(Json.write(client.sign(2, asked))).isEqualTo(Json.write(v.path("payload")));
  }

  @Test
  void theTransactionReadsAsTheVectors() throws Exception {
    SolanaTransaction open =
        SolanaTransaction.fromBase64(payload.path("openTransaction").asString());
    assertThat(Hex.encode(open.messageBytes()).substring(2))
        .isEqualTo(v.path("decoded").path("messageHex").asString());
    assertThat(open.isSignedBy(CLIENT.address())).isTrue();
    assertThat(open.isSignedBy(FEE_PAYER.address())).as("its place is empty yet").isFalse();
  }

  @Test
  void theVectorIsGood() throws Exception {
    assertThat(look(payload, asked)).isEqualTo(v.path("addresses").path("client").asString());
    payload.put("openSlot", 123456789); // the specification says a number, the package a text
    assertThat(look(payload, asked)).isEqualTo(v.path("addresses").path("client").asString());
  }

  @ParameterizedTest
  @CsvSource({
    "channelId, 75c2huVzDW1Eq4kD86by5392sjdJzuAT195XNgP2f2tX, channel_id",
    "deposit, 4999999, deposit_not_ceiling",
    "deposit, many, amount",
    "maxAmount, 4999999, amount_mismatch",
    "maxAmount, -1, amount",
    "expiresAt, 1800000000, expired",
    "expiresAt, 1800000361, expires_at_mismatch",
    "expiresAt, 1800003661, channel_lifetime_exceeded",
    "validAfter, 1800000001, not_yet_active",
    "from, EdmxWPmx2WH6WgFfTdu9xfkYf3k1g5wD1zccTVySEEh1, open_transaction",
    "from, nobody, payer_mismatch",
    "nonce, 1229782938247303442, open_transaction",
    "nonce, 18446744073709551616, channel_seed",
    "openSlot, 123456788, open_transaction",
    "openSlot, soon, channel_seed",
    "openTransaction, AAAA, open_transaction",
    "authorizedSigner, AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9, receiver_authorizer",
    "voucherSignature, 11, unexpected_voucher",
    "type, claim, type",
  })
  void eachFieldWrongInTurnHasItsCode(String field, String value, String code) throws Exception {
    if (field.equals("expiresAt") || field.equals("validAfter")) {
      payload.put(field, Long.parseLong(value));
    } else {
      payload.put(field, value);
    }
    assertThat(look(payload, asked)).isEqualTo(P + code);
  }

  @ParameterizedTest
  @CsvSource({
    "feePayer, EdmxWPmx2WH6WgFfTdu9xfkYf3k1g5wD1zccTVySEEh1, facilitator_mismatch",
    "feePayer, nobody, invalid_upto_svm_payment_requirements",
    "tokenProgram, TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb, invalid_upto_svm_payload_open_transaction",
    "tokenProgram, 11111111111111111111111111111111, invalid_upto_svm_payment_requirements",
    "memo, pi_1, invalid_upto_svm_payload_open_transaction",
    "recentSlot, 123456788, invalid_upto_svm_payload_open_transaction",
    "recentSlot, 123458290, invalid_upto_svm_payload_open_transaction",
    "recentSlot, soon, invalid_upto_svm_payload_channel_seed",
    "withdrawDelay, 0, invalid_upto_svm_payment_requirements",
    "withdrawDelay, 901, invalid_upto_svm_payload_open_transaction",
  })
  void otherTermsThanWereAskedHaveTheirCode(String field, String value, String code)
      throws Exception {
    ObjectNode other = (ObjectNode) v.path("paymentRequirements").deepCopy();
    ObjectNode extra = (ObjectNode) other.path("extra");
    if (field.equals("withdrawDelay")) {
      extra.put(field, Long.parseLong(value));
    } else {
      extra.put(field, value);
    }
    assertThat(look(payload, PaymentRequirements.fromJson(other))).isEqualTo(code);
  }

  @Test
  void anotherSchemeNetworkCoinOrPayeeIsRefused() throws Exception {
    for (String[] one :
        List.of(
            new String[] {"scheme", "exact", "unsupported_scheme"},
            new String[] {"network", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "network_mismatch"},
            new String[] {"asset", STRANGER.toString(), P + "open_transaction"},
            new String[] {"payTo", STRANGER.toString(), P + "open_transaction"})) {
      ObjectNode other = (ObjectNode) v.path("paymentRequirements").deepCopy();
      other.put(one[0], one[1]);
      assertThat(look(payload, PaymentRequirements.fromJson(other))).as(one[0]).isEqualTo(one[2]);
    }
    payload.remove("channelId");
    assertThat(look(payload, asked)).isEqualTo("unsupported_payload_type");
  }

  /** What a payer might put into its transaction at the fee payer's cost, or another's. */
  private static Stream<UnaryOperator<List<Instruction>>> changes() {
    Meta feePayer = new Meta(FEE_PAYER.address(), false, false);
    Instruction memo = SolanaInstructions.memo("a".getBytes(US_ASCII));
    Instruction give =
        new Instruction(
            SolanaUptoTypes.SYSTEM,
            List.of(new Meta(FEE_PAYER.address(), true, true), new Meta(STRANGER, false, true)),
            new byte[] {2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
    return Stream.of(
        with(3, give),
        with(3, new Instruction(SolanaAddress.MEMO, List.of(feePayer), new byte[] {65})),
        with(3, new Instruction(SolanaAddress.LIGHTHOUSE, List.of(feePayer), new byte[] {1})),
        with(0, new Instruction(SolanaAddress.COMPUTE_BUDGET, List.of(feePayer), new byte[] {1})),
        with(
            3,
            new Instruction(
                SolanaAddress.MEMO, List.of(new Meta(STRANGER, true, false)), new byte[1])),
        with(
            3,
            new Instruction(
                SolanaAddress.MEMO, List.of(new Meta(STRANGER, false, true)), new byte[1])),
        with(0, SolanaInstructions.unitLimit(1)),
        with(2, SolanaInstructions.unitPrice()),
        i -> replaced(i, 0, SolanaInstructions.unitLimit(400_001)),
        i -> replaced(i, 1, price(5_000_001)),
        i -> replaced(i, 2, memoBy(CLIENT.address())),
        i -> List.of(i.get(1), i.get(0), i.get(2), i.get(3)),
        i -> List.of(i.get(0), i.get(1), i.get(3), i.get(2)),
        i -> Stream.concat(i.stream(), Stream.of(memo, memo, memo, memo)).toList(),
        i -> replaced(i, 2, data(i.get(2), 0, 2)),
        i -> replaced(i, 2, data(i.get(2), 9, 1)),
        i -> replaced(i, 2, data(i.get(2), 33, 1)),
        i -> replaced(i, 2, data(i.get(2), 65, 1)),
        i -> replaced(i, 2, account(i.get(2), 2, STRANGER)),
        i -> replaced(i, 2, account(i.get(2), 6, STRANGER)),
        i -> replaced(i, 2, account(i.get(2), 7, STRANGER)),
        i -> replaced(i, 2, account(i.get(2), 12, STRANGER)));
  }

  private static UnaryOperator<List<Instruction>> with(int at, Instruction more) {
    return i -> {
      List<Instruction> all = new ArrayList<>(i);
      all.add(at, more);
      return all;
    };
  }

  private static List<Instruction> replaced(List<Instruction> all, int at, Instruction by) {
    List<Instruction> changed = new ArrayList<>(all);
    changed.set(at, by);
    return changed;
  }

  private static Instruction memoBy(SolanaAddress signer) {
    return new Instruction(
        SolanaAddress.MEMO, List.of(new Meta(signer, true, false)), new byte[] {65});
  }

  private static Instruction price(long microlamports) {
    return new Instruction(
        SolanaAddress.COMPUTE_BUDGET,
        List.of(),
        SolanaInstructions.little(9).put((byte) 3).putLong(microlamports).array());
  }

  private static Instruction data(Instruction i, int at, int more) {
    byte[] data = i.data().clone();
    data[at] += (byte) more;
    return new Instruction(i.program(), i.accounts(), data);
  }

  private static Instruction account(Instruction i, int at, SolanaAddress other) {
    List<Meta> accounts = new ArrayList<>(i.accounts());
    accounts.set(at, new Meta(other, accounts.get(at).signer(), accounts.get(at).writable()));
    return new Instruction(i.program(), accounts, i.data());
  }

  private List<Instruction> good() throws Exception {
    BigInteger nonce = new BigInteger(payload.path("nonce").asString());
    BigInteger slot = new BigInteger(payload.path("openSlot").asString());
    return List.of(
        SolanaInstructions.unitLimit(90_000),
        SolanaInstructions.unitPrice(),
        Terms.of(asked).open(CLIENT.address(), nonce, slot),
        SolanaInstructions.memo("11111111111111111111111111111111".getBytes(US_ASCII)));
  }

  private SolanaTransaction transaction(SolanaAddress feePayer, List<Instruction> instructions) {
    byte[] block = Base58.decode(v.path("blockhash").asString(), 32);
    return SolanaTransaction.of(SolanaMessage.of(feePayer, block, instructions));
  }

  @ParameterizedTest
  @MethodSource("changes")
  void aTransactionThatDoesAnythingElseIsRefused(UnaryOperator<List<Instruction>> change)
      throws Exception {
    payload.put(
        "openTransaction", transaction(FEE_PAYER.address(), good()).signedBy(CLIENT).toBase64());
    assertThat(look(payload, asked)).isEqualTo(CLIENT.address().toString());
    payload.put(
        "openTransaction",
        transaction(FEE_PAYER.address(), change.apply(good())).signedBy(CLIENT).toBase64());
    assertThat(look(payload, asked)).isEqualTo(P + "open_transaction");
  }

  @Test
  void aTransactionThatItsPayerHasNotSignedOrThatOthersPayForIsRefused() throws Exception {
    for (SolanaTransaction one :
        List.of(
            transaction(FEE_PAYER.address(), good()),
            transaction(FEE_PAYER.address(), good()).signedBy(FEE_PAYER),
            transaction(CLIENT.address(), good()).signedBy(CLIENT))) {
      payload.put("openTransaction", one.toBase64());
      assertThat(look(payload, asked)).isEqualTo(P + "open_transaction");
    }
  }
}
