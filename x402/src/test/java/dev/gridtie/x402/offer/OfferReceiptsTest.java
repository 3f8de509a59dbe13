package dev.gridtie.x402.offer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.security.KeyPairGenerator;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

class OfferReceiptsTest {
  private static final Instant NOW = Instant.ofEpochSecond(1_800_000_000);
  private static final String URL = "https://models.example.com/v1/chat/completions";

  private static OfferReceipts issuer() throws Exception {
    return new OfferReceipts(
        KeyPairGenerator.getInstance("Ed25519").generateKeyPair(), Duration.ofMinutes(5));
  }

  private static JsonNode offer(OfferReceipts issuer) {
    PaymentRequirements asked =
        new PaymentRequirements(
            "exact", "eip155:84532", BigInteger.TEN, "0xA", "0xB", 60, Json.object());
    return issuer.offers(URL, List.of(asked), NOW).path("info").path("offers").path(0);
  }

  private static JsonNode receipt(OfferReceipts issuer, String payer) {
    return issuer.receipt(URL, "eip155:84532", payer, "0x1", NOW).path("info").path("receipt");
  }

  @Test
  void whatIsSignedIsReadAndMatches() throws Exception {
    OfferReceipts issuer = issuer();
    OfferReceipts.Statement offer = OfferReceipts.read(offer(issuer));
    assertThat(offer.keyId()).isEqualTo(issuer.keyId()).startsWith("did:key:z6Mk");
    assertThat(offer.payload().path("amount").asString()).isEqualTo("10");
    assertThat(offer.payload().path("validUntil").asLong()).isEqualTo(1_800_000_300L);
    OfferReceipts.Statement receipt = OfferReceipts.read(receipt(issuer, "0xAb"));
    assertThat(receipt.isReceiptFor(offer, "0xaB")).isTrue();
    assertThat(receipt.isReceiptFor(offer, "0xac")).isFalse();
    assertThat(OfferReceipts.read(receipt(issuer(), "0xAb")).isReceiptFor(offer, "0xab"))
        .as("another key's")
        .isFalse();
  }

  @Test
  void whateverIsChangedIsFound() throws Exception {
    ObjectNode signed = (ObjectNode) offer(issuer());
    String jws = signed.path("signature").asString();
    for (int i = 0; i < jws.length(); i++) {
      char other = jws.charAt(i) == 'A' ? 'B' : 'A';
      String changed = jws.substring(0, i) + other + jws.substring(i + 1);
      if (i == jws.length() - 1) {
        continue; // its last four bits are no part of the signature
      }
      assertThatThrownBy(() -> OfferReceipts.read(signed.deepCopy().put("signature", changed)))
          .as("at " + i)
          .isInstanceOf(MalformedPaymentException.class);
    }
    for (String wrong : List.of("", "a.b", "..", "e30.e30.e30", "x".repeat(20_000))) {
      assertThatThrownBy(() -> OfferReceipts.read(signed.deepCopy().put("signature", wrong)))
          .isInstanceOf(MalformedPaymentException.class);
    }
  }
}
