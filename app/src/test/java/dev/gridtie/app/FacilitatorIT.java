package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import dev.gridtie.base.Json;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.evm.exact.ExactServer;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.evm.permit2.Permit2Client;
import dev.gridtie.x402.evm.permit2.Permit2Server;
import dev.gridtie.x402.evm.upto.UptoClient;
import dev.gridtie.x402.evm.upto.UptoServer;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.ResourceInfo;
import java.io.IOException;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** A facilitator alone, over HTTP, on a real chain. */
class FacilitatorIT {
  private static final BigInteger PRICE = BigInteger.valueOf(10_000);
  private static final EvmAddress PAYEE =
      EvmAddress.of("0x90F79bf6EB2c4f870365E785982E1f101E93b906");
  private static final SecureRandom RANDOM = new SecureRandom();

  @TempDir static Path directory;
  private static TestGateway world;
  private static FacilitatorCommand.Running facilitator;
  private static JsonNode supported;

  @BeforeAll
  static void start() throws Exception {
    world = new TestGateway(directory);
    world.chain.giveGas(world.home.evmKey("facilitator-2").address());
    facilitator = running();
    supported = get("/supported");
  }

  private static FacilitatorCommand.Running running() throws IOException {
    GatewayConfig.Chain c = world.config().chain();
    GatewayConfig.Chain two =
        new GatewayConfig.Chain(
            c.rpc(),
            c.network(),
            c.token(),
            c.tokenName(),
            c.tokenVersion(),
            c.decimals(),
            0,
            2,
            2,
            60,
            List.of(),
            2,
            null,
            null,
            null,
            null);
    return new FacilitatorCommand.Running(
        new FacilitatorCommand.Config(
            null, 0, List.of(two), new FacilitatorCommand.Discovery(true, true)),
        world.home);
  }

  @AfterAll
  static void stop() {
    facilitator.close();
    world.close();
  }

  @BeforeEach
  void freshBuyer() throws Exception {
    world.rpc.behaveWell();
    world.buyer = world.fundedBuyer();
    world.chain.allowPermit2(LocalChain.USDC_TOKEN, world.buyer.address());
  }

  private static JsonNode get(String path) throws Exception {
    URI url = URI.create("http://127.0.0.1:" + facilitator.port() + path);
    HttpResponse<String> answer =
        world.http.send(HttpRequest.newBuilder(url).build(), HttpResponse.BodyHandlers.ofString());
    return Json.parse(answer.body().getBytes(UTF_8));
  }

  private static HttpResponse<String> post(String path, byte[] body) throws Exception {
    URI url = URI.create("http://127.0.0.1:" + facilitator.port() + path);
    return world.http.send(
        HttpRequest.newBuilder(url).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build(),
        HttpResponse.BodyHandlers.ofString());
  }

  private static JsonNode ask(String path, ObjectNode question) throws Exception {
    HttpResponse<String> answer = post(path, Json.writeBytes(question));
    assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    return Json.parse(answer.body().getBytes(UTF_8));
  }

  private static PaymentRequirements asked(String kind) {
    return switch (kind) {
      case "exact" -> new ExactServer(LocalChain.USDC_TOKEN, PAYEE, 60).requirements(PRICE);
      case "permit2" -> new Permit2Server(LocalChain.USDC_TOKEN, PAYEE, 60).requirements(PRICE);
      default ->
          new UptoServer(
                  LocalChain.USDC_TOKEN,
                  PAYEE,
                  EvmAddress.of(supported.path("signers").path("eip155:*").path(0).asString()),
                  60)
              .requirements(PRICE);
    };
  }

  private static PaymentSigner signer(String kind, EvmKey key) {
    return switch (kind) {
      case "exact" -> new ExactClient(key, InstantSource.system(), RANDOM);
      case "permit2" -> new Permit2Client(key, InstantSource.system(), RANDOM);
      default -> new UptoClient(key, InstantSource.system(), RANDOM);
    };
  }

  private static ObjectNode question(String kind) throws Exception {
    PaymentRequirements asked = asked(kind);
    JsonNode payload = signer(kind, world.buyer).sign(2, asked);
    ObjectNode json = Json.object().put("x402Version", 2);
    json.set("paymentPayload", PaymentPayload.v2(payload, Json.array(), asked.toJson()));
    json.set("paymentRequirements", asked.toJson());
    return json;
  }

  private static ObjectNode used(ObjectNode question, String amount) {
    ObjectNode changed = question.deepCopy();
    ((ObjectNode) changed.path("paymentRequirements")).put("amount", amount);
    return changed;
  }

  private static BigInteger earned(Callable<?> step) throws Exception {
    BigInteger before = world.chain.usdc(PAYEE);
    Object unused = step.call();
    return world.chain.usdc(PAYEE).subtract(before);
  }

