package dev.gridtie.x402.evm.batch;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.Vectors;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.Signatures;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Claim;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.batch.BatchTypes.Voucher;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/** The published vectors of scheme batch-settlement, byte for byte in both directions. */
class BatchVectors {
  private static final long CHAIN = 84532;

  @ParameterizedTest
  @CsvSource({
    "deposit-eip3009, 0, client",
    "deposit-permit2, 0, client",
    "deposit-delegated-voucher-signer, 0, voucherSigner",
    "voucher, 700, client",
  })
  void theClientsPayloadIsTheVectors(String name, long charged, String signer) throws Exception {
    JsonNode v = Vectors.read("batch-settlement-evm-" + name + "-84532");
    PaymentRequirements asked = PaymentRequirements.fromJson(v.path("paymentRequirements"));
    BatchClient client =
        new BatchClient(
            Vectors.key(v, "client"),
            Vectors.key(v, signer),
            new Validity(Vectors.clock(v), Duration.ofHours(1)),
            Vectors.random(v));
    JsonNode payload = v.path("paymentPayload").path("payload");
    ChannelConfig channel = client.channel(asked, new byte[32]);
    Payload ours =
        payload.has("deposit")
            ? client.deposit(
                asked,
                channel,
                BigInteger.valueOf(charged),
                new BigInteger(payload.path("deposit").path("amount").asString()))
            : client.voucher(asked, channel, BigInteger.valueOf(charged));
    assertThat(Json.write(ours.toJson())).isEqualTo(Json.write(payload));
    assertThat(Json.write(Payload.fromJson(payload).toJson())).isEqualTo(Json.write(payload));
    for (JsonNode typed : v.path("typedDataSigned")) {
      assertThat(
              Signatures.recover(
                  Hex.decode(typed.path("digest").asString()),
                  Hex.decode(typed.path("signature").asString())))
          .contains(EvmAddress.of(typed.path("signer").asString()));
    }
  }

  @Test
  void aChannelsNameIsTheWholeDigestOfItsConfiguration() throws Exception {
    JsonNode v = Vectors.read("batch-settlement-evm-authorizer-84532");
    JsonNode derivation = v.path("channelIdDerivation");
    ChannelConfig config = ChannelConfig.fromJson(derivation.path("message"));
    assertThat(Hex.encode(config.id(CHAIN))).isEqualTo(derivation.path("digest").asString());
    assertThat(Hex.encode(BatchTypes.domainSeparator(CHAIN)))
        .isEqualTo(derivation.path("domainSeparator").asString());
  }

  @Test
  void whatTheReceiversAuthorizerSignsIsTheVectors() throws Exception {
    JsonNode v = Vectors.read("batch-settlement-evm-authorizer-84532");
    EvmKey authorizer = Vectors.key(v, "receiverAuthorizer");
    List<Claim> claims = new ArrayList<>();
    for (String name : List.of("deposit-eip3009", "deposit-delegated-voucher-signer")) {
      JsonNode payload =
          Vectors.read("batch-settlement-evm-" + name + "-84532")
              .path("paymentPayload")
              .path("payload");
      JsonNode entry =
          v.path("typedDataSigned").path(0).path("message").path("claims").path(claims.size());
      Payload read = Payload.fromJson(payload);
      claims.add(
          new Claim(
              read.config(),
              new BigInteger(entry.path("maxClaimableAmount").asString()),
              read.voucher().signature(),
              new BigInteger(entry.path("totalClaimed").asString())));
    }
    byte[] batch = BatchTypes.claimBatchDigest(claims, CHAIN);
    JsonNode claimed = v.path("typedDataSigned").path(0);
    assertThat(Hex.encode(batch)).isEqualTo(claimed.path("digest").asString());
    assertThat(Hex.encode(authorizer.sign(batch))).isEqualTo(claimed.path("signature").asString());
    JsonNode refund = v.path("typedDataSigned").path(1);
    byte[] digest =
        BatchTypes.refundDigest(
            Hex.decode(refund.path("message").path("channelId").asString()),
            new BigInteger(refund.path("message").path("nonce").asString()),
            new BigInteger(refund.path("message").path("amount").asString()),
            CHAIN);
    assertThat(Hex.encode(digest)).isEqualTo(refund.path("digest").asString());
    assertThat(Hex.encode(authorizer.sign(digest))).isEqualTo(refund.path("signature").asString());
    assertThat(Voucher.digest(new byte[32], BigInteger.ONE, CHAIN)).hasSize(32);
  }
}
