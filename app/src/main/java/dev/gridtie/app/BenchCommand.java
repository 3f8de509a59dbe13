package dev.gridtie.app;

import dev.gridtie.bench.EdgeBench;
import dev.gridtie.bench.LedgerBench;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.account.KeyLimits;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.ledger.Location;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code gridtie bench}: measures. */
@Command(
    name = "bench",
    mixinStandardHelpOptions = true,
    description = "Measures this program on this machine.",
    subcommands = {
      BenchCommand.Edge.class,
      BenchCommand.OfLedger.class,
      BenchGridCommand.class,
      BenchOwnerCommand.class
    })
final class BenchCommand {
  /** {@code gridtie bench ledger}. */
  @Command(
      name = "ledger",
      mixinStandardHelpOptions = true,
      description = {
        "Durable transfers a second, all to one hot account, beside a plain insert with the same durability in the same run;"
            + " and how fast the ledger is verified.",
        "Prints a table in Markdown. Readings on a busy machine are worth little; compare rows of one run."
      })
  static final class OfLedger implements Callable<Integer> {
    @Option(
        names = "--seconds",
        paramLabel = "S",
        defaultValue = "3",
        description = "Of each measurement (default: ${DEFAULT-VALUE}).")
    private int seconds;

    @Option(
        names = "--rounds",
        paramLabel = "N",
        defaultValue = "3",
        description = "Each is measured in, after one to warm up (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(
        names = "--writers",
        split = ",",
        paramLabel = "N",
        defaultValue = "1,64,1024",
        description = "At once (default: ${DEFAULT-VALUE}).")
    private List<Integer> writers = List.of();

    @Option(
        names = "--folder",
        paramLabel = "DIR",
        description = "On the disk that is measured (default: the system's for temporary files).")
    private @Nullable Path folder;

    @Option(
        names = "--postgres",
        paramLabel = "URL",
        description = "Also an empty database there: jdbc:postgresql://HOST/DATABASE.")
    private @Nullable String postgres;

    @Option(names = "--user", paramLabel = "NAME", description = "Default: ${DEFAULT-VALUE}.")
    private String user = "postgres";

    @Option(
        names = "--password-env",
        paramLabel = "NAME",
        description = "The environment's variable that has the password.")
    private @Nullable String passwordEnv;

    @Override
    public Integer call() throws Exception {
      if (seconds < 1 || rounds < 1 || writers.stream().anyMatch(n -> n < 1)) {
        throw new Main.Failure("--seconds, --rounds and --writers must be at least 1");
      }
      Path directory =
          folder == null
              ? Files.createTempDirectory("gridtie-bench-")
              : Files.createTempDirectory(folder, "gridtie-bench-");
      try {
        Optional<Location.OnPostgres> at =
            postgres == null
                ? Optional.empty()
                : Optional.of(new LedgerAt(postgres, user, passwordEnv, null).location(directory));
        System.out.println(
            Runtime.getRuntime().availableProcessors()
                + " processors, Java "
                + Runtime.version()
                + "\n");
        new LedgerBench(new LedgerBench.Settings(seconds, rounds, writers, at), directory)
            .run(System.out);
        return 0;
      } finally {
        delete(directory);
      }
    }
  }

  /** {@code gridtie bench edge}. */
  @Command(
      name = "edge",
      mixinStandardHelpOptions = true,
      description = {
        "What the gateway adds to a request: the same load straight at a mock upstream, through the gateway, and through nginx"
            + " where it is installed. Open loop: requests come at a fixed rate, and each is measured from when it was due.",
        "Prints a table in Markdown. Readings on a busy machine are worth little; compare rows of one run."
      })
  static final class Edge implements Callable<Integer> {
    @Option(
        names = "--rate",
        paramLabel = "N",
        defaultValue = "200",
        description = "Requests a second (default: ${DEFAULT-VALUE}).")
    private int rate;

    @Option(
        names = "--seconds",
        paramLabel = "S",
        defaultValue = "10",
        description = "Of each measurement (default: ${DEFAULT-VALUE}).")
    private int seconds;

    @Option(
        names = "--warm-seconds",
        paramLabel = "S",
        defaultValue = "15",
        description = "Before each first measurement (default: ${DEFAULT-VALUE}).")
    private int warmSeconds;

    @Option(
        names = "--streams",
        paramLabel = "N",
        defaultValue = "2000",
        description = "At once, in the last case; 0 leaves it out (default: ${DEFAULT-VALUE}).")
    private int streams;

