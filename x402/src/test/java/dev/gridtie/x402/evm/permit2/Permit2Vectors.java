package dev.gridtie.x402.evm.permit2;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.Vectors;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.Signatures;
import dev.gridtie.x402.evm.permit2.Permit2Types.Payload;
import dev.gridtie.x402.evm.upto.UptoClient;
import dev.gridtie.x402.evm.upto.UptoServer;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.server.PaymentMatch;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.ResourceInfo;
import java.math.BigInteger;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** The published vectors of schemes exact and upto by Permit2, byte for byte in both directions. */
class Permit2Vectors {
  private static boolean upto(String name) {
    return name.startsWith("upto");
  }

  private static PaymentSigner signer(String name, JsonNode v) {
    return upto(name)
        ? new UptoClient(
            Vectors.key(v, "client"),
            new Validity(Vectors.clock(v), Duration.ofHours(1)),
            Vectors.random(v))
        : new Permit2Client(
            Vectors.key(v, "client"),
            new Validity(Vectors.clock(v), Duration.ofHours(1)),
            Vectors.random(v));
  }

  private static ChargeScheme server(String name, PaymentRequirements r) {
    EvmToken token = new EvmToken(r.network(), EvmAddress.of(r.asset()), 6, "USDC", "2");
    EvmAddress payTo = EvmAddress.of(r.payTo());
    return upto(name)
        ? new UptoServer(
            token,
            payTo,
            EvmAddress.of(r.extra().path("facilitatorAddress").asString()),
            r.maxTimeoutSeconds())
        : new Permit2Server(token, payTo, r.maxTimeoutSeconds());
  }

  @ParameterizedTest
  @ValueSource(strings = {"exact-evm-permit2-84532", "upto-evm-84532"})
  void theServersHeaderAndTheClientsAnswerAreTheVectorsBytes(String name) throws Exception {
    JsonNode v = Vectors.read(name);
    PaymentRequirements vectors = PaymentRequirements.fromJson(v.path("paymentRequirements"));
    PaymentRequirements ours = server(name, vectors).requirements(vectors.amount());
    JsonNode r = v.path("paymentRequired").path("resource");
    PaymentRequired required =
        new PaymentRequired(
            v.path("paymentRequired").path("error").asString(),
            new ResourceInfo(
                r.path("url").asString(),
                r.path("description").asString(),
                r.path("mimeType").asString()),
            List.of(ours));
    String header = v.path("paymentRequiredHeader").path("PAYMENT-REQUIRED").asString();
    assertThat(required.toHeader()).isEqualTo(header);
    Payer payer =
        new Payer(
            List.of(signer(name, v)),
            new Payer.Limits(BigInteger.TEN.pow(13), Coin.USDC, List.of()));
    assertThat(payer.decide(Optional.of(header), new byte[0]))
        .isInstanceOfSatisfying(
            Payer.Decision.Pay.class,
            pay ->
                assertThat(pay.headerValue())
                    .isEqualTo(
                        v.path("paymentSignatureHeader").path("PAYMENT-SIGNATURE").asString()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"exact-evm-permit2-84532", "upto-evm-84532"})
  void hashesAndSignatureAreTheVectors(String name) throws Exception {
    JsonNode v = Vectors.read(name);
    JsonNode typed = v.path("typedDataSigned").path(0);
    Payload payload = Payload.fromJson(v.path("paymentPayload").path("payload"), upto(name));
    byte[] digest = payload.authorization().digest(84532);
    assertThat(Hex.encode(Permit2Types.domainSeparator(84532)))
        .isEqualTo(typed.path("domainSeparator").asString());
    assertThat(Hex.encode(digest)).isEqualTo(typed.path("digest").asString());
    assertThat(Signatures.recover(digest, payload.signature()))
        .contains(EvmAddress.of(typed.path("signer").asString()));
    assertThat(Json.write(payload.toJson()))
        .isEqualTo(Json.write(v.path("paymentPayload").path("payload")));
  }

  @ParameterizedTest
  @ValueSource(strings = {"exact-evm-permit2-84532", "upto-evm-84532"})
  void theServerReadsTheClientsHeaderAndFindsItsOwnRequirement(String name) throws Exception {
    JsonNode v = Vectors.read(name);
    PaymentPayload payment =
        PaymentPayload.fromHeader(
            v.path("paymentSignatureHeader").path("PAYMENT-SIGNATURE").asString());
    assertThat(payment.raw()).isEqualTo(v.path("paymentPayload"));
    PaymentRequirements vectors = PaymentRequirements.fromJson(v.path("paymentRequirements"));
    ChargeScheme server = server(name, vectors);
    assertThat(server.takes(payment)).isTrue();
    assertThat(server.payer(payment))
        .isEqualToIgnoringCase("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    PaymentRequirements ours = server.requirements(vectors.amount());
    assertThat(PaymentMatch.find(payment, List.of(ours))).isEqualTo(new PaymentMatch.Matched(ours));
  }
}
