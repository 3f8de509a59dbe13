package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.eventually;
import static dev.gridtie.app.TestGateway.json;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.receipts.Receipts;
import dev.gridtie.ledger.log.Checkpoint;
import dev.gridtie.ledger.log.SignedNote;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** The public log, as somebody sees it who trusts neither the gateway nor its operator. */
class LogIT {
  @TempDir Path directory;
  private TestGateway world;
  private Gateway gateway;

  @BeforeEach
  void start() throws Exception {
    world = new TestGateway(directory);
    gateway = world.start(world.config());
  }

  @AfterEach
  void stop() {
    gateway.close();
    world.close();
  }

  /** Buys an answer, and returns its receipt once it stands under a checkpoint. */
  private Path receipt(String question) throws Exception {
    byte[] body = bytes(chat(question));
    HttpResponse<String> answer = world.paid(body, world.sign(body));
    String id = answer.headers().firstValue("X-Gridtie-Receipt").orElseThrow();
    Path file = directory.resolve(id + ".json");
    Files.writeString(file, world.get("/v1/receipts/" + id).body());
    eventually(
        "the receipt is in the log",
        () -> world.get("/log/proof/" + Receipts.entryId(id)).statusCode() == 200);
    return file;
  }

  private record Said(int status, String text) {}

  private static Said gridtie(Object... words) {
    PrintStream before = System.out;
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    System.setOut(new PrintStream(out, true, UTF_8));
    try {
      int status =
          new picocli.CommandLine(new Main())
              .setExecutionExceptionHandler(
                  (e, command, parsed) -> {
                    System.out.println(e.getMessage());
                    return 1;
                  })
              .execute(Stream.of(words).map(String::valueOf).toArray(String[]::new));
      return new Said(status, out.toString(UTF_8));
    } finally {
      System.setOut(before);
    }
  }

  private String home() {
    return world.home.path().toString();
  }

  private String logKey() throws Exception {
    return world.get("/log/key").body().strip();
  }

  @Test
  void aReceiptIsCheckedOfflineAndProvedOnline() throws Exception {
    Path file = receipt("What is a receipt?");
    JsonNode signed = Json.parse(Files.readAllBytes(file));
    String key = signed.path("publicKey").asString();
    assertThat(gridtie("receipt", "verify", file).text()).contains("name the operator's");
    Said proved =
        gridtie(
            "receipt", "verify", file, "--key", key, "--online", world.url, "--log-key", logKey());
    assertThat(proved.text()).contains("valid: ", "proved: entry ");
    assertThat(proved.status()).isZero();

    String text = Files.readString(file);
    Path changed = directory.resolve("changed.json");
    for (String[] one :
        List.of(
            new String[] {"\"charged\":\"", "\"charged\":\"1"},
            new String[] {"\"requestHash\":\"", "\"requestHash\":\"0"},
            new String[] {"\"stop\"", "\"length\""})) {
      assertThat(text).contains(one[0]);
      Files.writeString(changed, text.replace(one[0], one[1]));
      assertThat(gridtie("receipt", "verify", changed).text()).contains("NOT VALID");
      assertThat(gridtie("receipt", "verify", changed).status()).isEqualTo(1);
    }
    assertThat(gridtie("receipt", "verify", file, "--key", "AAAA").status()).isEqualTo(1);
    String other = "other+12345678+" + "A".repeat(44);
    assertThat(
            gridtie("receipt", "verify", file, "--online", world.url, "--log-key", other).status())
        .isEqualTo(1);
    Files.writeString(changed, "{}");
    assertThat(gridtie("receipt", "verify", changed).text()).contains("is no receipt");
  }

