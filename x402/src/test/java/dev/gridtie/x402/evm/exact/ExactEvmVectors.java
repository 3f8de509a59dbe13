package dev.gridtie.x402.evm.exact;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.Signatures;
import dev.gridtie.x402.server.PaymentMatch;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.ResourceInfo;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.security.SecureRandom;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** The published vectors of scheme exact by EIP-3009, byte for byte in both directions. */
class ExactEvmVectors {
  private static JsonNode vector(String name) throws IOException, Json.MalformedJsonException {
    try (InputStream in = ExactEvmVectors.class.getResourceAsStream("/vectors/" + name + ".json")) {
      return Json.parse(in.readAllBytes());
    }
  }

  /** A source of randomness that gives one byte for ever. */
  private static SecureRandom filledWith(int fill) {
    return new SecureRandom() {
      @Override
      public void nextBytes(byte[] bytes) {
        Arrays.fill(bytes, (byte) fill);
      }
    };
  }

  private static Payer payer(JsonNode vector, int fill) {
    EvmKey key = EvmKey.of(vector.path("privateKeys").path("client").asString());
    Instant now = Instant.ofEpochSecond(vector.path("fixedNow").asLong());
    return new Payer(
        List.of(new ExactClient(key, () -> now, filledWith(fill))),
        new Payer.Limits(BigInteger.TEN.pow(12), Coin.USDC, List.of()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"exact-evm-eip3009-84532", "exact-evm-eip3009-8453"})
  void theServersHeaderAndTheClientsAnswerAreTheVectorsBytes(String name) throws Exception {
    JsonNode v = vector(name);
    PaymentRequirements requirements = PaymentRequirements.fromJson(v.path("paymentRequirements"));
    JsonNode r = v.path("paymentRequired").path("resource");
    PaymentRequired required =
        new PaymentRequired(
            v.path("paymentRequired").path("error").asString(),
            new ResourceInfo(
                r.path("url").asString(),
                r.path("description").asString(),
                r.path("mimeType").asString()),
            List.of(requirements));
    String header = v.path("paymentRequiredHeader").path("PAYMENT-REQUIRED").asString();
    assertThat(required.toHeader()).isEqualTo(header);

    int fill = Hex.decode(v.path("randomByteFill").asString())[0];
    Payer.Decision decision = payer(v, fill).decide(Optional.of(header), new byte[0]);
    assertThat(decision)
        .isInstanceOfSatisfying(
            Payer.Decision.Pay.class,
            pay -> {
              assertThat(pay.headerName()).isEqualTo("PAYMENT-SIGNATURE");
              assertThat(pay.headerValue())
                  .isEqualTo(v.path("paymentSignatureHeader").path("PAYMENT-SIGNATURE").asString());
            });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "exact-evm-eip3009-84532",
        "exact-evm-eip3009-8453",
        "v1-exact-evm-eip3009-base-sepolia"
      })
  void hashesAndSignatureAreTheVectors(String name) throws Exception {
    JsonNode v = vector(name);
    JsonNode typed = v.path("typedDataSigned").path(0);
    JsonNode domain = typed.path("domain");
    byte[] separator =
        Eip712.domainSeparator(
            domain.path("name").asString(),
            domain.path("version").asString(),
            domain.path("chainId").asLong(),
            EvmAddress.of(domain.path("verifyingContract").asString()));
    assertThat(Hex.encode(separator)).isEqualTo(typed.path("domainSeparator").asString());
    ExactTypes.Payload payload =
        ExactTypes.Payload.fromJson(v.path("paymentPayload").path("payload"));
    byte[] structHash = payload.authorization().structHash();
    assertThat(Hex.encode(structHash)).isEqualTo(typed.path("structHash").asString());
    byte[] digest = Eip712.digest(separator, structHash);
    assertThat(Hex.encode(digest)).isEqualTo(typed.path("digest").asString());
    assertThat(Hex.encode(payload.signature())).isEqualTo(typed.path("signature").asString());
    assertThat(Signatures.recover(digest, payload.signature()))
        .contains(EvmAddress.of(typed.path("signer").asString()));
    assertThat(payload.toJson()).isEqualTo(v.path("paymentPayload").path("payload"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"exact-evm-eip3009-84532", "exact-evm-eip3009-8453"})
  void theServerReadsTheClientsHeaderAndFindsItsOwnRequirement(String name) throws Exception {
    JsonNode v = vector(name);
    PaymentPayload payment =
        PaymentPayload.fromHeader(
            v.path("paymentSignatureHeader").path("PAYMENT-SIGNATURE").asString());
    assertThat(payment.raw()).isEqualTo(v.path("paymentPayload"));
    PaymentRequirements ours = PaymentRequirements.fromJson(v.path("paymentRequirements"));
    assertThat(PaymentMatch.find(payment, List.of(ours))).isEqualTo(new PaymentMatch.Matched(ours));
    assertThat(Json.write(payment.accepted().orElseThrow().toJson()))
        .isEqualTo(Json.write(v.path("paymentRequirements")));
  }

  @Test
  void versionOneBodyAndHeaderAreTheVectorsBytes() throws Exception {
    JsonNode v = vector("v1-exact-evm-eip3009-base-sepolia");
    JsonNode body = v.path("body402");
    JsonNode one = body.path("accepts").path(0);
    PaymentRequired required =
        new PaymentRequired(
            body.path("error").asString(),
            new ResourceInfo(
                one.path("resource").asString(),
                one.path("description").asString(),
                one.path("mimeType").asString()),
            List.of(PaymentRequirements.fromV1Json(one)));
    assertThat(Json.write(required.toV1Json())).isEqualTo(Json.write(body));

    Payer.Decision decision = payer(v, 0x66).decide(Optional.empty(), Json.writeBytes(body));
    String header = v.path("headers").path("X-PAYMENT").asString();
    assertThat(decision)
        .isInstanceOfSatisfying(
            Payer.Decision.Pay.class,
            pay -> {
              assertThat(pay.headerName()).isEqualTo("X-PAYMENT");
              assertThat(pay.headerValue()).isEqualTo(header);
            });
    PaymentPayload payment = PaymentPayload.fromV1Header(header);
    assertThat(payment.raw()).isEqualTo(v.path("paymentPayload"));
    assertThat(payment.network()).isEqualTo("eip155:84532");
  }

  @Test
  void thePaymentResponseHeaderIsTheVectorsBytes() throws Exception {
    JsonNode v = vector("payment-response-header");
    String header = v.path("PAYMENT-RESPONSE").asString();
    SettleResponse response = SettleResponse.fromHeader(header);
    assertThat(response.toHeader()).isEqualTo(header);
    assertThat(response.toJson()).isEqualTo(v.path("settleResponse"));
    assertThat(Headers.decode(header)).isEqualTo(v.path("settleResponse"));
  }

  @Test
  void theTypeHashesAreTheVectors() throws Exception {
    for (var type : vector("evm-typehashes").properties()) {
      if (type.getValue().has("string")) {
        assertThat(Hex.encode(Eip712.typeHash(type.getValue().path("string").asString())))
            .as(type.getKey())
            .isEqualTo(type.getValue().path("keccak256").asString());
      }
    }
  }
}
