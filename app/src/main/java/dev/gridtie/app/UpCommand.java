package dev.gridtie.app;

import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code gridtie up}: everything on one machine. */
@Command(
    name = "up",
    mixinStandardHelpOptions = true,
    description = {
      "Starts everything on this machine: the gateway, an engine with the bundled model, a local test chain with test USDC,"
          + " and a wallet that holds 100 of them. None of it is real money.",
      "Prints 'ready URL' once a paid request would succeed. Ctrl-C stops all of it."
    })
final class UpCommand implements Callable<Integer> {
  /**
   * A model this small gains nothing from a second thread, and would lose much where processors are
   * busy.
   */
  private static final int TINY_THREADS = 1;

  /** The operator's port behind the gateway's: the first is the chain's, the second the proxy's. */
  private static final int ADMIN_BEHIND = 3;

  /** For how long a start waits until a paid request would succeed. */
  private static final Duration READY_PATIENCE = Duration.ofSeconds(30);

  private static final BigInteger HUNDRED_USDC = BigInteger.valueOf(100_000_000);
  private static final BigInteger GAS_LOW_WEI = BigInteger.TEN.pow(18);

  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(
      names = "--port",
      paramLabel = "PORT",
      defaultValue = "4020",
      description =
          "The gateway's port on 127.0.0.1 (default: ${DEFAULT-VALUE}); the chain takes the next one, and the operator's"
              + " pages the third after it.")
  private int port;

  @Option(
      names = "--origin",
      paramLabel = "ORIGIN",
      description =
          "Let web pages of this origin call the gateway, such as http://localhost:8000; may be given several times.")
  private List<String> origins = new java.util.ArrayList<>();

  @Option(
      names = "--no-node",
      description = "Leave the local engine out: the gateway starts without a model.")
  private boolean noNode;

  @Option(
      names = "--quantization",
      paramLabel = "Q",
      defaultValue = "Q8_0",
      description =
          "Which of the bundled model's files to run: F16, Q8_0 or Q4_0 (default: ${DEFAULT-VALUE}).")
  private String quantization = "Q8_0";