  @Test
  void aReceiptThatIsNotInTheLogIsNotProved() throws Exception {
    Path file = receipt("What is a receipt?");
    ObjectNode signed = (ObjectNode) Json.parse(Files.readAllBytes(file));
    // The operator signs another receipt with the same id: good by itself, but not what it logged.
    ObjectNode receipt = (ObjectNode) signed.path("receipt").deepCopy();
    ((ObjectNode) receipt.path("price")).put("charged", "1");
    Files.writeString(
        file,
        Json.write(
            new dev.gridtie.gateway.receipts.ReceiptSigner(world.home.receiptKey()).sign(receipt)));
    assertThat(gridtie("receipt", "verify", file).status()).isZero();
    Said said = gridtie("receipt", "verify", file, "--online", world.url);
    assertThat(said.text()).contains("NOT PROVED: the log has another receipt");
    assertThat(said.status()).isEqualTo(1);
  }

  @Test
  void strangersSeeHashesAndNotWhoPaidWhat() throws Exception {
    Path unused = receipt("What is a receipt?");
    long size =
        Checkpoint.parse(SignedNote.parse(world.get("/log/checkpoint").body()).text()).size();
    String bundle = "/log/tile/entries/000.p/" + size;
    assertThat(world.get("/log/tile/0/000.p/" + size).statusCode()).isEqualTo(200);
    assertThat(world.operators(bundle).body()).contains(world.buyer.address().lower());
    HttpResponse<String> stranger = world.get(bundle); // from this machine too
    assertThat(stranger.statusCode()).isEqualTo(403);
    assertThat(stranger.body()).contains("entries_not_published");
    String opened = Ids.derived("open " + account());
    assertThat(gridtie("ledger", "prove", opened, "--home", home()).status()).isZero();
    assertThat(world.get("/log/proof/" + opened).statusCode()).as("not a receipt").isEqualTo(404);
    for (String nothing :
        List.of(
            "/log/",
            "/log/tile/0/000",
            "/log/tile/entries/../../keys",
            "/log/proof/x",
            "/log/consistency/0",
            "/log/consistency/999999")) {
      assertThat(json(world.get(nothing)).path("error").path("code").asString())
          .as(nothing)
          .isEqualTo("not_found");
    }
  }

  private String account() {
    return TestGateway.NETWORK
        + ":"
        + dev.gridtie.x402.evm.local.LocalChain.USDC.lower()
        + "/payer:"
        + world.buyer.address().lower();
  }

  @Test
  void aKeptCheckpointShowsThatTheLogWasRolledBackOrRewritten() throws Exception {
    Path first = receipt("What is a receipt?");
    Path old = directory.resolve("old");
    Path kept = directory.resolve("kept.checkpoint");
    gateway.close();
    copy(world.home.path(), old);
    gateway = world.start(world.config());
    Path second = receipt("How do I pay?");
    assertThat(gridtie("receipt", "verify", second, "--online", world.url, "--save", kept).status())
        .isZero();
    String key = logKey();
    assertThat(gridtie("ledger", "checkpoint", "--home", home()).text())
        .isEqualTo(world.get("/log/checkpoint").body());
    Said agrees = gridtie("ledger", "verify", "--home", home(), "--checkpoint", kept, "--key", key);
    assertThat(agrees.text()).contains("sound: ", "agrees with the checkpoint over ");
    assertThat(agrees.status()).as("beside the running gateway").isZero();
    String id = Json.text(Json.parse(Files.readAllBytes(second)).path("receipt"), "id");
    assertThat(gridtie("ledger", "prove", id, "--home", home()).text()).contains("\"path\"");

    // An older copy is sound by itself, and is told from what was signed since.
    assertThat(gridtie("ledger", "verify", "--home", old).status()).isZero();
    Said rolledBack =
        gridtie("ledger", "verify", "--home", old, "--checkpoint", kept, "--key", key);
    assertThat(rolledBack.text()).contains("DAMAGED", "the log was rolled back");
    assertThat(rolledBack.status()).isEqualTo(1);

    // Another life from the same beginning, as long: a fork.
    gateway.close();
    deleteAll(world.home.path());
    copy(old, world.home.path());
    gateway = world.start(world.config());
    Path third = receipt("What is the ledger?");
    Said forked = gridtie("ledger", "verify", "--home", home(), "--checkpoint", kept, "--key", key);
    assertThat(forked.text()).contains("DAMAGED", "rewritten or forked");
    assertThat(forked.status()).isEqualTo(1);

    Path unsigned = directory.resolve("unsigned.checkpoint");
    Files.writeString(unsigned, Files.readString(kept).replaceFirst("\n[0-9]+\n", "\n1\n"));
    assertThat(
            gridtie("ledger", "verify", "--home", home(), "--checkpoint", unsigned, "--key", key)
                .text())
        .contains("is not signed by");
    assertThat(gridtie("ledger", "verify", "--home", home(), "--checkpoint", kept).text())
        .contains("--key");
    assertThat(List.of(first, third)).allMatch(Files::exists);
  }

