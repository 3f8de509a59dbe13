package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.nodes.WorkAudit;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.ledger.log.CheckpointWatcher;
import dev.gridtie.testkit.FaultyProxy;
import dev.gridtie.testkit.LocalPostgres;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.wire.Headers;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A real chain, a proxy before it that can misbehave, and what a test needs to be a client of a
 * gateway on them.
 */
final class TestGateway implements AutoCloseable {
  static final Path ROOT = Path.of(System.getProperty("gridtie.root"));
  static final String NETWORK = LocalChain.NETWORK;
  static final BigInteger FUNDS = BigInteger.valueOf(10_000_000);

  static final List<Coin> COINS =
      List.of(
          new Coin(NETWORK, LocalChain.USDC.toString(), 6),
          new Coin(NETWORK, LocalChain.PEGGED.address().toString(), 18),
          new Coin(SolanaToken.DEVNET, "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU", 6));

  final LocalChain chain;
  final FaultyProxy rpc;
  final Home home;
  final EvmKey operator = EvmKey.random(new SecureRandom());
  final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  EvmKey buyer;
  URI url = URI.create("http://127.0.0.1:1");

  /** Where the operator's pages are. */
  URI admin = URI.create("http://127.0.0.1:1");

  TestGateway(Path directory) throws Exception {
    this(directory, Boolean.getBoolean("gridtie.postgres"));
  }

  /**
   * @param onPostgres whether its home's ledger is there rather than in a file
   */
  TestGateway(Path directory, boolean onPostgres) throws Exception {
    chain =
        LocalChain.start(
            LocalChain.program(ROOT.resolve("native/node_modules")),
            directory.resolve("chain"),
            freePort());
    rpc = new FaultyProxy(chain.url());
    home = new Home(directory.resolve("home"));
    home.create();
    if (onPostgres) {
      putOnPostgres(home, LocalPostgres.newDatabase());
    }
    chain.giveGas(home.evmKey("facilitator").address());
    buyer = fundedBuyer();
  }

  /** Puts the password of the tests' server where only its owner can read it. */
  static void writePassword(Home home) throws IOException {
    Path file = home.keys().resolve("postgresql.password");
    Files.writeString(file, LocalPostgres.PASSWORD + "\n");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
  }

  /** Has a home use a database of the tests' server. */
  static void putOnPostgres(Home home, String database) throws IOException {
    writePassword(home);
    Files.writeString(
        LedgerAt.file(home.path()),
        new LedgerAt(
                LocalPostgres.url(database), LocalPostgres.USER, null, "keys/postgresql.password")
            .yaml());
  }

  static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  /** A free port behind which those are free that {@code gridtie up} takes as well. */
  static int freePortOfUp() throws IOException {
    while (true) {
      int port = freePort();
      try (ServerSocket chain = new ServerSocket(port + 1);
          ServerSocket admin = new ServerSocket(port + 3)) {
        return admin.isBound() ? chain.getLocalPort() - 1 : port;
      } catch (IOException e) {
        // The next one is taken; try another.
      }
    }
  }

  EvmKey fundedBuyer() throws Exception {
    EvmKey key = EvmKey.random(new SecureRandom());
    chain.mint(key.address(), FUNDS);
    return key;
  }

  GatewayConfig config() {
    return config(0, List.of(tiny("gridtie/tiny", 1024)));
  }

  GatewayConfig config(int port, List<GatewayConfig.Model> models) {
    return new GatewayConfig(
        null,
        port,
        null,
        operator.address().toString(),
        new GatewayConfig.Chain(
            rpc.url().toString(), NETWORK, LocalChain.USDC.toString(), "USDC", "2", 6, 0, 2, 2, 60),
        models,
        null,
        0,
        null,
        null,
        false,
        new GatewayConfig.Limits(0, 2, 0, 0));
  }

  /** A configuration with no models but a catalog's. */
  GatewayConfig config(Path catalog) {
    GatewayConfig c = config();
    return new GatewayConfig(
        null,
        0,
        null,
        c.payTo(),
        c.chain(),
        List.of(),
        catalog.toString(),
        0,
        null,
        null,
        false,
        c.limits());
  }

