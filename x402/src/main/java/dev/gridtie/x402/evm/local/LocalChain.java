package dev.gridtie.x402.evm.local;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.GuardedProcess;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmToken;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import tools.jackson.databind.node.ObjectNode;

/**
 * An anvil process whose state outlives it in a file, with test USDC where Base Sepolia has the
 * real one, and our own Permit2 and x402 contracts at their canonical addresses.
 */
public final class LocalChain implements AutoCloseable {
  public static final long CHAIN_ID = 84532;
  public static final String NETWORK = "eip155:84532";
  public static final EvmAddress USDC = EvmAddress.of("0x036CbD53842c5426634e7929541eC2318f3dCF7e");
  public static final String USDC_NAME = "USDC";
  public static final String USDC_VERSION = "2";
  public static final int USDC_DECIMALS = 6;
  public static final EvmToken USDC_TOKEN =
      new EvmToken(NETWORK, USDC, USDC_DECIMALS, USDC_NAME, USDC_VERSION);

  /** A plain coin of 18 decimals, that only Permit2 can move. */
  public static final EvmToken PEGGED =
      new EvmToken(
          NETWORK,
          EvmAddress.of("0x8AC76a51cc950d9822D68b83fE1Ad97B32Cd580d"),
          18,
          "Test Pegged Dollar",
          "1");

  /** Our contracts, and where the real ones would be. */
  private static final Map<String, EvmAddress> CONTRACTS =
      Map.of(
          "TestUSDC",
          USDC,
          "TestToken18",
          PEGGED.address(),
          "TestPermit2",
          Permit2Types.PERMIT2,
          "TestX402ExactProxy",
          Permit2Types.EXACT_PROXY,
          "TestX402UptoProxy",
          Permit2Types.UPTO_PROXY,
          "TestX402Batch",
          EvmAddress.of("0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003"),
          "TestERC3009Collector",
          EvmAddress.of("0x4020806089470a89826cB9fB1f4059150b550004"),
          "TestPermit2Collector",
          EvmAddress.of("0x4020425FAf3B746C082C2f942b4E5159887B0005"),
          "TestMulticall3",
          EvmAddress.of("0xcA11bde05977b3631167028862bE2a173976CA11"));

  private static final Duration START_PATIENCE = Duration.ofSeconds(30);
  private static final String TEN_ETHER = "0x8ac7230489e80000";

  private final GuardedProcess process;
  private final JsonRpcChain rpc;
  private final URI url;

  private LocalChain(GuardedProcess process, JsonRpcChain rpc, URI url) {
    this.process = process;
    this.rpc = rpc;
    this.url = url;
  }

  /**
   * Starts the chain and waits until it answers.
   *
   * @param anvil the program, as {@link #program} finds it
   * @param directory where its state and its log are kept
   * @throws IOException where it does not start, or something else answers on the port
   */
  public static LocalChain start(Path anvil, Path directory, int port) throws IOException {
    Files.createDirectories(directory);
    List<String> command =
        List.of(
            anvil.toString(),
            "--host",
            "127.0.0.1",
            "--port",
            Integer.toString(port),
            "--chain-id",
            Long.toString(CHAIN_ID),
            "--state",
            directory.resolve("chain.json").toString(),
            "--state-interval",
            "2",
            "--accounts",
            "1",
            "--quiet");
    Path log = directory.resolve("anvil.log");
    URI url = URI.create("http://127.0.0.1:" + port);
    JsonRpcChain rpc = new JsonRpcChain(url, Duration.ofSeconds(10));
    if (answers(rpc)) {
      throw new IOException(
          "port " + port + " is taken: something answers there already; choose another --port");
    }
    GuardedProcess process = GuardedProcess.start(command, log);
    LocalChain chain = new LocalChain(process, rpc, url);
    try {
      chain.awaitStart(log);
      chain.placeContracts();
      return chain;
    } catch (IOException | UnreachableException | RefusedException | RuntimeException e) {
      process.close();
      throw new IOException("the local chain did not start: " + e.getMessage(), e);
    }
  }

  /** The anvil binary for this platform among the installed npm packages. */
  public static Path program(Path nodeModules) {
    String os =
        System.getProperty("os.name", "").toLowerCase(Locale.ROOT).contains("mac")
            ? "darwin"
            : "linux";
    String arch = System.getProperty("os.arch", "").contains("aarch64") ? "arm64" : "amd64";
    return nodeModules.resolve("@foundry-rs/anvil-" + os + "-" + arch + "/bin/anvil");
  }

  private static boolean answers(JsonRpcChain rpc) {
    try {
      return rpc.chainId() >= 0;
    } catch (UnreachableException | RefusedException e) {
      return false;
    }
  }