  @Test
  void theBooksAreShownBesideTheRunningGateway() throws Exception {
    Path file = receipt("What is a receipt?");
    JsonNode receipt = Json.parse(Files.readAllBytes(file)).path("receipt");
    String payer = world.buyer.address().lower();
    String charged =
        new java.math.BigDecimal(
                new java.math.BigInteger(receipt.path("price").path("charged").asString()), 12)
            .toPlainString();
    assertThat(gridtie("ledger", "balance", "/revenue", "--home", home()).text()).contains(charged);
    assertThat(gridtie("ledger", "balance", "nobody", "--home", home()).text())
        .doesNotContain("payer:");
    String statement = gridtie("ledger", "statement", payer, "--home", home()).text();
    assertThat(statement).contains("transfer", "hold", "post", "-" + charged);
    assertThat(gridtie("ledger", "statement", payer, "--to", "2020-01-01", "--home", home()).text())
        .doesNotContain("transfer");
    assertThat(gridtie("ledger", "statement", "0x", "--home", home()).text())
        .contains("there is no account");
    String id = receipt.path("id").asString();
    assertThat(gridtie("ledger", "show", id, "--home", home()).text())
        .contains("entry  ", "\"type\":\"witness\"");
    assertThat(gridtie("ledger", "show", "0".repeat(32), "--home", home()).text())
        .contains("has no entry");
    Path out = directory.resolve("books.csv");
    assertThat(gridtie("ledger", "export", "--format", "CSV", "-o", out, "--home", home()).status())
        .isZero();
    assertThat(Files.readString(out)).contains("custody:", payer);
    assertThat(gridtie("ledger", "export", "--format", "CSV", "-o", out, "--home", home()).text())
        .contains("is there already");
    assertThat(gridtie("ledger", "balance", "--home", directory.resolve("none")).text())
        .contains("there is no ledger");
  }

  @Test
  void anotherGatewayCosignsTheLogAsLongAsItOnlyGrows() throws Exception {
    TestGateway other = new TestGateway(Files.createDirectories(directory.resolve("other")));
    try (Gateway witness =
        other.start(
            other.config().withLog(new GatewayConfig.LogSettings(null, List.of(logKey()))))) {
      String key = other.get("/log/witness/key").body().strip();
      GatewayConfig watched =
          world
              .config()
              .withLog(
                  new GatewayConfig.LogSettings(
                      List.of(new GatewayConfig.WitnessAt(other.url + "/log/witness", key)), null));
      gateway.close();
      gateway = world.start(watched);
      Path unused = receipt("What is a receipt?");
      SignedNote.Verifier verifier = SignedNote.Verifier.of(key);
      eventually("cosigned", () -> verifier.verify(last()).isPresent());
      SignedNote.Verifier own = SignedNote.Verifier.of(logKey());
      assertThat(own.verify(last())).as("and signed").isPresent();

      // An older copy, restored: it goes on from there, and the witness does not go along.
      Path old = directory.resolve("old");
      gateway.close();
      copy(world.home.path(), old);
      gateway = world.start(watched);
      Path more = receipt("How do I pay?");
      eventually("cosigned again", () -> verifier.verify(last()).isPresent());
      gateway.close();
      deleteAll(world.home.path());
      copy(old, world.home.path());
      gateway = world.start(watched);
      Path fork = receipt("What is the ledger?");
      long before = Checkpoint.parse(last().text()).size();
      Path longer = receipt("What is a hold?");
      eventually("another checkpoint", () -> Checkpoint.parse(last().text()).size() > before);
      Thread.sleep(1_000);
      assertThat(verifier.verify(last())).as("a fork is not cosigned").isEmpty();
      assertThat(List.of(more, fork, longer)).allMatch(Files::exists);

      assertThat(post(other, "old 0\n").statusCode()).isEqualTo(400);
      assertThat(post(other, "old 0\n\n" + otherLogs()).statusCode()).isEqualTo(404);
      assertThat(other.get("/log/witness/add-checkpoint").statusCode()).isEqualTo(405);
    } finally {
      other.close();
    }
  }

