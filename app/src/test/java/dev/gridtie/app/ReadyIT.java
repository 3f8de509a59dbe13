package dev.gridtie.app;

import static dev.gridtie.app.TestGateway.bytes;
import static dev.gridtie.app.TestGateway.chat;
import static dev.gridtie.app.TestGateway.code;
import static dev.gridtie.app.TestGateway.eventually;
import static dev.gridtie.app.TestGateway.json;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gridtie.base.ready.Report;
import dev.gridtie.testkit.LocalPostgres;
import dev.gridtie.testkit.TcpProxy;
import dev.gridtie.x402.evm.local.LocalChain;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** A gateway is ready when a paid request would succeed, and else it says what is missing. */
class ReadyIT {
  private static final String COIN = "coin " + LocalChain.NETWORK + ":" + LocalChain.USDC;

  @TempDir Path directory;

  private TestGateway world;

  @BeforeEach
  void start() throws Exception {
    world = new TestGateway(directory, false);
  }

  @AfterEach
  void stop() {
    world.close();
  }

  /** A gateway without a model: what is tested here is money, not answers. */
  private GatewayConfig config() {
    return world.config(0, List.of());
  }

  private GatewayConfig with(String network, String token, String name, int decimals) {
    GatewayConfig.Chain c = config().chain();
    return config()
        .withChains(
            new GatewayConfig.Chain(
                c.rpc(), network, token, name, c.tokenVersion(), decimals, 0, 2, 2, 60),
            List.of(),
            null);
  }

  private GatewayConfig with(String token, String name, int decimals) {
    return with(LocalChain.NETWORK, token, name, decimals);
  }

  private JsonNode ready(int status) throws Exception {
    var response = world.get("/health/ready");
    assertThat(response.statusCode()).as(response.body()).isEqualTo(status);
    return json(response);
  }

  private static Set<String> failed(JsonNode ready) {
    return StreamSupport.stream(ready.path("failed").spliterator(), false)
        .map(f -> f.path("check").asString())
        .collect(Collectors.toSet());
  }

  // Money

