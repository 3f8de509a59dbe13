package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.eventually;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.base.Secret;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.gateway.account.UsageStore;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.testkit.LocalPostgres;
import dev.gridtie.x402.wire.Headers;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Several gateways, each a process of its own, on one PostgreSQL. */
class SharedLedgerIT {
  @TempDir Path directory;

  private TestGateway world;
  private String database;
  private final List<Home> homes = new ArrayList<>();
  private final List<Spawned> running = new ArrayList<>();
  private final List<URI> urls = new ArrayList<>();
  private final byte[] body = bytes(chat("What is a receipt?"));

  @BeforeEach
  void start() throws Exception {
    world = new TestGateway(directory);
    database = LocalPostgres.newDatabase();
  }

  @AfterEach
  void stop() throws Exception {
    Spawned.endAll();
    for (Spawned one : running) {
      Files.readAllLines(one.log()).stream()
          .filter(line -> line.startsWith("gridtie: "))
          .forEach(System.err::println);
    }
    if (Files.exists(LedgerAt.file(world.home.path()))) {
      requireSound();
    }
    world.close();
  }

  private void requireSound() throws Exception {
    assertThat(Verifier.verify(world.home.ledger(), ignored -> {}))
        .isInstanceOf(Verifier.Report.Sound.class);
  }

  /** Another home on the shared ledger; the first is the world's own. */
  private void join(int gateways) throws Exception {
    try (Database made =
        Database.open(
            new Location.OnPostgres(
                LocalPostgres.url(database),
                LocalPostgres.USER,
                new Secret(LocalPostgres.PASSWORD),
                directory.resolve("made.head")),
            List.of(GatewayTables.MIGRATIONS))) {
      assertThat(made.where()).isNotNull();
    }
    for (int i = 0; i < gateways; i++) {
      Home home = i == 0 ? world.home : new Home(directory.resolve("home" + i));
      home.create();
      TestGateway.putOnPostgres(home, database);
      if (i > 0) {
        var unused = world.home.logSigner();
        Files.copy(world.home.keyFile("log"), home.keyFile("log"));
      }
      world.chain.giveGas(home.evmKey("facilitator").address());
      homes.add(home);
      running.add(spawn(home, i));
    }
    for (Spawned one : running) {
      urls.add(one.awaitReady());
    }
    world.url = urls.getFirst();
  }

  private Spawned spawn(Home home, int number) throws Exception {
    Path config = directory.resolve("gateway" + number + ".yaml");
    GatewayConfig c = world.config();
    Files.writeString(config, world.yaml() + "credits:\n  usdPerCredit: \"0.02\"\n");
    List<String> command = new ArrayList<>(Spawned.java());
    command.addAll(
        List.of("gateway", "--config", config.toString(), "--home", home.path().toString()));
    return Spawned.start(command, directory.resolve("gateway" + number + ".log"));
  }

  private HttpResponse<String> post(int gateway, byte[] request, Map<String, String> headers)
      throws Exception {
    var builder = world.request(request);
    headers.forEach(builder::setHeader);
    return world.http.send(
        builder.uri(urls.get(gateway).resolve("/v1/chat/completions")).build(),
        HttpResponse.BodyHandlers.ofString());
  }

  private static String said(HttpResponse<String> response) throws Exception {
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    return Json.parse(response.body().getBytes(UTF_8))
        .path("choices")
        .path(0)
        .path("message")
        .path("content")
        .asString();
  }

  @Test
  void onePaymentThatComesToTwoGatewaysIsChargedOnceAndAnsweredAlike() throws Exception {
    join(2);
    for (int round = 0; round < 5; round++) {
      world.buyer = world.fundedBuyer();
      String payment = world.sign(body);
      List<Callable<HttpResponse<String>>> all = new ArrayList<>();
      for (int i = 0; i < 10; i++) {
        int gateway = i % 2;
        all.add(() -> post(gateway, body, Map.of(Headers.PAYMENT_SIGNATURE, payment)));
      }
      List<String> answers = new ArrayList<>();
      try (var threads = Executors.newFixedThreadPool(10)) {
        for (Future<HttpResponse<String>> one : threads.invokeAll(all)) {
          answers.add(said(one.get()));
        }
      }
      assertThat(answers).allMatch(answers.getFirst()::equals);
      BigInteger quote = TestGateway.quoted(payment);
      assertThat(world.spent(world.buyer.address())).isEqualTo(quote);
      assertThat(world.ledgerPaid(world.buyer.address())).isEqualTo(quote);
      assertThat(world.ledgerHeld(world.buyer.address())).isZero();
      assertThat(world.ledgerCharged(world.buyer.address())).isPositive();
      assertThat(new PicoUsd(world.ledgerCharged(world.buyer.address())).toAtomicRoundedUp(6))
          .isLessThanOrEqualTo(quote);
    }
  }