  /** A log that nobody watches. */
  private String otherLogs() throws Exception {
    return world.get("/log/checkpoint").body().replace("gridtie-", "another-");
  }

  private SignedNote last() throws Exception {
    return SignedNote.parse(world.get("/log/checkpoint").body());
  }

  private static HttpResponse<String> post(TestGateway at, String body) throws Exception {
    try (HttpClient http = HttpClient.newHttpClient()) {
      return http.send(
          HttpRequest.newBuilder(at.url.resolve("/log/witness/add-checkpoint"))
              .POST(HttpRequest.BodyPublishers.ofString(body))
              .build(),
          HttpResponse.BodyHandlers.ofString());
    }
  }

  @Test
  void aCopyIsMadeWhileRunningAndGoesOnWhenRestored() throws Exception {
    Path first = receipt("What is a receipt?");
    Path then = directory.resolve("then.checkpoint");
    assertThat(gridtie("receipt", "verify", first, "--online", world.url, "--save", then).status())
        .isZero();
    Path backup = directory.resolve("backup");
    Said made = gridtie("ledger", "backup", backup, "--home", home());
    assertThat(made.text()).contains("sound");
    assertThat(made.status()).isZero();
    assertThat(gridtie("ledger", "backup", backup, "--home", home()).text())
        .contains("is there already");
    Path second = receipt("How do I pay?");
    Path now = directory.resolve("now.checkpoint");
    assertThat(gridtie("receipt", "verify", second, "--online", world.url, "--save", now).status())
        .isZero();
    String key = logKey();
    assertThat(
            gridtie("ledger", "verify", "--home", backup, "--checkpoint", then, "--key", key)
                .text())
        .contains("agrees with the checkpoint");
    Said older = gridtie("ledger", "verify", "--home", backup, "--checkpoint", now, "--key", key);
    assertThat(older.text()).contains("missing", "rolled back");

    gateway.close();
    for (String name : List.of("ledger.db", "ledger.head", "ledger.seal")) {
      Files.copy(
          backup.resolve(name),
          world.home.path().resolve(name),
          java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    }
    gateway = world.start(world.config());
    Path third = receipt("What is the ledger?");
    assertThat(
            gridtie("ledger", "verify", "--home", home(), "--checkpoint", then, "--key", key)
                .status())
        .isZero();
    assertThat(third).exists();
  }

  private static void copy(Path from, Path to) throws Exception {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path one : all.toList()) {
        Path there = to.resolve(from.relativize(one).toString());
        if (Files.isDirectory(one)) {
          Files.createDirectories(there);
        } else if (!one.getFileName().toString().endsWith(".lock")) {
          Files.copy(one, there);
        }
      }
    }
  }

  private static void deleteAll(Path folder) throws Exception {
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path one : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(one);
      }
    }
  }
}
