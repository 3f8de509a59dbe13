package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static dev.gridtie.app.TestGateway.eventually;
import static dev.gridtie.app.TestGateway.json;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.evm.upto.UptoClient;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A gateway without keys of its own: somebody else's facilitator settles, and may misbehave. */
class RemoteFacilitatorIT {
  @TempDir Path directory;
  private TestGateway world;
  private FacilitatorCommand.Running facilitator;
  private HttpServer between;
  private final HttpClient http = HttpClient.newHttpClient();
  private volatile Fault fault = Fault.NONE;
  private final AtomicInteger settles = new AtomicInteger();
  private Gateway gateway;

  /** What is done to the facilitator's answers to /settle. */
  private enum Fault {
    NONE,
    LOST,
    PENDING_FIRST,
    LIES_THAT_IT_FAILED
  }

  @BeforeEach
  void start() throws Exception {
    world = new TestGateway(directory);
    Home other = new Home(directory.resolve("facilitator"));
    other.create();
    world.chain.giveGas(other.evmKey("facilitator").address());
    GatewayConfig.Chain chain = world.config().chain();
    facilitator =
        new FacilitatorCommand.Running(
            new FacilitatorCommand.Config(null, 0, List.of(chain)), other);
    between = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    between.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    between.createContext(
        "/",
        exchange -> {
          try (exchange) {
            boolean settle = exchange.getRequestURI().getPath().equals("/settle");
            int number = settle ? settles.incrementAndGet() : 0;
            byte[] body = exchange.getRequestBody().readAllBytes();
            byte[] answer = forward(exchange.getRequestURI().getPath(), body);
            if (settle && fault == Fault.LOST) {
              return; // closed without a word
            }
            if (settle && fault == Fault.PENDING_FIRST && number == 1) {
              answer = refusal("settlement_pending");
            }
            if (settle && fault == Fault.LIES_THAT_IT_FAILED) {
              answer = refusal("invalid_exact_evm_transaction_failed");
            }
            exchange.getResponseHeaders().add("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        });
    between.start();
    GatewayConfig usual = world.config();
    gateway =
        world.start(
            usual.withChains(
                usual
                    .chain()
                    .withSchemes(List.of("exact", "upto"))
                    .withFacilitator("http://127.0.0.1:" + between.getAddress().getPort()),
                List.of(),
                null));
  }

  private static byte[] refusal(String reason) {
    return Json.writeBytes(
        Json.object()
            .put("success", false)
            .put("errorReason", reason)
            .put("transaction", "")
            .put("network", TestGateway.NETWORK));
  }

  private byte[] forward(String path, byte[] body)
      throws java.io.IOException, InterruptedException {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + facilitator.port() + path));
    if (body.length > 0) {
      request
          .header("Content-Type", "application/json")
          .POST(HttpRequest.BodyPublishers.ofByteArray(body));
    }
    return http.send(request.build(), HttpResponse.BodyHandlers.ofString()).body().getBytes(UTF_8);
  }

  @AfterEach
  void stop() {
    gateway.close();
    between.stop(0);
    facilitator.close();
    world.requireSound();
    world.close();
  }

  private static byte[] question() {
    return bytes(chat("What is the ledger?").put("max_tokens", 20));
  }

  private String signed() throws Exception {
    HttpResponse<String> unpaid = world.post(question(), Map.of());
    return world.payFor(
        unpaid, new ExactClient(world.buyer, InstantSource.system(), new SecureRandom()), "");
  }

  @Test
  void anotherOnesFacilitatorSettlesByEveryScheme() throws Exception {
    HttpResponse<String> exact = world.paid(question(), signed());
    assertThat(exact.statusCode()).as(exact.body()).isEqualTo(200);
    BigInteger first = world.spent(world.buyer.address());
    assertThat(first).isPositive().isEqualTo(world.ledgerPaid(world.buyer.address()));
    world.chain.allowPermit2(LocalChain.USDC_TOKEN, world.buyer.address());
    HttpResponse<String> unpaid = world.post(question(), Map.of());
    String ceiling =
        world.payFor(
            unpaid, new UptoClient(world.buyer, InstantSource.system(), new SecureRandom()), "");
    HttpResponse<String> upto = world.paid(question(), ceiling);
    assertThat(upto.statusCode()).as(upto.body()).isEqualTo(200);
    assertThat(world.spent(world.buyer.address()))
        .isGreaterThan(first)
        .isEqualTo(world.ledgerPaid(world.buyer.address()));
  }

  @Test
  void anAnswerThatIsLostAfterTheMoneyMovedIsNoFailure() throws Exception {
    fault = Fault.LOST;
    String payment = signed();
    HttpResponse<String> answer = world.paid(question(), payment);
    assertThat(answer.statusCode()).as("the chain has shown it").isEqualTo(200);
    assertThat(world.spent(world.buyer.address())).isEqualTo(TestGateway.quoted(payment));
  }

  @Test
  void aLieThatItFailedIsFoundOut() throws Exception {
    fault = Fault.LIES_THAT_IT_FAILED;
    String payment = signed();
    HttpResponse<String> answer = world.paid(question(), payment);
    assertThat(answer.statusCode()).isEqualTo(200);
    assertThat(world.spent(world.buyer.address()))
        .isEqualTo(TestGateway.quoted(payment))
        .isEqualTo(world.ledgerPaid(world.buyer.address()));
  }

  @Test
  void whatIsPendingIsAskedAgainAndPaidOnce() throws Exception {
    fault = Fault.PENDING_FIRST;
    String payment = signed();
    eventually(
        "answered",
        () -> {
          HttpResponse<String> answer = world.paid(question(), payment);
          if (answer.statusCode() == 200) {
            return json(answer).path("id").isString();
          }
          assertThat(code(answer)).isEqualTo("settlement_pending");
          return false;
        });
    assertThat(world.spent(world.buyer.address())).isEqualTo(TestGateway.quoted(payment));
  }

  @Test
  void aFacilitatorThatIsAwayTakesNothing() throws Exception {
    String payment = signed();
    facilitator.close();
    HttpResponse<String> refused = world.paid(question(), payment);
    assertThat(refused.statusCode()).isEqualTo(503);
    assertThat(world.spent(world.buyer.address())).isZero();
  }
}