  @Test
  void whatAKilledGatewayHadBegunIsGivenByAnother() throws Exception {
    join(2);
    byte[] stream = TestGateway.longStream(7);
    String payment = world.sign(stream);
    InputStream cut = world.paidStream(stream, payment).body();
    assertThat(cut.readNBytes(200)).hasSize(200);
    running.getFirst().process().destroyForcibly().waitFor();
    world.url = urls.get(1);
    eventually(
        "the other gives the answer, once it knows that the first is gone",
        () -> {
          HttpResponse<String> again = world.paid(stream, payment);
          return again.statusCode() == 200 && again.body().endsWith("data: [DONE]\n\n");
        });
    assertThat(world.ledgerPaid(world.buyer.address())).isEqualTo(TestGateway.quoted(payment));
    assertThat(world.spent(world.buyer.address())).isEqualTo(TestGateway.quoted(payment));
    assertThat(world.ledgerHeld(world.buyer.address())).isZero();
  }

  private ApiKey.Fresh key(KeyLimits limits) throws Exception {
    try (KeyStore store = KeyStore.open(homes.get(2).ledger())) {
      ApiKey.Fresh fresh = ApiKey.create("shared", limits, Instant.now(), new SecureRandom());
      assertThat(store.add(fresh.key())).isTrue();
      return fresh;
    }
  }

  /** Asks at four gateways until all refuse, and says how often they have answered. */
  private int askUntilRefused(String secret, String code) throws Exception {
    AtomicInteger answered = new AtomicInteger();
    AtomicInteger refused = new AtomicInteger();
    List<Callable<Boolean>> clients = new ArrayList<>();
    for (int i = 0; i < 32; i++) {
      int number = i;
      clients.add(
          () -> {
            int inARow = 0;
            for (int n = 0; n < 400 && inARow < 8; n++) {
              byte[] ask = bytes(chat("What is gridtie?").put("max_tokens", 40).put("seed", n));
              HttpResponse<String> response =
                  post(number % 4, ask, Map.of("Authorization", "Bearer " + secret));
              switch (response.statusCode()) {
                case 200 -> {
                  answered.incrementAndGet();
                  inARow = 0;
                }
                case 402 -> {
                  assertThat(response.body()).contains(code);
                  refused.incrementAndGet();
                  inARow++;
                  Thread.sleep(300);
                }
                default -> throw new AssertionError(response.statusCode() + ": " + response.body());
              }
            }
            return true;
          });
    }
    try (var threads = Executors.newFixedThreadPool(clients.size())) {
      for (Future<Boolean> one : threads.invokeAll(clients)) {
        assertThat(one.get()).isTrue();
      }
    }
    assertThat(refused.get()).isPositive();
    return answered.get();
  }