    @Option(
        names = "--upstream-port",
        paramLabel = "PORT",
        defaultValue = "0",
        description = "Of the mock, to point other gateways at before (default: any).")
    private int upstreamPort;

    @Option(
        names = "--only",
        paramLabel = "CASE",
        defaultValue = "",
        description = "Cases whose name begins so: stream, whole, 'none' (default: all).")
    private String only = "";

    @Option(
        names = "--peer",
        paramLabel = "NAME=PORT",
        description =
            "Another gateway on this machine that serves the model 'mock' from the mock's port; may be given several times.")
    private Map<String, Integer> peers = new LinkedHashMap<>();

    @Option(
        names = "--header",
        paramLabel = "NAME=VALUE",
        description =
            "Sent with every request, for peers that want to be told their upstream so; may be given several times.")
    private Map<String, String> headers = new LinkedHashMap<>();

    @Option(
        names = "--rounds",
        paramLabel = "N",
        defaultValue = "3",
        description = "Each target is measured in (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(
        names = "--chunks",
        paramLabel = "N",
        defaultValue = "20",
        description = "Of each answer (default: ${DEFAULT-VALUE}).")
    private int chunks;

    @Option(
        names = "--pause-ms",
        paramLabel = "MS",
        defaultValue = "5",
        description = "Between chunks (default: ${DEFAULT-VALUE}).")
    private int pauseMs;

    @Override
    public Integer call() throws Exception {
      if (rate < 1 || seconds < 1 || rounds < 1 || chunks < 1 || pauseMs < 0) {
        throw new Main.Failure(
            "--rate, --seconds, --rounds and --chunks must be at least 1, --pause-ms at least 0");
      }
      Path directory = Files.createTempDirectory("gridtie-bench-");
      try {
        EdgeBench bench =
            new EdgeBench(
                new EdgeBench.Settings(
                    rate,
                    seconds,
                    warmSeconds,
                    rounds,
                    chunks,
                    pauseMs,
                    streams,
                    upstreamPort,
                    peers,
                    headers,
                    only,
                    key(directory)),
                directory);
        System.out.println(
            Runtime.getRuntime().availableProcessors()
                + " processors, Java "
                + Runtime.version()
                + ", load and targets on one machine.");
        System.out.println(bench.run(Edge::gateway));
        return 0;
      } finally {
        delete(directory);
      }
    }

    private static List<String> gateway(Path directory, int port, int upstreamPort)
        throws IOException {
      Path catalog =
          Files.writeString(
              directory.resolve("catalog.yaml"),
              """
              providers:
                - { name: mock, dialect: openai, url: "http://127.0.0.1:%d/v1" }
              models:
                - id: mock
                  endpoints:
                    - provider: mock
                      model: mock
                      promptUsdPerMillion: "0.1"
                      completionUsdPerMillion: "0.4"
                      contextTokens: 4000000
                      maxCompletionTokens: 4096
              """
                  .formatted(upstreamPort));
      Path config =
          Files.writeString(
              directory.resolve("gateway.yaml"),
              """
              port: %d
              payTo: "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
              chain:
                rpc: "http://127.0.0.1:9"
                network: "eip155:84532"
                token: "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
                tokenName: USDC
                tokenVersion: "2"
                decimals: 6
              models: []
              catalog: "%s"
              limits:
                concurrent: 4096
                bodyBytes: 4194304
              """
                  .formatted(port, catalog));
      return List.of(
          Path.of(System.getProperty("java.home"), "bin", "java").toString(),
          "-XX:+UseSerialGC",
          "-XX:+ExitOnOutOfMemoryError",
          "-Xmx224m",
          "-Xmn48m",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow",
          "-cp",
          System.getProperty("java.class.path"),
          Main.class.getName(),
          "gateway",
          "--config",
          config.toString(),
          "--home",
          directory.resolve("home").toString());
    }

    /** A key without limits, so that what it spends is counted and nothing is refused. */
    private static String key(Path directory) throws IOException {
      Home home = new Home(directory.resolve("home"));
      home.create();
      try (KeyStore store = KeyStore.open(home.ledger())) {
        ApiKey.Fresh fresh =
            ApiKey.create("bench", KeyLimits.NONE, java.time.Instant.now(), new SecureRandom());
        boolean unused = store.add(fresh.key());
        return fresh.secret().reveal();
      }
    }
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    }
  }
}