  @Override
  public Integer call() throws Exception {
    if (port < 1 || port > 65535 - ADMIN_BEHIND) {
      throw new Main.Failure(
          "--port must be from 1 to "
              + (65535 - ADMIN_BEHIND)
              + ": chain and operator's pages take ports behind it");
    }
    if (!List.of("F16", "Q8_0", "Q4_0").contains(quantization)) {
      throw new Main.Failure("--quantization must be F16, Q8_0 or Q4_0, not " + quantization);
    }
    Running running = new Running();
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  running.close();
                  stopped.countDown();
                }));
    start(running);
    stopped.await();
    return 0;
  }

  /**
   * What is up, to be taken down in the opposite order; closing waits for nothing that has not
   * begun.
   */
  private static final class Running implements AutoCloseable {
    private final java.util.ArrayDeque<AutoCloseable> parts = new java.util.ArrayDeque<>();
    private volatile boolean closed;

    void tellUnlessClosing(String what) {
      if (!closed) {
        System.err.println("gridtie: " + what);
      }
    }

    synchronized <T extends AutoCloseable> T add(T part) throws Exception {
      if (closed) {
        part.close();
        throw new Main.Failure("stopped while starting");
      }
      parts.push(part);
      return part;
    }

    @Override
    public synchronized void close() {
      closed = true;
      while (!parts.isEmpty()) {
        try {
          parts.pop().close();
        } catch (Exception e) {
          System.err.println("gridtie: stopping: " + e.getMessage());
        }
      }
    }
  }

  private void start(Running running) throws Exception {
    Home where = home.get();
    where.create();
    Install install = Install.here();
    EvmKey buyer = where.evmKey("buyer");
    EvmAddress payTo = where.evmKey("operator").address();
    EvmKey gas = where.evmKey("facilitator");
    CompletableFuture<LocalChain> chain =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                LocalChain started =
                    running.add(
                        LocalChain.start(
                            LocalChain.program(install.nodeModules()), where.chain(), port + 1));
                fund(started, buyer.address(), gas.address());
                started.onExit(
                    () ->
                        running.tellUnlessClosing(
                            "the local chain has ended; see " + where.chain()));
                return started;
              } catch (Exception e) {
                throw new CompletionException(e);
              }
            });
    Gateway gateway;
    try {
      gateway = running.add(Gateway.startBesideItsChain(config(payTo), where, install));
    } finally {
      try {
        var unused = chain.join();
      } catch (CompletionException e) {
        throw e.getCause() instanceof IOException io ? io : new IOException(e.getCause());
      }
    }
    gateway.awaitReady(READY_PATIENCE);
    URI url = URI.create("http://127.0.0.1:" + gateway.port());
    new UpFile(
            url,
            gateway.adminUrl().orElseThrow(),
            chain.join().url(),
            LocalChain.CHAIN_ID,
            LocalChain.USDC.toString(),
            payTo.toString(),
            buyer.address().toString(),
            where.keyFile("buyer"))
        .write(where);
    greet(url, where);
  }

  private static void fund(LocalChain chain, EvmAddress buyer, EvmAddress gas)
      throws UnreachableException, EvmChain.RefusedException {
    if (chain.rpc().balance(gas).compareTo(GAS_LOW_WEI) < 0) {
      chain.giveGas(gas);
    }
    if (chain.usdc(buyer).signum() == 0) {
      chain.mint(buyer, HUNDRED_USDC);
      chain.allowPermit2(LocalChain.USDC_TOKEN, buyer);
    }
  }

  private GatewayConfig config(EvmAddress payTo) {
    List<GatewayConfig.Model> models =
        noNode
            ? List.of()
            : List.of(
                new GatewayConfig.Model(
                    "gridtie/tiny",
                    "models/tiny/gridtie-tiny-" + quantization + ".gguf",
                    null,
                    quantization,
                    "1",
                    "4",
                    1024,
                    256,
                    8,
                    TINY_THREADS));
    return new GatewayConfig(
            "127.0.0.1",
            port,
            null,
            payTo.toString(),
            new GatewayConfig.Chain(
                    "http://127.0.0.1:" + (port + 1),
                    LocalChain.NETWORK,
                    LocalChain.USDC.toString(),
                    LocalChain.USDC_NAME,
                    LocalChain.USDC_VERSION,
                    LocalChain.USDC_DECIMALS,
                    0,
                    0,
                    0,
                    0)
                .withSchemes(List.of("batch-settlement", "exact", "upto", "exact-permit2")),
            models,
            null,
            0,
            null,
            null,
            false,
            null)
        .withOrigins(origins)
        .withAdmin("127.0.0.1:" + (port + ADMIN_BEHIND))
        .withGrid(grid());
  }

  /** The bundled model may be answered by the node of this home too, and by those invited. */
  private static GatewayConfig.GridSettings grid() {
    Map<String, String> files = new LinkedHashMap<>();
    for (String kind : List.of("F16", "Q8_0", "Q4_0")) {
      files.put(kind, "models/tiny/gridtie-tiny-" + kind + ".gguf");
    }
    return new GatewayConfig.GridSettings(
        true,
        null,
        List.of(
            new GatewayConfig.GridModel(
                "gridtie/tiny", files, null, null, 1024, null, "1", "4", 256)));
  }

  private void greet(URI url, Home where) {
    boolean usual = home.home == null && System.getenv("GRIDTIE_HOME") == null;
    String option = usual ? "" : " --home " + where.path();
    System.out.println("ready " + url);
    System.out.println();
    System.out.println("Try, in another terminal:");
    System.out.println("  ./gridtie chat \"What is a receipt?\"" + option);
    System.out.println(
        "  curl -i " + url + "/v1/chat/completions -H 'Content-Type: application/json' \\");
    System.out.println(
        "    -d '{\"model\":\"gridtie/tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"What is x402?\"}]}'");
    System.out.println("  ./gridtie ledger verify" + option);
    System.out.println("  ./gridtie node --join " + url + " --when always" + option);
    System.out.flush();
  }
}
