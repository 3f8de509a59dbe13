package dev.gridtie.x402.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.FilePaymentJournal;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.PayingClient;
import dev.gridtie.x402.client.SpendingCaps;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.exact.ExactClient;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;

/** A client that pays for what it asks, at most ten cents a call and a dollar a day. */
final class ExampleClient {
  private static final BigInteger TEN_CENTS = BigInteger.TEN.pow(11);
  private static final BigInteger DOLLAR = BigInteger.TEN.pow(12);

  static String get(URI url, EvmKey key, Path folder) throws Exception {
    InstantSource clock = InstantSource.system();
    Payer payer =
        new Payer(
            List.of(new ExactClient(key, clock, new SecureRandom())),
            new Payer.Limits(TEN_CENTS, Coin.USDC, List.of()));
    SpendingCaps caps = new SpendingCaps(TEN_CENTS, DOLLAR, folder.resolve("spending.json"), clock);
    PayingClient client =
        new PayingClient(payer, caps, new FilePaymentJournal(folder.resolve("payments.json")));
    return switch (client.send("GET", url, Map.of(), new byte[0])) {
      case PayingClient.Result.Answered answered -> {
        try (InputStream body = answered.response().body()) {
          yield new String(body.readAllBytes(), UTF_8);
        }
      }
      case PayingClient.Result.NotPaid notPaid -> "not paid: " + notPaid.why().message();
      case PayingClient.Result.Lost lost -> "lost; the same call again pays nothing: " + lost.why();
    };
  }

  private ExampleClient() {}
}