  @Test
  void decimalsThatAreNotTheCoinsStopTheStartAndTheRemedyIsNamed() {
    assertThatThrownBy(() -> world.start(with(LocalChain.USDC.toString(), "USDC", 18)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("6 decimals, and 18 are configured")
        .hasMessageContaining("set chain.decimals to 6");
  }

  @Test
  void anEip712NameThatIsNotTheCoinsStopsTheStartAndTheRightOneIsNamed() {
    assertThatThrownBy(() -> world.start(with(LocalChain.USDC.toString(), "USD Coin", 6)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("EIP-712")
        .hasMessageContaining("set chain.tokenName to 'USDC' and chain.tokenVersion to '2'");
  }

  @Test
  void aCoinWithoutCodeAnotherChainAndMissingContractsStopTheStart() {
    String nothing = "0x00000000000000000000000000000000000000aa";
    assertThatThrownBy(() -> world.start(with(nothing, "USDC", 6)))
        .hasMessageContaining("no contract at the coin's address");
    assertThatThrownBy(() -> world.start(with("eip155:8453", nothing, "USDC", 6)))
        .hasMessageContaining("another chain answers: " + LocalChain.CHAIN_ID);
    assertThatThrownBy(
            () -> {
              world.chain.raw().ask("anvil_setCode", UPTO_PROXY, "0x");
              GatewayConfig upto =
                  config()
                      .withChains(config().chain().withSchemes(List.of("upto")), List.of(), null);
              world.start(upto);
            })
        .hasMessageContaining("upto's proxy");
  }

  private static final String UPTO_PROXY = "0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002";

  @Test
  void payingIntoNothingOrIntoTheCoinItselfIsRefusedAtTheStart() {
    for (String payTo : List.of("0x" + "0".repeat(40), LocalChain.USDC.toString())) {
      GatewayConfig c = config();
      GatewayConfig lost =
          new GatewayConfig(
              null, 0, null, payTo, c.chain(), List.of(), null, 0, null, null, false, null);
      assertThatThrownBy(() -> world.start(lost))
          .hasMessageContaining("what is paid there is lost");
    }
  }

  @Test
  void whileTheChainIsAwayNoPriceIsNamedAndOnceItConfirmsTheCoinThereIsOne() throws Exception {
    world.rpc.behave(
        (method, forward) -> {
          throw new IOException("down");
        });
    GatewayConfig paid = world.config(0, List.of(TestGateway.tiny("gridtie/tiny", 1024)));
    try (Gateway gateway = world.start(paid)) {
      assertThat(failed(ready(503))).contains(COIN, "chain " + LocalChain.NETWORK);
      var refused = world.post(bytes(chat("What is a receipt?")), Map.of());
      assertThat(refused.statusCode()).isEqualTo(503);
      assertThat(code(refused)).isEqualTo("payments_unavailable");
      world.rpc.behaveWell();
      gateway.awaitReady(java.time.Duration.ofSeconds(30));
      assertThat(world.pay(bytes(chat("What is a receipt?"))).statusCode()).isEqualTo(200);
      eventually("the kept report is a new one", () -> failed(readyNow()).isEmpty());
      assertThat(ready(200).path("checks").path(COIN).asString()).isEqualTo("ok");
    }
  }

  private JsonNode readyNow() throws Exception {
    return json(world.get("/health/ready"));
  }

  @Test
  void aCoinThatIsFoundWrongOnceTheChainAnswersIsNeverQuoted() throws Exception {
    world.rpc.behave(
        (method, forward) -> {
          throw new IOException("down");
        });
    GatewayConfig.Chain c = with(LocalChain.USDC.toString(), "USDC", 18).chain();
    GatewayConfig wrong =
        world
            .config(0, List.of(TestGateway.tiny("gridtie/tiny", 1024)))
            .withChains(c, List.of(), null);
    try (Gateway gateway = world.start(wrong)) {
      world.rpc.behaveWell();
      assertThatThrownBy(() -> gateway.awaitReady(java.time.Duration.ZERO))
          .hasMessageContaining("set chain.decimals to 6");
      var refused = world.post(bytes(chat("What is a receipt?")), Map.of());
      assertThat(refused.statusCode()).isEqualTo(503);
      assertThat(code(refused)).isEqualTo("payments_unavailable");
    }
  }

  // What a payment needs besides

  @Test
  void aGasKeyWithoutGasIsNamedAndItsAddressIsForTheOperator() throws Exception {
    String key = world.home.evmKey("facilitator").address().toString();
    world.chain.raw().ask("anvil_setBalance", key, "0x0");
    try (Gateway gateway = world.start(config())) {
      JsonNode ready = ready(503);
      assertThat(failed(ready)).containsExactly("gas " + LocalChain.NETWORK);
      assertThat(ready.toString()).doesNotContainIgnoringCase(key);
      assertThat(Doctor.failures(gateway.readiness().report()).toString())
          .contains("send " + key + " at least ");
    }
  }

  @Test
  void aDatabaseThatIsStoppedIsNamedWithoutItsAddress() throws Exception {
    try (TcpProxy postgres = new TcpProxy(LocalPostgres.port())) {
      TestGateway.writePassword(world.home);
      String url =
          LocalPostgres.url(LocalPostgres.newDatabase())
              .replace(":" + LocalPostgres.port() + "/", ":" + postgres.port() + "/");
      Files.writeString(
          LedgerAt.file(world.home.path()),
          new LedgerAt(url, LocalPostgres.USER, null, "keys/postgresql.password").yaml());
      try (Gateway gateway = world.start(config())) {
        assertThat(ready(200).path("checks").path("database").asString()).isEqualTo("ok");
        postgres.close();
        Report report = gateway.readiness().now();
        assertThat(report.isReady()).isFalse();
        JsonNode ready = ready(503);
        assertThat(failed(ready)).contains("database");
        assertThat(ready.toString())
            .doesNotContain(Integer.toString(postgres.port()))
            .doesNotContain("127.0.0.1:");
      }
    }
  }

  @Test
  void aDiskThatIsFullIsNamed() throws Exception {
    Path disk = Files.createDirectory(directory.resolve("disk"));
    assumeTrue(
        run("mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", disk.toString()) == 0,
        "this user may not mount a file system");
    try {
      Home home = new Home(disk.resolve("home"));
      home.create();
      world.chain.giveGas(home.evmKey("facilitator").address());
      try (Gateway gateway = Gateway.start(config(), home, new Install(TestGateway.ROOT))) {
        world.url = java.net.URI.create("http://127.0.0.1:" + gateway.port());
        assertThat(gateway.readiness().now().isReady()).isTrue();
        Files.write(
            disk.resolve("ballast"), new byte[(int) Files.getFileStore(disk).getUsableSpace()]);
        assertThat(gateway.readiness().now().isReady()).isFalse();
        assertThat(failed(ready(503))).contains("disk", "database");
        Files.delete(disk.resolve("ballast"));
        eventually("ready again", () -> gateway.readiness().now().isReady());
      }
    } finally {
      run("umount", "-l", disk.toString());
    }
  }

  private static int run(String... command) throws Exception {
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
    return process.exitValue();
  }

  @Test
  void keysThatOthersCanReadAreNamed() throws Exception {
    try (Gateway gateway = world.start(config())) {
      Path key = world.home.keyFile("facilitator");
      Files.setPosixFilePermissions(key, PosixFilePermissions.fromString("rw-r--r--"));
      assertThat(gateway.readiness().now().isReady()).as("its folder is closed").isTrue();
      Files.setPosixFilePermissions(
          world.home.keys(), PosixFilePermissions.fromString("rwxr-xr-x"));
      assertThat(gateway.readiness().now().isReady()).isFalse();
      assertThat(failed(ready(503))).containsExactly("keys");
    }
  }

  @Test
  void probesDoNotAskTheChainEachTime() throws Exception {
    try (Gateway gateway = world.start(config())) {
      ready(200);
      int asked = world.rpc.seen().size();
      for (int i = 0; i < 50; i++) {
        ready(200);
      }
      assertThat(world.rpc.seen().size() - asked)
          .as("calls for 50 probes of " + gateway.port())
          .isLessThan(50);
    }
  }

  // The doctor

  @Test
  void theCheckNamesEachThingThatIsWrongWithItsRemedyInEightyColumns() throws Exception {
    Path config =
        Files.writeString(
            directory.resolve("gateway.yaml"),
            world.yaml().replace("decimals: 6", "decimals: 18").replace("port: 0", "port: 1"));
    String printed = doctor(config, 1);
    assertThat(printed)
        .contains("FAIL  " + COIN, "Remedy: set chain.decimals to 6")
        .contains("ok    chain " + LocalChain.NETWORK, "ok    gas " + LocalChain.NETWORK);
    assertThat(printed.lines().filter(l -> l.length() > 80).toList())
        .as("lines that are too long")
        .isEmpty();
    Files.writeString(config, world.yaml());
    assertThat(doctor(config, 0)).doesNotContain("FAIL");
    Files.writeString(config, world.yaml() + "colour: blue\n");
    assertThat(doctor(config, 1)).contains("FAIL  configuration").contains("unknown key 'colour'");
  }

  private String doctor(Path config, int status) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    var checks = new java.util.ArrayList<>(Doctor.ofInstallation(new Install(TestGateway.ROOT)));
    checks.addAll(Doctor.ofHome(world.home, false));
    checks.addAll(Doctor.ofConfiguration(config, world.home, new Install(TestGateway.ROOT), false));
    Report report = DoctorCommand.report(checks);
    try (PrintStream print = new PrintStream(out, true, java.nio.charset.StandardCharsets.UTF_8)) {
      Doctor.print(report, print);
    }
    String printed = out.toString(java.nio.charset.StandardCharsets.UTF_8);
    assertThat(report.isReady()).as(printed).isEqualTo(status == 0);
    return printed;
  }
}
