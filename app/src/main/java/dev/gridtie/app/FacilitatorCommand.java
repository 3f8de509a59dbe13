package dev.gridtie.app;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.gridtie.x402.evm.permit2.ApprovalSponsoring;
import dev.gridtie.x402.evm.permit2.GasSponsoring;
import dev.gridtie.x402.facilitator.Bazaar;
import dev.gridtie.x402.facilitator.Facilitator;
import dev.gridtie.x402.facilitator.FacilitatorDesk;
import dev.gridtie.x402.facilitator.FacilitatorServer;
import dev.gridtie.x402.facilitator.FileGasMemory;
import dev.gridtie.x402.facilitator.FileJournal;
import dev.gridtie.x402.facilitator.GasWatcher;
import dev.gridtie.x402.facilitator.OriginProof;
import java.io.IOException;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code gridtie facilitator}: an x402 facilitator alone. */
@Command(
    name = "facilitator",
    mixinStandardHelpOptions = true,
    description = {
      "Starts an x402 facilitator: it verifies payments for servers and brings them to the chain."
          + " POST /verify, POST /settle, GET /supported, GET /discovery/resources.",
      "Its keys are kept in the home and need gas on their chains; they hold nobody's money."
          + " docs/x402.md explains the configuration."
    })
final class FacilitatorCommand implements Callable<Integer> {
  private static final InstantSource CLOCK = InstantSource.system();

  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(
      names = "--config",
      required = true,
      paramLabel = "FILE",
      description = "YAML; see docs/x402.md.")
  private Path config = Path.of("");

  /**
   * A facilitator's configuration.
   *
   * @param host to listen on
   * @param port to listen on; 0 takes a free one
   * @param chains where it settles; of each the first coin's keys, fee cap and timeouts hold
   * @param discovery how resources are listed; none are where left out
   */
  record Config(
      @Nullable String host,
      @JsonProperty(required = true) int port,
      @JsonProperty(required = true) List<GatewayConfig.Chain> chains,
      @Nullable Discovery discovery) {
    Config(@Nullable String host, int port, List<GatewayConfig.Chain> chains) {
      this(host, port, chains, null);
    }
  }

  /**
   * How resources are listed.
   *
   * @param enabled whether this facilitator may call out to a paid resource's origin, which proves
   *     by its own 402 what it sells
   * @param privateAddresses whether it may call addresses that are not public, and by plain HTTP
   */
  record Discovery(boolean enabled, boolean privateAddresses) {
    Optional<OriginProof> proof() {
      return enabled ? Optional.of(new OriginProof(privateAddresses)) : Optional.empty();
    }
  }

  /** A facilitator that runs. */
  static final class Running implements AutoCloseable {
    private final Deque<AutoCloseable> parts = new ArrayDeque<>();
    private final FacilitatorServer server;
    private final List<String> signers;

    Running(Config config, Home home) throws IOException {
      if (config.chains().isEmpty()) {
        throw new IOException("chains must name at least one chain");
      }
      home.create();
      Map<String, ChainWiring> chains =
          ChainWiring.all(
              config.chains(),
              home,
              CLOCK,
              network -> GasWatcher.NOBODY,
              new FileGasMemory(home.path().resolve("facilitator-gas.json")));
      Facilitator facilitator =
          new Facilitator(chains.values().stream().flatMap(w -> w.kinds().stream()).toList());
      Map<String, List<String>> byNetwork = new LinkedHashMap<>();
      for (ChainWiring chain : chains.values()) {
        byNetwork.computeIfAbsent(chain.family(), k -> new ArrayList<>()).addAll(chain.signers());
      }
      byNetwork.replaceAll((k, all) -> all.stream().distinct().toList());
      signers = byNetwork.values().stream().flatMap(List::stream).toList();
      FacilitatorDesk desk =
          new FacilitatorDesk(
              facilitator,
              new FileJournal(home.path().resolve("facilitator.journal"), CLOCK),
              CLOCK);
      parts.push(desk);
      Discovery discovery = config.discovery();
      Bazaar bazaar = new Bazaar(discovery == null ? Optional.empty() : discovery.proof(), CLOCK);
      try {
        desk.start();
        server =
            new FacilitatorServer(
                desk,
                facilitator,
                bazaar,
                extensions(chains.values(), bazaar),
                byNetwork,
                FacilitatorServer.usualBounds(),
                config.host() == null ? "127.0.0.1" : config.host(),
                config.port());
        parts.push(server);
      } catch (IOException | RuntimeException e) {
        close();
        throw e;
      }
    }

    private static List<String> extensions(Collection<ChainWiring> chains, Bazaar bazaar) {
      List<String> all = new ArrayList<>(List.of(GasSponsoring.KEY));
      if (chains.stream().anyMatch(ChainWiring::sponsorsApprovals)) {
        all.add(ApprovalSponsoring.KEY);
      }
      if (bazaar.isOpen()) {
        all.add("bazaar");
      }
      return all;
    }

    int port() {
      return server.port();
    }

    @Override
    public void close() {
      while (!parts.isEmpty()) {
        try {
          parts.pop().close();
        } catch (Exception e) {
          System.err.println("gridtie: stopping: " + e.getMessage());
        }
      }
    }
  }

  @Override
  public Integer call() throws Exception {
    Config read = YamlFile.read(config, Config.class);
    Running running = new Running(read, home.get());
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  running.close();
                  stopped.countDown();
                }));
    System.out.println(
        "ready http://" + (read.host() == null ? "127.0.0.1" : read.host()) + ":" + running.port());
    System.out.println(
        "gas is paid by "
            + String.join(" and ", running.signers)
            + ": they need some of their chains' coin");
    System.out.flush();
    stopped.await();
    return 0;
  }
}