  @Test
  void itSaysWhatItSupports() {
    assertThat(supported.path("kinds").size()).isEqualTo(4);
    assertThat(supported.path("kinds").path(1).path("network").asString())
        .isEqualTo("base-sepolia");
    assertThat(supported.path("signers").path("eip155:*").size()).isEqualTo(2);
    assertThat(supported.path("kinds").path(3).path("extra").path("receiverAuthorizer"))
        .isEqualTo(supported.path("signers").path("eip155:*").path(0));
    assertThat(supported.path("kinds").path(2).path("extra").path("facilitatorAddress"))
        .isEqualTo(supported.path("signers").path("eip155:*").path(0));
  }

  @Test
  void everyKindIsVerifiedAndSettledOnceHoweverOftenItIsAsked() throws Exception {
    for (String kind : List.of("exact", "permit2", "upto")) {
      ObjectNode question = question(kind);
      JsonNode valid = ask("/verify", question);
      assertThat(valid.path("isValid").asBoolean()).as(valid.toString()).isTrue();
      assertThat(valid.path("payer").asString()).isEqualTo(world.buyer.address().toString());
      ObjectNode toSettle = kind.equals("upto") ? used(question, "1858") : question;
      BigInteger moved =
          earned(
              () -> {
                JsonNode settled = ask("/settle", toSettle);
                assertThat(settled.path("success").asBoolean()).as(settled.toString()).isTrue();
                assertThat(ask("/settle", toSettle)).isEqualTo(settled);
                assertThat(settled.path("network").asString()).isEqualTo(LocalChain.NETWORK);
                return true;
              });
      assertThat(moved).isEqualTo(kind.equals("upto") ? BigInteger.valueOf(1858) : PRICE);
    }
  }