  @Test
  void fourGatewaysDoNotSpendMoreCreditsThanThereAre() throws Exception {
    join(4);
    // 0.5 credits, by work: as many as some 60 answers come to.
    Path work = directory.resolve("work.json");
    Files.writeString(
        work,
        "{\"id\": \"w1\", \"holder\": \"ann\", \"flop\": \"70000000000000000\", \"evidenceSha256\": \""
            + "ab".repeat(32)
            + "\"}");
    List<String> mint = new ArrayList<>(Spawned.java());
    mint.addAll(
        List.of("credits", "mint", work.toString(), "--home", world.home.path().toString()));
    assertThat(Spawned.run(0, mint)).contains("0.500000 credits for ann");
    String secret = key(KeyLimits.NONE.paidFrom("ann")).secret().reveal();
    int answered = askUntilRefused(secret, "credits_exhausted");
    assertThat(answered).isGreaterThan(10);
    eventually(
        "nothing is held any more",
        () ->
            Verifier.read(
                world.home.ledger(),
                c -> Credits.supply(c, LocalDate.now(ZoneOffset.UTC)).held().signum() == 0));
    Credits.Supply supply =
        Verifier.read(world.home.ledger(), c -> Credits.supply(c, LocalDate.now(ZoneOffset.UTC)));
    assertThat(supply.minted()).isEqualTo(500_000);
    assertThat(supply.circulating()).isNotNegative().isLessThan(BigInteger.valueOf(60_000));
    assertThat(supply.minted()).isEqualTo(supply.returned().add(supply.circulating()));

    JsonNode quote = Json.parse(world.get("/v1/credits/quote?usd=1").body().getBytes(UTF_8));
    assertThat(quote.path("credits").asString()).isEqualTo("50.000000");
    assertThat(world.get("/v1/credits/quote?usd=x").statusCode()).isEqualTo(400);
    assertThat(world.get("/v1/credits/supply").body()).contains("\"minted\":\"0.500000\"");
    assertThat(give(secret, "{\"to\":\"bob\",\"credits\":\"0.000001\",\"id\":\"1\"}").statusCode())
        .isEqualTo(200);
    assertThat(give(secret, "{\"to\":\"bob\",\"credits\":\"0.000001\",\"id\":\"1\"}").statusCode())
        .isEqualTo(200);
    assertThat(give(secret, "{\"to\":\"bob\",\"credits\":\"100\",\"id\":\"2\"}").statusCode())
        .isEqualTo(402);
    assertThat(give(secret, "{\"to\":\"../\",\"credits\":\"1\",\"id\":\"3\"}").statusCode())
        .isEqualTo(400);
    assertThat(give("gt-none", "{}").statusCode()).isEqualTo(401);
    HttpResponse<String> statement =
        world.http.send(
            HttpRequest.newBuilder(world.url.resolve("/v1/credits/statement"))
                .header("Authorization", "Bearer " + secret)
                .build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(statement.body())
        .contains("\"holder\":\"ann\"", "\"credits\":\"0.500000\"", "\"credits\":\"-0.000001\"");
  }

  private HttpResponse<String> give(String secret, String json) throws Exception {
    return world.http.send(
        HttpRequest.newBuilder(world.url.resolve("/v1/credits/transfer"))
            .header("Authorization", "Bearer " + secret)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(json))
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }

  @Test
  void fourGatewaysDoNotPassTheLimitOfAKeyThatTheyShare() throws Exception {
    join(4);
    PicoUsd limit = PicoUsd.ofDollars("0.05");
    ApiKey.Fresh fresh =
        key(
            new KeyLimits(
                Optional.of(limit), Optional.empty(), Optional.empty(), Map.of(), Map.of(), 0, 0));
    String keyId = fresh.key().id();
    int answered = askUntilRefused(fresh.secret().reveal(), "key_limit_reached");
    BigInteger[] sum = {BigInteger.ZERO};
    int[] rows = {0};
    eventually(
        "all that was answered is written down",
        () -> {
          sum[0] = BigInteger.ZERO;
          rows[0] = 0;
          return Verifier.read(
              world.home.ledger(),
              c -> {
                UsageStore.forEach(
                    c,
                    row -> {
                      sum[0] = sum[0].add(row.cost().pico());
                      rows[0]++;
                    });
                return rows[0] == answered;
              });
        });
    assertThat(sum[0]).isLessThanOrEqualTo(limit.pico());
    // What is left is less than what one more request may cost at each gateway.
    assertThat(limit.pico().subtract(sum[0])).isLessThan(limit.pico().divide(BigInteger.TWO));
    BigInteger owed =
        Verifier.read(
            world.home.ledger(),
            c ->
                new LedgerReader(c)
                    .accounts().stream()
                        .filter(a -> a.id().owner().equals(keyId.replace("key-", "key:")))
                        .map(a -> a.debitsPosted())
                        .findFirst()
                        .orElse(BigInteger.ZERO));
    assertThat(owed).isEqualTo(sum[0]);
  }

  @Test
  void aHomeMovesToPostgresAndBackWithItsPaymentsAndKeys() throws Exception {
    String first;
    String payment;
    try (Gateway gateway = world.start(world.config())) {
      assertThat(gateway.port()).isPositive();
      payment = world.sign(body);
      first = said(world.paid(body, payment));
    }
    try (KeyStore store = KeyStore.open(world.home.ledger())) {
      assertThat(
              store.add(
                  ApiKey.create("mine", KeyLimits.NONE, Instant.now(), new SecureRandom()).key()))
          .isTrue();
    }
    TestGateway.writePassword(world.home);
    List<String> there = new ArrayList<>(Spawned.java());
    there.addAll(
        List.of(
            "ledger",
            "migrate",
            "--home",
            world.home.path().toString(),
            "--to",
            LocalPostgres.url(database),
            "--user",
            LocalPostgres.USER,
            "--password-file",
            "keys/postgresql.password"));
    assertThat(Spawned.run(0, there)).contains("each compared and verified");
    assertThat(Files.readString(LedgerAt.file(world.home.path())))
        .doesNotContain(": '" + LocalPostgres.PASSWORD + "'\npassword:");
    requireSound();
    Files.delete(world.home.path().resolve("ledger.db"));
    try (Gateway gateway = world.start(world.config())) {
      assertThat(gateway.port()).isPositive();
      assertThat(said(world.paid(body, payment))).isEqualTo(first);
      world.buyer = world.fundedBuyer();
      assertThat(said(world.paid(body, world.sign(body)))).isNotEmpty();
    }
    try (KeyStore store = KeyStore.open(world.home.ledger())) {
      assertThat(store.find("mine")).isPresent();
    }
    for (String old : List.of("ledger.head", "ledger.seal", "ledger.lock")) {
      Files.deleteIfExists(world.home.path().resolve(old));
    }
    List<String> back = new ArrayList<>(Spawned.java());
    back.addAll(List.of("ledger", "migrate", "--home", world.home.path().toString(), "--to-file"));
    assertThat(Spawned.run(0, back)).contains("each compared and verified");
    assertThat(world.home.ledger()).isInstanceOf(Location.OnFile.class);
    try (Gateway gateway = world.start(world.config())) {
      assertThat(gateway.port()).isPositive();
      assertThat(said(world.paid(body, payment))).isEqualTo(first);
    }
  }
}
