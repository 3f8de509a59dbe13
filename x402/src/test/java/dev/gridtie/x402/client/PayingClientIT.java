package dev.gridtie.x402.client;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.evm.exact.ExactServer;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.ResourceInfo;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PayingClientIT {
  private static final EvmAddress ANY = EvmAddress.of("0x90F79bf6EB2c4f870365E785982E1f101E93b906");

  /** Ten millionths of a dollar, in pico-dollars. */
  private static final BigInteger PRICE = BigInteger.valueOf(10_000_000);

  @TempDir Path directory;

  @Test
  void aRequestWhosePaidAnswerDidNotComeIsNotPaidAgainWhenItIsAskedAgain() throws Exception {
    List<String> payments = new CopyOnWriteArrayList<>();
    AtomicBoolean well = new AtomicBoolean();
    String offer =
        new PaymentRequired(
                "pay",
                new ResourceInfo("http://x", "x", "text/plain"),
                List.of(
                    new ExactServer(new EvmToken("eip155:84532", ANY, 6, "USDC", "2"), ANY, 60)
                        .requirements(BigInteger.TEN)))
            .toHeader();
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          try (exchange) {
            String payment = exchange.getRequestHeaders().getFirst("PAYMENT-SIGNATURE");
            if (payment != null) {
              payments.add(payment);
            }
            exchange.getResponseHeaders().set("PAYMENT-REQUIRED", offer);
            exchange.sendResponseHeaders(payment == null ? 402 : well.get() ? 200 : 503, -1);
          }
        });
    server.start();
    try {
      SpendingCaps caps =
          new SpendingCaps(
              PRICE,
              PRICE.multiply(BigInteger.TEN),
              directory.resolve("s.json"),
              InstantSource.system());
      ExactClient signer =
          new ExactClient(
              EvmKey.random(new SecureRandom()), InstantSource.system(), new SecureRandom());
      Payer payer =
          new Payer(
              List.of(signer),
              new Payer.Limits(
                  PRICE, List.of(new Coin("eip155:84532", ANY.toString(), 6)), List.of()));
      Path journal = directory.resolve("payments.json");
      PayingClient client = new PayingClient(payer, caps, new FilePaymentJournal(journal));
      URI url = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/");
      byte[] body = "question".getBytes(UTF_8);
      assertThat(status(client.send("POST", url, Map.of(), body))).isEqualTo(503);
      well.set(true);
      // Another process with the same journal: as after a crash.
      client = new PayingClient(payer, caps, new FilePaymentJournal(journal));
      assertThat(status(client.send("POST", url, Map.of(), body))).isEqualTo(200);
      assertThat(payments.stream().distinct()).hasSize(1);
      assertThat(caps.spentToday()).isEqualTo(PRICE);
      assertThat(status(client.send("POST", url, Map.of(), body))).isEqualTo(200);
      assertThat(payments.stream().distinct()).as("a new question is a new payment").hasSize(2);
    } finally {
      server.stop(0);
    }
  }

  /**
   * A seller that answers each paid request with one status, then with 200; the distinct payments
   * it got.
   */
  private List<String> paymentsAfter(int status, List<Integer> said) throws Exception {
    List<String> payments = new CopyOnWriteArrayList<>();
    String offer =
        new PaymentRequired(
                "pay",
                new ResourceInfo("http://x", "x", "text/plain"),
                List.of(
                    new ExactServer(
                            new EvmToken("eip155:84532", ANY, 6, "USDC", "2"), ANY, 315_360_000)
                        .requirements(BigInteger.TEN)))
            .toHeader();
    AtomicBoolean well = new AtomicBoolean();
    Transport seller =
        (method, url, headers, body) -> {
          String payment = headers.get("PAYMENT-SIGNATURE");
          if (payment != null) {
            payments.add(payment);
          }
          return new PayingClient.Answer(
              payment == null ? 402 : well.get() ? 200 : status,
              java.net.http.HttpHeaders.of(
                  Map.of("PAYMENT-REQUIRED", List.of(offer)), (a, b) -> true),
              java.io.InputStream.nullInputStream());
        };
    InstantSource clock = InstantSource.system();
    SpendingCaps caps =
        new SpendingCaps(
            PRICE, PRICE.multiply(BigInteger.TEN), directory.resolve("caps" + status), clock);
    Payer payer =
        new Payer(
            List.of(new ExactClient(EvmKey.random(new SecureRandom()), clock, new SecureRandom())),
            new Payer.Limits(
                PRICE, List.of(new Coin("eip155:84532", ANY.toString(), 6)), List.of()));
    Path journal = directory.resolve("journal" + status);
    URI url = URI.create("http://seller/");
    for (int i = 0; i < 3; i++) {
      well.set(i == 2);
      PayingClient client =
          new PayingClient(
              new CappedPayer(payer, caps, new FilePaymentJournal(journal), clock),
              seller,
              java.time.Duration.ZERO);
      said.add(status(client.send("POST", url, Map.of(), new byte[0])));
    }
    assertThat(caps.spentToday()).as("counted once, and not given back").isEqualTo(PRICE);
    return payments.stream().distinct().toList();
  }

  @org.junit.jupiter.params.ParameterizedTest
  @org.junit.jupiter.params.provider.ValueSource(ints = {302, 400, 402, 409, 429, 500, 502, 504})
  void whateverASellerAnswersToAPaymentTheSameRequestSendsTheSameOneAgain(int status)
      throws Exception {
    List<Integer> said = new java.util.ArrayList<>();
    List<String> payments = paymentsAfter(status, said);
    assertThat(said).containsExactly(status, status, 200);
    assertThat(payments).hasSize(1);
    long until =
        Long.parseLong(
            dev.gridtie.x402.wire.Headers.decode(payments.getFirst())
                .path("payload")
                .path("authorization")
                .path("validBefore")
                .asString());
    assertThat(until)
        .as("ten years were asked for")
        .isLessThanOrEqualTo(InstantSource.system().instant().getEpochSecond() + 90);
  }

  private static int status(PayingClient.Result result) {
    return ((PayingClient.Result.Answered) result).response().statusCode();
  }
}