  /** A configuration of the same chain, for gateways that are processes of their own. */
  String yaml() {
    GatewayConfig c = config();
    return """
        port: 0
        payTo: "%s"
        chain:
          rpc: "%s"
          network: "%s"
          token: "%s"
          tokenName: USDC
          tokenVersion: "2"
          decimals: 6
          rpcTimeoutSeconds: 30
          settleTimeoutSeconds: 30
        models:
          - id: gridtie/tiny
            file: models/tiny/gridtie-tiny-Q8_0.gguf
            quantization: Q8_0
            promptUsdPerMillion: "1"
            completionUsdPerMillion: "4"
            contextTokens: 1024
            threads: 1
        """
        .formatted(c.payTo(), c.chain().rpc(), c.chain().network(), c.chain().token());
  }

  static GatewayConfig.Model tiny(String id, int context) {
    return new GatewayConfig.Model(
        id, "models/tiny/gridtie-tiny-F16.gguf", null, "F16", "1", "4", context, 200, 8, 1);
  }

  Gateway start(GatewayConfig config) throws IOException {
    Gateway gateway = Gateway.start(config, home, new Install(ROOT));
    url = URI.create("http://127.0.0.1:" + gateway.port());
    admin = gateway.adminUrl().orElse(admin);
    return gateway;
  }

  // Being a client

  static ObjectNode chat(String question) {
    ObjectNode json = Json.object();
    json.put("model", "gridtie/tiny");
    json.putArray("messages").addObject().put("role", "user").put("content", question);
    json.put("temperature", 0);
    return json;
  }

  /** A request whose answer is a long stream of nonsense: time enough to interfere. */
  static byte[] longStream(long seed) {
    return bytes(
        chat("What is the ledger?")
            .put("stream", true)
            .put("temperature", 2)
            .put("max_tokens", 900)
            .put("seed", seed));
  }

  HttpResponse<String> paid(byte[] body, String payment) throws Exception {
    return post(body, Map.of(Headers.PAYMENT_SIGNATURE, payment));
  }

  /** Sends a paid request and gives its answer's body while it comes. */
  HttpResponse<InputStream> paidStream(byte[] body, String payment) throws Exception {
    return http.send(
        request(body).setHeader(Headers.PAYMENT_SIGNATURE, payment).build(),
        HttpResponse.BodyHandlers.ofInputStream());
  }

  /** What a payment is for, in atomic units. */
  static BigInteger quoted(String payment) throws Exception {
    return new BigInteger(Headers.decode(payment).path("accepted").path("amount").asString());
  }

