package dev.gridtie.x402;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.WorstInput;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.solana.Base58;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentIdentifier;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.SettleResponse;
import java.net.URI;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** No parser of this module is brought to a stand by any input that it takes. */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class WorstInputFuzz {
  private static final String ACCEPTED =
      "{\"scheme\":\"exact\",\"network\":\"eip155:1\",\"amount\":\"1\",\"asset\":\"0x1\",\"payTo\":\"0x2\",\"maxTimeoutSeconds\":1%s}";

  private static final List<String> PAYMENTS =
      List.of(
          "@",
          "{\"x402Version\":@}",
          "{\"x402Version\":2,\"accepted\":"
              + ACCEPTED.formatted(",\"extra\":@")
              + ",\"payload\":{}}",
          "{\"x402Version\":2,\"accepted\":" + ACCEPTED.formatted("") + ",\"payload\":@}",
          "{\"x402Version\":2,\"extensions\":{\"payment-identifier\":{\"info\":{\"id\":@}}},\"accepted\":"
              + ACCEPTED.formatted("")
              + ",\"payload\":{}}",
          "{\"x402Version\":1,\"scheme\":\"exact\",\"network\":@,\"payload\":{}}");

  private static final String SIGN_IN =
      "{\"domain\":\"a\",\"address\":\"0x1\",\"uri\":\"http://a/\",\"version\":\"1\",\"chainId\":\"eip155:1\",\"nonce\":\"abcdefgh\",\"issuedAt\":\"2026-01-01T00:00:00Z\",\"signature\":\"0x1\"%s}";

  private static String text(byte[] bytes) {
    return new String(bytes, UTF_8);
  }

  /** As a header carries it: three quarters of its length are JSON. */
  private static final int IN_HEADER = Headers.LENGTH_MAX / 4 * 3;

  private static String header(byte[] json) {
    return Base64.getEncoder().encodeToString(json);
  }

  @Test
  void payments() {
    WorstInput.search(
        "payment headers",
        IN_HEADER,
        PAYMENTS,
        bytes -> {
          PaymentPayload payment = PaymentPayload.fromHeader(header(bytes));
          var unused = PaymentIdentifier.of(payment);
        });
    WorstInput.search(
        "v1 payment headers", IN_HEADER, PAYMENTS, b -> PaymentPayload.fromV1Header(header(b)));
    WorstInput.search(
        "requirements",
        IN_HEADER,
        List.of("@", "{\"amount\":@}", "{\"network\":@}", ACCEPTED.formatted(",\"extra\":@")),
        bytes -> {
          PaymentRequirements.fromJson(Json.parse(bytes));
          PaymentRequirements.fromV1Json(Json.parse(bytes));
        });
    WorstInput.search(
        "settlements",
        IN_HEADER,
        List.of("@", "{\"success\":true,\"network\":\"a\",\"amount\":@}"),
        bytes -> SettleResponse.fromHeader(header(bytes)));
    WorstInput.search(
        "headers that are not base64",
        Headers.LENGTH_MAX,
        List.of("@"),
        b -> Headers.decode(text(b)));
  }

  @Test
  void signIns() {
    WorstInput.search(
        "sign-ins",
        IN_HEADER,
        List.of(
            "@",
            SIGN_IN.formatted(",\"statement\":@"),
            SIGN_IN.formatted(",\"expirationTime\":@"),
            SIGN_IN.formatted(",\"resources\":@"),
            SIGN_IN.formatted("").replace("\"abcdefgh\"", "@"),
            SIGN_IN.formatted("").replace("\"http://a/\"", "@")),
        bytes -> {
          SignIn signIn = SignIn.fromHeader(header(bytes));
          var unused =
              signIn.refusal(URI.create("http://a"), Instant.parse("2026-01-01T00:00:01Z"));
          String unused2 = signIn.message();
        });
  }

  @Test
  void addressesAndNetworks() {
    WorstInput.search(
        "base58", Headers.LENGTH_MAX, List.of("@"), bytes -> Base58.decode(text(bytes), 64));
    WorstInput.search(
        "networks",
        Headers.LENGTH_MAX,
        List.of("@", "eip155:@"),
        b -> Networks.evmChainId(text(b)));
  }
}