  private void awaitStart(Path log) throws IOException {
    long end = System.nanoTime() + START_PATIENCE.toNanos();
    while (!answers(rpc)) {
      if (!process.isAlive()) {
        String said = Files.readString(log).strip();
        throw new IOException("anvil ended: " + said.substring(Math.max(0, said.length() - 400)));
      }
      if (System.nanoTime() > end) {
        throw new IOException("anvil does not answer after " + START_PATIENCE.toSeconds() + " s");
      }
      try {
        Thread.sleep(20);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IOException("interrupted");
      }
    }
  }

  private void placeContracts() throws IOException, UnreachableException, RefusedException {
    for (var contract : CONTRACTS.entrySet()) {
      if (rpc.code(contract.getValue()).length == 0) {
        rpc.ask("anvil_setCode", contract.getValue().lower(), runtime(contract.getKey()));
      }
    }
  }

  /** The code of one of our contracts. */
  private static String runtime(String name) throws IOException {
    try (InputStream in = LocalChain.class.getResourceAsStream(name + ".json")) {
      if (in == null) {
        throw new IOException("the contract " + name + " is missing from this build");
      }
      return Json.trusted(new String(in.readAllBytes(), UTF_8)).path("runtime").asString();
    }
  }

  /** Gives an account ten ether for gas. */
  public void giveGas(EvmAddress account) throws UnreachableException, RefusedException {
    rpc.ask("anvil_setBalance", account.lower(), TEN_ETHER);
  }

  /** Mints test USDC, and returns when it is there. */
  public void mint(EvmAddress account, BigInteger atomic)
      throws UnreachableException, RefusedException {
    mint(USDC_TOKEN, account, atomic);
  }

  /** Mints a test coin, and returns when it is there. */
  public void mint(EvmToken token, EvmAddress account, BigInteger atomic)
      throws UnreachableException, RefusedException {
    send(
        rpc.ask("eth_accounts").path(0).asString(),
        token.address(),
        Abi.call("mint(address,uint256)", Abi.word(account), Abi.word(atomic)));
  }

  /**
   * Lets Permit2 move an account's coins, in the account's name and without its key: what a wallet
   * does once with an approval.
   */
  public void allowPermit2(EvmToken token, EvmAddress account)
      throws UnreachableException, RefusedException {
    as(
        account,
        token.address(),
        Abi.call(
            "approve(address,uint256)",
            Abi.word(Permit2Types.PERMIT2),
            Abi.word(BigInteger.ONE.shiftLeft(256).subtract(BigInteger.ONE))));
  }

  /**
   * Makes an account a wallet that is a contract (EIP-1271) and takes two keys' signatures, one
   * behind the other.
   */
  public void placeWallet(EvmAddress at, EvmAddress first, EvmAddress second)
      throws IOException, UnreachableException, RefusedException {
    rpc.ask("anvil_setCode", at.lower(), runtime("TestWallet"));
    List<EvmAddress> owners = List.of(first, second);
    for (int slot = 0; slot < owners.size(); slot++) {
      rpc.ask(
          "anvil_setStorageAt",
          at.lower(),
          Hex.encode(Abi.word(BigInteger.valueOf(slot))),
          Hex.encode(Abi.word(owners.get(slot))));
    }
  }

  /** Sends a call in an account's name, without its key. */
  public void as(EvmAddress account, EvmAddress to, byte[] data)
      throws UnreachableException, RefusedException {
    giveGas(account);
    rpc.ask("anvil_impersonateAccount", account.lower());
    send(account.lower(), to, data);
  }

  private void send(String from, EvmAddress to, byte[] data)
      throws UnreachableException, RefusedException {
    ObjectNode transaction = Json.object();
    transaction.put("from", from);
    transaction.put("to", to.lower());
    transaction.put("data", Hex.encode(data));
    awaitMined(rpc.ask("eth_sendTransaction", transaction).asString());
  }

  /** The chain answers before it mines. */
  private void awaitMined(String transaction) throws UnreachableException, RefusedException {
    long end = System.nanoTime() + START_PATIENCE.toNanos();
    while (rpc.receipt(transaction).isEmpty()) {
      if (System.nanoTime() > end) {
        throw new UnreachableException("the local chain does not mine");
      }
      try {
        Thread.sleep(5);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new UnreachableException("interrupted");
      }
    }
  }

  /** Test USDC that an account holds, in atomic units. */
  public BigInteger usdc(EvmAddress account) throws UnreachableException, RefusedException {
    return balance(USDC_TOKEN, account);
  }

  /** What an account holds of a test coin, in atomic units. */
  public BigInteger balance(EvmToken token, EvmAddress account)
      throws UnreachableException, RefusedException {
    return Abi.uint(
        rpc.call(account, token.address(), Abi.call("balanceOf(address)", Abi.word(account))));
  }

  public EvmChain rpc() {
    return rpc;
  }

  /** JSON-RPC with the test chain's own methods. */
  public JsonRpcChain raw() {
    return rpc;
  }

  public URI url() {
    return url;
  }

  /** Runs {@code action} once the process has ended, by itself or not. */
  public void onExit(Runnable action) {
    process.onExit(action);
  }

  @Override
  public void close() {
    process.close();
  }
}
