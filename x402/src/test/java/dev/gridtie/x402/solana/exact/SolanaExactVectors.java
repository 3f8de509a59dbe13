package dev.gridtie.x402.solana.exact;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.Vectors;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.server.PaymentMatch;
import dev.gridtie.x402.solana.Base58;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaChain;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** The published vectors of scheme exact on Solana, byte for byte in both directions. */
class SolanaExactVectors {
  static SolanaKey key(int fill) {
    byte[] seed = new byte[32];
    Arrays.fill(seed, (byte) fill);
    return SolanaKey.ofSeed(seed);
  }

  /** A chain that knows the vector's coin and its block, and nothing else. */
  private static SolanaChain chain(JsonNode v) {
    return new SolanaChain() {
      @Override
      public String genesisHash() {
        return "";
      }

      @Override
      public long balance(SolanaAddress address) {
        return 0;
      }

      @Override
      public Blockhash latestBlockhash() {
        return new Blockhash(Base58.decode(v.path("blockhash").asString(), 32), 1000);
      }

      @Override
      public long blockHeight() {
        return 1;
      }

      @Override
      public Optional<Account> account(SolanaAddress address) {
        byte[] mint = new byte[82];
        mint[44] = (byte) v.path("mintStub").path("decimals").asInt();
        return Optional.of(
            new Account(SolanaAddress.of(v.path("mintStub").path("owner").asString()), mint));
      }

      @Override
      public Optional<String> simulate(SolanaTransaction transaction) {
        return Optional.empty();
      }

      @Override
      public void send(byte[] transaction) {
        throw new UnsupportedOperationException();
      }

      @Override
      public Optional<Status> status(String signature) {
        return Optional.empty();
      }
    };
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"exact-svm-devnet-random-memo", "exact-svm-mainnet-seller-memo-blockhash-hint"})
  void theClientsAnswerIsTheVectorsBytes(String name) throws Exception {
    JsonNode v = Vectors.read(name);
    PaymentRequirements asked = PaymentRequirements.fromJson(v.path("paymentRequirements"));
    String header = v.path("paymentRequiredHeader").path("PAYMENT-REQUIRED").asString();
    Payer payer =
        new Payer(
            List.of(new SolanaExactClient(key(1), asked.network(), chain(v), Vectors.random(v))),
            new Payer.Limits(BigInteger.TEN.pow(12), Coin.USDC, List.of()));
    assertThat(payer.decide(Optional.of(header), new byte[0]))
        .isInstanceOfSatisfying(
            Payer.Decision.Pay.class,
            pay -> {
              try {
                JsonNode ours = Headers.decode(pay.headerValue());
                assertThat(ours.path("payload").path("transaction").asString())
                    .isEqualTo(
                        v.path("paymentPayload").path("payload").path("transaction").asString());
                assertThat(ours.path("accepted"))
                    .isEqualTo(v.path("paymentPayload").path("accepted"));
              } catch (Exception e) {
                throw new AssertionError(e);
              }
            });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"exact-svm-devnet-random-memo", "exact-svm-mainnet-seller-memo-blockhash-hint"})
  void theTransactionReadsAndWritesAsTheVectors(String name) throws Exception {
    JsonNode v = Vectors.read(name);
    PaymentPayload payment =
        PaymentPayload.fromHeader(
            v.path("paymentSignatureHeader").path("PAYMENT-SIGNATURE").asString());
    SolanaTransaction transaction = SolanaExactTypes.transaction(payment);
    assertThat(Hex.encode(transaction.messageBytes()).substring(2))
        .isEqualTo(v.path("decoded").path("messageHex").asString());
    assertThat(transaction.message().accounts())
        .extracting(SolanaAddress::toString)
        .containsExactlyElementsOf(
            v.path("decoded")
                .path("message")
                .path("staticAccounts")
                .valueStream()
                .map(JsonNode::asString)
                .toList());
    assertThat(transaction.isSignedBy(key(1).address())).isTrue();
    assertThat(transaction.isSignedBy(key(2).address())).isFalse();
    assertThat(transaction.toBase64()).isEqualTo(payment.payload().path("transaction").asString());
  }

  @Test
  void theServersRequirementsAndItsAddressesAreTheVectors() throws Exception {
    JsonNode v = Vectors.read("exact-svm-devnet-random-memo");
    JsonNode a = v.path("addresses");
    assertThat(key(1).address()).hasToString(a.path("client").asString());
    assertThat(key(2).address()).hasToString(a.path("feePayer").asString());
    SolanaAddress mint = SolanaAddress.of("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU");
    assertThat(SolanaAddress.tokenAccount(key(1).address(), SolanaAddress.TOKEN, mint))
        .hasToString(a.path("sourceAta").asString());
    assertThat(SolanaAddress.tokenAccount(key(3).address(), SolanaAddress.TOKEN, mint))
        .hasToString(a.path("destinationAta").asString());
    SolanaExactServer server =
        new SolanaExactServer(
            new SolanaToken(SolanaToken.DEVNET, mint, SolanaAddress.TOKEN, 6),
            key(3).address(),
            key(2).address(),
            60);
    PaymentRequirements ours = server.requirements(BigInteger.valueOf(10_000));
    assertThat(Json.write(ours.toJson())).isEqualTo(Json.write(v.path("paymentRequirements")));
    PaymentPayload payment = PaymentPayload.fromJson(v.path("paymentPayload"));
    assertThat(PaymentMatch.find(payment, List.of(ours))).isEqualTo(new PaymentMatch.Matched(ours));
    assertThat(server.payer(payment)).isEqualTo(a.path("client").asString());
  }

  @Test
  void theFeePayersSignatureMakesTheCosignedVector() throws Exception {
    JsonNode v = Vectors.read("exact-svm-devnet-random-memo");
    SolanaTransaction transaction =
        SolanaExactTypes.transaction(PaymentPayload.fromJson(v.path("paymentPayload")));
    assertThat(transaction.signedBy(key(2)).toBase64())
        .isEqualTo(Vectors.read("exact-svm-devnet-cosigned").path("transaction").asString());
  }
}