  @Test
  void aHundredAtOnceWithOnePaymentSettleItOnce() throws Exception {
    ObjectNode question = question("exact");
    List<Callable<JsonNode>> calls = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      calls.add(() -> ask("/settle", question));
    }
    assertThat(
            earned(
                () -> {
                  try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
                    String first = "";
                    for (Future<JsonNode> call : threads.invokeAll(calls)) {
                      String transaction = call.get().path("transaction").asString();
                      assertThat(call.get().path("success").asBoolean()).isTrue();
                      assertThat(transaction).isEqualTo(first.isEmpty() ? transaction : first);
                      first = transaction;
                    }
                    return true;
                  }
                }))
        .isEqualTo(PRICE);
  }

  @Test
  void theSameAuthorisationForSomethingElseIsADuplicate() throws Exception {
    ObjectNode question = question("upto");
    assertThat(ask("/settle", used(question, "100")).path("success").asBoolean()).isTrue();
    assertThat(ask("/settle", used(question, "200")).path("errorReason").asString())
        .isEqualTo("duplicate_settlement");
  }

  @Test
  void aRefusedPaymentMayComeAgainOnceWhatWasWrongIsMended() throws Exception {
    world.buyer = EvmKey.random(RANDOM);
    ObjectNode question = question("exact");
    JsonNode refused = ask("/settle", question);
    assertThat(refused.path("errorReason").asString())
        .isEqualTo("invalid_exact_evm_insufficient_balance");
    assertThat(refused.path("transaction").asString()).isEmpty();
    world.chain.mint(world.buyer.address(), PRICE);
    assertThat(ask("/settle", question).path("success").asBoolean()).isTrue();
  }

  @Test
  void aRestartInTheMiddleOfASettlementLosesNothing() throws Exception {
    ObjectNode question = question("permit2");
    AtomicBoolean blind = new AtomicBoolean(true);
    world.rpc.behave(
        (method, forward) -> {
          if (method.equals("eth_getTransactionReceipt") && blind.get()) {
            throw new IOException("no answer");
          }
          return forward.answer();
        });
    assertThat(
            earned(
                () -> {
                  JsonNode pending = ask("/settle", question);
                  assertThat(pending.path("errorReason").asString())
                      .isEqualTo("settlement_pending");
                  assertThat(pending.path("transaction").asString()).startsWith("0x");
                  facilitator.close();
                  blind.set(false);
                  facilitator = running();
                  JsonNode settled = ask("/settle", question);
                  assertThat(settled.path("success").asBoolean()).as(settled.toString()).isTrue();
                  assertThat(settled.path("transaction")).isEqualTo(pending.path("transaction"));
                  return true;
                }))
        .isEqualTo(PRICE);
  }

  @Test
  void aSecondFacilitatorOnTheSameHomeDoesNotStart() {
    org.assertj.core.api.Assertions.assertThatThrownBy(FacilitatorIT::running)
        .isInstanceOf(Exception.class)
        .hasMessageContainingAll("facilitator");
  }

  @Test
  void whatCannotBeReadIsSaid() throws Exception {
    for (String body :
        List.of(
            "",
            "[]",
            "{}",
            "{\"paymentPayload\":{},\"paymentRequirements\":{}}",
            "{\"x402Version\":1,\"paymentPayload\":{\"x402Version\":1},\"paymentRequirements\":{}}",
            "nonsense")) {
      HttpResponse<String> verify = post("/verify", body.getBytes(UTF_8));
      assertThat(verify.statusCode()).isEqualTo(400);
      assertThat(verify.body()).contains("\"isValid\":false", "invalid_payload");
      assertThat(post("/settle", body.getBytes(UTF_8)).body())
          .contains("\"success\":false", "invalid_payload");
    }
    assertThat(post("/verify", new byte[70_000]).statusCode()).isEqualTo(413);
    ObjectNode elsewhere = question("exact");
    ((ObjectNode) elsewhere.path("paymentPayload").path("accepted")).put("network", "eip155:1");
    assertThat(ask("/verify", elsewhere).path("invalidReason").asString())
        .isEqualTo("invalid_network");
    ((ObjectNode) elsewhere.path("paymentPayload").path("accepted")).put("scheme", "gift");
    assertThat(ask("/verify", elsewhere).path("invalidReason").asString())
        .isEqualTo("unsupported_scheme");
  }

  /** An origin that answers each request with a 402 that asks to pay this, or with nothing. */
  private static HttpServer origin(PaymentRequirements asked, String description, boolean get)
      throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext(
        "/",
        exchange -> {
          boolean sells = get || exchange.getRequestMethod().equals("POST");
          ObjectNode extensions = Json.object();
          extensions.putObject("bazaar").putObject("info").put("method", "POST");
          PaymentRequired required =
              new PaymentRequired(
                  "PAYMENT-SIGNATURE header is required",
                  new ResourceInfo("http://elsewhere.example/", description, "application/json"),
                  List.of(asked),
                  extensions);
          if (sells) {
            exchange.getResponseHeaders().set(Headers.PAYMENT_REQUIRED, required.toHeader());
          }
          exchange.sendResponseHeaders(sells ? 402 : 405, -1);
          exchange.close();
        });
    server.start();
    return server;
  }

  /** A payment for a URL, whose payer says this of it. */
  private static ObjectNode paymentFor(String url, String description) throws Exception {
    ObjectNode question = question("exact");
    ObjectNode payment = (ObjectNode) question.path("paymentPayload");
    payment.putObject("resource").put("url", url).put("description", description);
    payment.putObject("extensions").putObject("bazaar").putObject("info").put("method", "GET");
    return question;
  }

  private static List<JsonNode> listed() throws Exception {
    return get("/discovery/resources?type=http&limit=100").path("items").valueStream().toList();
  }

  @Test
  void whatIsSoldIsListedAsItsOwnOriginSaysAndByNobodyElse() throws Exception {
    HttpServer seller = origin(asked("exact"), "LLM inference", false);
    HttpServer victim =
        origin(
            new ExactServer(LocalChain.USDC_TOKEN, EvmKey.random(RANDOM).address(), 60)
                .requirements(PRICE),
            "the victim's",
            true);
    try {
      String stolen = "http://127.0.0.1:" + victim.getAddress().getPort() + "/paid";
      String url = "http://127.0.0.1:" + seller.getAddress().getPort() + "/v1/answer";
      // To oneself, for somebody else's API; then for one's own, with another's words.
      assertThat(ask("/settle", paymentFor(stolen, "mine")).path("success").asBoolean()).isTrue();
      assertThat(ask("/settle", paymentFor(url, "buy elsewhere")).path("success").asBoolean())
          .isTrue();
      TestGateway.eventually("it is listed", () -> !listed().isEmpty());
      assertThat(listed())
          .singleElement()
          .satisfies(
              item -> {
                assertThat(item.path("resource").asString()).isEqualTo(url);
                assertThat(item.path("metadata").path("description").asString())
                    .isEqualTo("LLM inference");
                assertThat(item.path("metadata").path("bazaar").path("method").asString())
                    .isEqualTo("POST");
                assertThat(item.path("accepts").path(0).path("payTo").asString())
                    .isEqualTo(PAYEE.toString());
              });
      assertThat(get("/discovery/resources?limit=0").path("error").asString()).contains("limit");
    } finally {
      seller.stop(0);
      victim.stop(0);
    }
  }

  @Test
  void anAmountOfNothingIsNotSettled() throws Exception {
    PaymentRequirements nothing =
        new ExactServer(LocalChain.USDC_TOKEN, PAYEE, 60).requirements(BigInteger.ZERO);
    ObjectNode json = Json.object().put("x402Version", 2);
    json.set(
        "paymentPayload",
        PaymentPayload.v2(
            signer("exact", world.buyer).sign(2, nothing), Json.array(), nothing.toJson()));
    json.set("paymentRequirements", nothing.toJson());
    assertThat(ask("/verify", json).path("isValid").asBoolean()).isFalse();
    assertThat(ask("/settle", json).path("errorMessage").asString()).contains("0 cannot be paid");
  }

  @Test
  void noGasIsGivenAndNoneIsDeclaredWhereNothingIsConfigured() {
    assertThat(supported.path("extensions").valueStream().map(JsonNode::asString))
        .contains("eip2612GasSponsoring", "bazaar")
        .doesNotContain("erc20ApprovalGasSponsoring");
  }
}
