package dev.gridtie.app;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.JsonRpcChain;
import java.math.BigInteger;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/**
 * {@code up}, {@code chat}, {@code proxy} and {@code ledger verify} as processes, as a person runs
 * them.
 */
class UpIT {
  @TempDir Path directory;

  @AfterEach
  void end() throws Exception {
    Spawned.endAll();
  }

  private List<String> command(String... arguments) {
    List<String> command = new ArrayList<>(Spawned.java());
    command.addAll(List.of(arguments));
    command.addAll(List.of("--home", directory.toString()));
    return command;
  }

  private Spawned up() throws Exception {
    int port = TestGateway.freePortOfUp();
    Spawned up =
        Spawned.start(command("up", "--port", Integer.toString(port)), directory.resolve("up.log"));
    up.awaitReady();
    return up;
  }

  private static List<ProcessHandle> family(Process process) {
    return process.descendants().toList();
  }

  private static void requireAllGone(List<ProcessHandle> family) throws Exception {
    TestGateway.eventually(
        "no child runs", () -> family.stream().noneMatch(ProcessHandle::isAlive));
  }

  private static BigInteger usdc(JsonNode upJson, String address) throws Exception {
    JsonRpcChain chain =
        new JsonRpcChain(URI.create(upJson.path("rpc").asString()), Duration.ofSeconds(10));
    EvmAddress of = EvmAddress.of(address);
    return dev.gridtie.x402.evm.Abi.uint(
        chain.call(
            of,
            EvmAddress.of(upJson.path("asset").asString()),
            dev.gridtie.x402.evm.Abi.call(
                "balanceOf(address)", dev.gridtie.x402.evm.Abi.word(of))));
  }

  @Test
  void aPersonStartsAsksVerifiesAndStops() throws Exception {
    Spawned up = up();
    JsonNode json = Json.parse(Files.readAllBytes(directory.resolve("up.json")));
    String buyer = json.path("buyer").asString();
    assertThat(json.path("chainId").asLong()).isEqualTo(84532);
    Path keyFile = Path.of(json.path("buyerKeyFile").asString());
    assertThat(Files.readString(keyFile).strip()).matches("0x[0-9a-f]{64}");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(keyFile)))
        .isEqualTo("rw-------");
    assertThat(usdc(json, buyer)).isEqualTo(BigInteger.valueOf(100_000_000));

    String said = Spawned.run(0, command("chat", "What is a receipt?"));
    assertThat(said)
        .contains("signed record")
        .contains("price ")
        .contains("transaction  0x")
        .contains("receipt      rcpt-");
    BigInteger spent = BigInteger.valueOf(100_000_000).subtract(usdc(json, buyer));
    assertThat(spent).isPositive();
    assertThat(usdc(json, json.path("payTo").asString())).isEqualTo(spent);
    assertThat(Spawned.run(0, command("ledger", "verify"))).startsWith("sound: ");
    assertThat(Spawned.run(1, command("chat", "--max-usd", "0.0001", "What is a receipt?")))
        .contains("the limit for one call is $0.0001");
    assertThat(Spawned.run(1, command("chat", "--model", "gridtie/tin", "Hello")))
        .contains("'gridtie/tiny'");

    List<ProcessHandle> family = family(up.process());
    assertThat(family).hasSizeGreaterThanOrEqualTo(2);
    up.process().destroy();
    assertThat(up.process().waitFor(5, TimeUnit.SECONDS)).as("stopped within 5 s").isTrue();
    requireAllGone(family);
    String log = Files.readString(up.log());
    assertThat(log).doesNotContain(Files.readString(keyFile).strip().substring(2));

    assertThat(Spawned.run(0, command("ledger", "verify"))).startsWith("sound: ");
    Path ledger = directory.resolve("ledger.db");
    try (FileChannel channel =
        FileChannel.open(ledger, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      channel.read(one, Files.size(ledger) - 100);
      one.put(0, (byte) (one.get(0) ^ 1)).rewind();
      channel.write(one, Files.size(ledger) - 100);
    }
    assertThat(Spawned.run(1, command("ledger", "verify"))).startsWith("DAMAGED: ");
    assertThat(Spawned.run(1, command("chat", "Hello"))).contains("is ./gridtie up running?");
  }

  @Test
  void aKilledParentLeavesNoOrphanAndTheNextStartGoesOn() throws Exception {
    Spawned up = up();
    Spawned.run(0, command("chat", "What is x402?"));
    JsonNode json = Json.parse(Files.readAllBytes(directory.resolve("up.json")));
    List<ProcessHandle> family = family(up.process());
    up.process().destroyForcibly().waitFor();
    requireAllGone(family);
    assertThat(Spawned.run(0, command("ledger", "verify"))).startsWith("sound: ");
    up = up();
    JsonNode again = Json.parse(Files.readAllBytes(directory.resolve("up.json")));
    assertThat(again.path("buyer")).isEqualTo(json.path("buyer"));
    assertThat(Spawned.run(0, command("chat", "What is a hold?"))).contains("receipt      rcpt-");
    up.process().destroy();
    assertThat(up.process().waitFor(5, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void aPortThatIsTakenIsNamedAndNothingIsLeftRunning() throws Exception {
    Spawned up = up();
    URI gateway = up.awaitReady();
    Path other = Files.createDirectories(directory.resolve("other"));
    List<String> second = new ArrayList<>(Spawned.java());
    second.addAll(
        List.of("up", "--port", Integer.toString(gateway.getPort()), "--home", other.toString()));
    assertThat(Spawned.run(1, second))
        .contains(Integer.toString(gateway.getPort() + 1))
        .contains("taken");
    up.process().destroy();
    up.process().waitFor();
  }

  @Test
  void withoutANodeTheGatewayStartsWithoutAModel() throws Exception {
    int port = TestGateway.freePortOfUp();
    Spawned up =
        Spawned.start(
            command("up", "--no-node", "--port", Integer.toString(port)),
            directory.resolve("up.log"));
    up.awaitReady();
    assertThat(Spawned.run(1, command("chat", "Hello")))
        .contains("There is no model 'gridtie/tiny' here");
    up.process().destroy();
    up.process().waitFor();
  }
}