  HttpRequest.Builder request(byte[] body) {
    return HttpRequest.newBuilder(url.resolve("/v1/chat/completions"))
        .timeout(Duration.ofSeconds(60))
        .header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofByteArray(body));
  }

  HttpResponse<String> post(byte[] body, Map<String, String> headers) throws Exception {
    HttpRequest.Builder request = request(body);
    headers.forEach(request::setHeader);
    return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  HttpResponse<String> get(String path) throws Exception {
    return http.send(
        HttpRequest.newBuilder(url.resolve(path)).build(), HttpResponse.BodyHandlers.ofString());
  }

  /** A page of the operator's. */
  HttpResponse<String> operators(String path) throws Exception {
    return http.send(
        HttpRequest.newBuilder(admin.resolve(path)).build(), HttpResponse.BodyHandlers.ofString());
  }

  /** Asks for the price and signs it: the payment header's value. */
  String sign(byte[] body) throws Exception {
    return sign(body, buyer);
  }

  String sign(byte[] body, EvmKey key) throws Exception {
    HttpResponse<String> unpaid = post(body, Map.of());
    if (unpaid.statusCode() != 402) {
      throw new AssertionError("expected 402, got " + unpaid.statusCode() + ": " + unpaid.body());
    }
    return payFor(unpaid, key);
  }

  /** Signs what a 402 asks for: the payment header's value. */
  String payFor(HttpResponse<String> unpaid, EvmKey key) {
    return payFor(unpaid, new ExactClient(key, InstantSource.system(), new SecureRandom()), "");
  }

  /**
   * Signs what a 402 asks for, in one way.
   *
   * @param asset the coin to pay in; empty for any
   */
  String payFor(HttpResponse<String> unpaid, PaymentSigner signer, String asset) {
    Payer payer =
        new Payer(
            List.of(signer),
            new Payer.Limits(
                BigInteger.TEN.pow(13),
                COINS.stream().filter(c -> asset.isEmpty() || c.asset().equals(asset)).toList(),
                List.of()));
    return switch (payer.decide(
        Optional.of(unpaid.headers().firstValue(Headers.PAYMENT_REQUIRED).orElseThrow()),
        new byte[0])) {
      case Payer.Decision.Pay pay -> pay.headerValue();
      case Payer.Decision.Refuse refuse -> throw new AssertionError(refuse.why());
    };
  }

  HttpResponse<String> pay(byte[] body) throws Exception {
    return post(body, Map.of(Headers.PAYMENT_SIGNATURE, sign(body)));
  }

  static byte[] bytes(ObjectNode json) {
    return Json.writeBytes(json);
  }

  static JsonNode json(HttpResponse<String> response) throws Exception {
    return Json.parse(response.body().getBytes(UTF_8));
  }

  static String code(HttpResponse<String> response) throws Exception {
    JsonNode error = json(response).path("error");
    if (!error.path("message").isString() || !error.path("type").isString()) {
      throw new AssertionError("not OpenAI's envelope: " + response.body());
    }
    return error.path("code").asString();
  }

  // Looking at what became of the money

  BigInteger spent(EvmAddress buyerAddress) throws Exception {
    return FUNDS.subtract(chain.usdc(buyerAddress));
  }

  /**
   * A sum of an account in a stopped or running gateway's ledger: column of the table account, in
   * pico-dollars.
   */
  BigInteger sum(String owner, String column) throws Exception {
    String asset = NETWORK + ":" + LocalChain.USDC.lower();
    String id = new AccountId(asset, owner).toString();
    return Verifier.read(ledger(), connection -> sum(connection, id, column));
  }

  private static BigInteger sum(Connection connection, String id, String column)
      throws SQLException {
    try (var select =
        connection.prepareStatement("SELECT " + column + " FROM account WHERE id = ?")) {
      select.setString(1, id);
      try (var row = select.executeQuery()) {
        return row.next() ? new BigInteger(row.getString(1)) : BigInteger.ZERO;
      }
    }
  }

  /** What the ledger says this buyer paid, in atomic units. */
  BigInteger ledgerPaid(EvmAddress buyerAddress) throws Exception {
    return new PicoUsd(sum("payer:" + buyerAddress.lower(), "credits_posted"))
        .toAtomicRoundedDown(6);
  }

  /** What the ledger says this buyer was charged, in pico-dollars. */
  BigInteger ledgerCharged(EvmAddress buyerAddress) throws Exception {
    return sum("payer:" + buyerAddress.lower(), "debits_posted");
  }

  BigInteger ledgerHeld(EvmAddress buyerAddress) throws Exception {
    return sum("payer:" + buyerAddress.lower(), "debits_pending");
  }

  private Location ledger() {
    try {
      return home.ledger();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A connection that reaches around the ledger; the gateway is stopped. */
  Connection raw() throws SQLException {
    return switch (ledger()) {
      case Location.OnFile file -> DriverManager.getConnection("jdbc:sqlite:" + file);
      case Location.OnPostgres postgres -> postgres.connect();
    };
  }

  void requireSound() {
    WorkAudit work =
        new WorkAudit(
            new CheckpointWatcher(Verifier.read(ledger(), CheckpointWatcher::kept), List.of()));
    if (Verifier.verify(ledger(), n -> {}, work) instanceof Verifier.Report.Damaged damaged) {
      throw new AssertionError(damaged.problem());
    }
  }

  /** Waits for something that must come true. */
  static void eventually(String what, java.util.concurrent.Callable<Boolean> condition)
      throws Exception {
    for (int i = 0; i < 600; i++) {
      if (condition.call()) {
        return;
      }
      Thread.sleep(50);
    }
    throw new AssertionError("never: " + what);
  }

  @Override
  public void close() {
    rpc.close();
    chain.close();
    http.shutdownNow();
  }
}
