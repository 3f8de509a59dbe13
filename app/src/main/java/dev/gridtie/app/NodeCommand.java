package dev.gridtie.app;

import com.sun.management.OperatingSystemMXBean;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.nodes.Invitation;
import dev.gridtie.grid.engine.Sandbox;
import dev.gridtie.grid.link.Identity;
import dev.gridtie.grid.node.FoundServers;
import dev.gridtie.grid.node.Hardware;
import dev.gridtie.grid.node.HostFiles;
import dev.gridtie.grid.node.Hours;
import dev.gridtie.grid.node.NodeAgent;
import dev.gridtie.grid.node.NodeConfig;
import dev.gridtie.grid.node.NodeStatus;
import dev.gridtie.grid.node.Owner;
import dev.gridtie.grid.node.Signs;
import dev.gridtie.x402.evm.EvmKey;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.json.JsonMapper;

/** {@code gridtie node}: contributes this machine. */
@Command(
    name = "node",
    mixinStandardHelpOptions = true,
    description = {
      "Contributes this machine: it answers for others while you do not need it, and earns credits for it.",
      "Dials out, so no port is opened. Fetches a model that fits into its memory, and gives the machine back within two seconds.",
      "docs/contribute.md is the guide. Ctrl-C ends it; what it was answering goes on elsewhere."
    },
    subcommands = {
      NodeStatusCommand.class,
      NodeInstallCommand.class,
      NodeInstallCommand.Uninstall.class,
      NodeCommand.Servers.class
    })
final class NodeCommand implements Callable<Integer> {
  private static final int MEMORY_PERCENT = 60;
  private static final int DISK_GIB = 50;

  @Mixin Main.HomeOption home = new Main.HomeOption();

  @Option(
      names = "--join",
      paramLabel = "URL",
      description = "A gateway to work for; may be given several times.")
  List<String> join = new ArrayList<>();

  @Option(
      names = "--invitation",
      paramLabel = "INVITATION",
      description = "Into a private pool, from its operator; it says where to join.")
  String invitation = "";

  @Option(
      names = "--name",
      paramLabel = "NAME",
      defaultValue = "",
      description = "What others see this machine called.")
  String name = "";

  @Option(
      names = "--region",
      paramLabel = "REGION",
      defaultValue = "",
      description = "Where it stands, such as eu or us-west: some requests may not leave theirs.")
  String region = "";

  @Option(
      names = "--when",
      paramLabel = "WHEN",
      defaultValue = "idle",
      description =
          "idle: while you do not use it (your programs, load, battery, heat and full screens are watched); or always. Default: ${DEFAULT-VALUE}.")
  Owner.When when = Owner.When.IDLE;

  @Option(
      names = "--hours",
      paramLabel = "FROM-TO",
      description = "Only in this part of the day, such as 00:00-06:00.")
  @Nullable String hours;

  @Option(
      names = "--quiet",
      paramLabel = "SECONDS",
      defaultValue = "60",
      description =
          "How long the machine must be idle before it works again (default: ${DEFAULT-VALUE}).")
  int quiet;

  @Option(
      names = "--busy",
      paramLabel = "PERCENT",
      defaultValue = "40",
      description =
          "Of one core: more than this, used by your programs, counts as use (default: ${DEFAULT-VALUE}).")
  int busy;

  @Option(names = "--on-battery", description = "Work on battery too.")
  boolean onBattery;

  @Option(
      names = "--temperature",
      paramLabel = "CELSIUS",
      defaultValue = "85",
      description = "Rest while the machine is hotter (default: ${DEFAULT-VALUE}).")
  int temperature;

  @Option(
      names = "--memory",
      paramLabel = "GIB",
      description = "At most so much memory (default: 60 % of it, or the graphics processor's).")
  @Nullable Double memory;

  @Option(
      names = "--cores",
      paramLabel = "N",
      description = "At most so many processors (default: all but one).")
  @Nullable Integer cores;

  @Option(
      names = "--slots",
      paramLabel = "N",
      defaultValue = "4",
      description = "At most so many answers at once (default: ${DEFAULT-VALUE}).")
  int slots;

  @Option(
      names = "--disk",
      paramLabel = "GIB",
      defaultValue = "50",
      description = "For models' files; the least used go first (default: ${DEFAULT-VALUE}).")
  double disk = DISK_GIB;

  @Option(
      names = "--bandwidth",
      paramLabel = "MBIT",
      defaultValue = "0",
      description =
          "At most so much for models' files, fetched or given to other nodes; 0 for no limit.")
  double bandwidth;

  @Option(
      names = "--power",
      paramLabel = "WATTS",
      defaultValue = "0",
      description = "Pause while the machine takes more; 0 for no limit. It must be readable here.")
  int power;

  @Option(
      names = "--pace",
      paramLabel = "TOKENS",
      defaultValue = "0",
      description =
          "At most so many tokens a second of each answer, to keep it cool and quiet; 0 for no limit.")
  int pace;

  @Option(
      names = "--engine",
      paramLabel = "KIND",
      defaultValue = "auto",
      description = "cpu, cuda, vulkan, or auto (default): the best whose package is installed.")
  String engine = "auto";

  @Option(
      names = "--engine-sandbox",
      paramLabel = "MODE",
      defaultValue = "auto",
      description =
          "required, auto (default) or off: an engine sees its model's file and no other, and no network, where"
              + " the machine can do that; with required it does not start where not.")
  String sandbox = "auto";

  @Option(
      names = "--engine-step-seconds",
      paramLabel = "SECONDS",
      defaultValue = "120",
      description =
          "An engine that makes no step for so long while it has work, or does not answer, is ended and started again.")
  int stepSeconds = 120;

  @Option(
      names = "--server",
      paramLabel = "URL|NAME",
      description =
          "An OpenAI-compatible server that runs here already, instead of our engine: its base URL with /v1, or"
              + " llama-server, ollama, lmstudio, vllm where it listens on its usual port.")
  @Nullable String server;

  @Option(
      names = "--server-model",
      paramLabel = "NAME",
      description = "The model, as that server calls it.")
  @Nullable String serverModel;

  @Option(
      names = "--serves",
      paramLabel = "MODEL@QUANTIZATION",
      description = "Which of the gateway's models that is, such as meta/llama-3.1-8b@Q4_K_M.")
  @Nullable String serves;

  static void requireUrl(String option, String url) {
    try {
      URI uri = URI.create(url);
      if (uri.getHost() != null && List.of("http", "https").contains(uri.getScheme())) {
        return;
      }
    } catch (IllegalArgumentException e) {
      // Said below.
    }
    throw new Main.Failure(option + " must be a URL such as https://gateway.example, not " + url);
  }

  /** The gateways: those that were named, and the invitation's. */
  private List<URI> gateways() {
    List<String> all = new ArrayList<>(join);
    if (!invitation.isEmpty()) {
      Invitation invited =
          Invitation.read(invitation)
              .orElseThrow(
                  () ->
                      new Main.Failure(
                          "this is no invitation: it begins with gtinv_; copy the whole line"));
      if (all.isEmpty()) {
        all.add(invited.gateway());
      }
    }
    if (all.isEmpty()) {
      throw new Main.Failure(
          "say where to join: --join URL, such as http://127.0.0.1:4020 after ./gridtie up, or --invitation");
    }
    all.forEach(u -> requireUrl("--join", u));
    return all.stream().distinct().map(u -> URI.create(u.replaceAll("/+$", "") + "/")).toList();
  }

  private NodeConfig.Caps caps(Hardware hardware) {
    if (slots < 1 || slots > 1024 || disk <= 0 || bandwidth < 0 || power < 0 || pace < 0) {
      throw new Main.Failure(
          "--slots is from 1 to 1024, --disk more than 0, --bandwidth, --power and --pace not negative");
    }
    if (power > 0 && !hardware.powerReadable()) {
      throw new Main.Failure(
          "what this machine takes cannot be read here, so --power could not be kept; leave it out");
    }
    boolean own = hardware.gpuBytes() > 0;
    long usual =
        own ? hardware.gpuBytes() / 100 * 90 : hardware.memoryBytes() / 100 * MEMORY_PERCENT;
    long bytes = memory == null ? usual : (long) (memory * (1L << 30));
    int threads = cores == null ? Math.max(1, hardware.cores() - 1) : cores;
    if (bytes <= 0 || threads < 1) {
      throw new Main.Failure("--memory and --cores must be more than 0");
    }
    return new NodeConfig.Caps(
        bytes,
        Math.min(threads, hardware.cores()),
        slots,
        (long) (disk * (1L << 30)),
        (long) (bandwidth * 125_000),
        power,
        pace);
  }

  private Owner.Rules rules() {
    try {
      return new Owner.Rules(
          when,
          Optional.ofNullable(hours).map(Hours::of),
          Duration.ofSeconds(Math.max(0, quiet)),
          Math.max(1, busy),
          temperature,
          onBattery);
    } catch (IllegalArgumentException e) {
      throw new Main.Failure("--hours: " + e.getMessage());
    }
  }

  private Optional<NodeConfig.Server> server(HttpClient http) throws InterruptedException {
    if (server == null) {
      return Optional.empty();
    }
    String model = serverModel;
    String as = serves;
    if (model == null || as == null || !as.matches(".+@.+")) {
      throw new Main.Failure(
          "--server needs --server-model NAME and --serves MODEL@QUANTIZATION; gridtie node servers lists what runs here");
    }
    Integer port = FoundServers.USUAL.get(server.toLowerCase(Locale.ROOT));
    String url = port == null ? server : "http://127.0.0.1:" + port + "/v1/";
    requireUrl("--server", url);
    return Optional.of(new NodeConfig.Server(URI.create(url), model, as));
  }

  /**
   * What engines run under: whatever the owner runs goes first. A process that only gets what is
   * left over takes seconds to die on a busy machine, and its memory with it; so where the engine
   * is to be ended when the owner comes back, it is only of lower priority.
   */
  private static List<String> behindTheOwner(Owner.When when) {
    List<String> under = new ArrayList<>();
    if (when == Owner.When.ALWAYS) {
      addIfThere(under, "nice", "-n", "19");
      addIfThere(under, "chrt", "--idle", "0");
    } else {
      addIfThere(under, "nice", "-n", "10");
    }
    addIfThere(under, "ionice", "-c", "3");
    return under;
  }

  private static void addIfThere(List<String> under, String program, String... arguments) {
    String path = System.getenv("PATH");
    boolean there =
        path != null
            && Stream.of(path.split(java.io.File.pathSeparator))
                .anyMatch(p -> Files.isExecutable(Path.of(p, program)));
    if (there) {
      under.add(program);
      under.addAll(List.of(arguments));
    }
  }

  @Override
  public Integer call() throws Exception {
    List<URI> gateways = gateways();
    Home where = home.get();
    where.create();
    Install install = Install.here();
    if (!install.hasNatives() && server == null) {
      throw new Main.Failure("the native packages are missing: run ./gridtie build");
    }
    if (!name.matches("[\\p{L}\\p{N} ._-]{0,64}") || !region.matches("[a-z0-9-]{0,32}")) {
      throw new Main.Failure(
          "--name is letters, digits and . _ - (at most 64), --region is a-z, 0-9 and - (at most 32)");
    }
    HostFiles host = new HostFiles(Path.of("/"));
    OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
    Hardware found =
        Hardware.detect(host, system.getAvailableProcessors(), system.getTotalMemorySize());
    NodeEngine chosen =
        server == null
            ? NodeEngine.choose(
                engine, install, found, host, where.logs().resolve("engine.log"), sandbox())
            : NodeEngine.none(install, found);
    Hardware hardware = chosen.hardware();
    NodeConfig.Caps caps = caps(hardware);
    Owner.Rules rules = rules();
    HttpClient http =
        HttpClient.newBuilder()
            .connectTimeout(Duration.ofSeconds(10))
            .version(HttpClient.Version.HTTP_1_1)
            .build();
    NodeConfig config =
        new NodeConfig(
            gateways,
            name,
            region,
            invitation,
            caps,
            where.path().resolve("models"),
            chosen.libraries(),
            where.logs().resolve("engine.log"),
            behindTheOwner(when),
            Duration.ofSeconds(stepSeconds),
            sandbox(),
            server(http));
    EvmKey key = where.evmKey("node");
    System.out.println("node " + key.address().lower());
    System.out.println("on   " + hardware.summary());
    System.out.flush();
    return run(config, identity(key), hardware, host, rules, http, where);
  }

  private Sandbox.Mode sandbox() {
    try {
      return Sandbox.Mode.of(sandbox);
    } catch (IllegalArgumentException e) {
      throw new Main.Failure(String.valueOf(e.getMessage()));
    }
  }

  private static Identity identity(EvmKey key) {
    return new Identity() {
      @Override
      public String address() {
        return key.address().lower();
      }

      @Override
      public byte[] sign(byte[] digest) {
        return key.sign(digest);
      }
    };
  }

  private static Stream<Long> ownProcesses() {
    ProcessHandle self = ProcessHandle.current();
    return Stream.concat(Stream.of(self.pid()), self.descendants().map(ProcessHandle::pid));
  }

  private int run(
      NodeConfig config,
      Identity identity,
      Hardware hardware,
      HostFiles host,
      Owner.Rules rules,
      HttpClient http,
      Home where)
      throws Exception {
    CONNECTIONS.setLevel(Level.SEVERE); // a gateway that is away is told of in our own words
    Vertx vertx = Vertx.vertx(new VertxOptions().setPreferNativeTransport(true));
    Signs signs = Signs.of(host);
    Owner owner =
        new Owner(
            rules,
            signs,
            InstantSource.system(),
            ZoneId.systemDefault(),
            System::nanoTime,
            NodeCommand::ownProcesses,
            Thread::startVirtualThread);
    Teller teller = new Teller(where.path().resolve(NodeStatusCommand.FILE));
    NodeAgent agent =
        new NodeAgent(
            vertx,
            config,
            identity,
            hardware,
            host,
            signs,
            owner,
            http,
            InstantSource.system(),
            new SecureRandom(),
            teller::tell);
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  agent.close();
                  teller.end();
                  var unused = vertx.close();
                  stopped.countDown();
                }));
    while (!stopped.await(1, TimeUnit.SECONDS)) {
      Optional<String> refused = agent.refused();
      if (refused.isPresent()) {
        System.err.println("gridtie: no gateway takes this node: " + refused.get());
        return 1;
      }
    }
    return 0;
  }

  /** Writes what the node does into a file, and says on the terminal when it does another thing. */
  private static final class Teller {
    private static final JsonMapper MAPPER = JsonMapper.builder().build();
    private final Path file;
    private String last = "";

    Teller(Path file) {
      this.file = file;
    }

    synchronized void tell(NodeStatus status) {
      try {
        Path next = file.resolveSibling(file.getFileName() + ".next");
        Files.writeString(next, MAPPER.writeValueAsString(status) + "\n");
        Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      } catch (IOException e) {
        System.err.println("gridtie: the status cannot be written: " + e.getMessage());
      }
      String line = line(status);
      if (!line.equals(last)) {
        last = line;
        System.out.println(line);
        System.out.flush();
      }
    }

    private static String line(NodeStatus s) {
      return switch (s.state()) {
        case "serving" ->
            "serving %s %s: %d slots of %d tokens, %d tokens a second each, for %s"
                .formatted(
                    s.model(),
                    s.quantization(),
                    s.slots(),
                    s.contextTokens(),
                    s.decodeTps(),
                    String.join(
                        " and ",
                        s.gateways().stream()
                            .filter(NodeStatus.Gateway::joined)
                            .map(
                                g ->
                                    g.url()
                                        + (g.pool().isEmpty() ? "" : " (pool " + g.pool() + ")")
                                        + (g.vouched() ? "" : ", earnings pending"))
                            .toList()));
        case "fetching" ->
            "fetching a model: %d of %d MB"
                .formatted(s.fetchedBytes() / 10_000_000 * 10, s.fetchBytes() / 1_000_000);
        case "starting" -> "starting the engine, and a short benchmark";
        default -> s.state() + (s.why().isEmpty() ? "" : ": " + s.why());
      };
    }

    synchronized void end() {
      try {
        Files.deleteIfExists(file);
      } catch (IOException e) {
        // Its time stands in it.
      }
    }
  }

  /** Held, or it would forget its level. */
  private static final Logger CONNECTIONS =
      Logger.getLogger("io.vertx.core.http.impl.HttpClientConnectionInternal");

  /** {@code gridtie node servers}. */
  @Command(
      name = "servers",
      mixinStandardHelpOptions = true,
      description =
          "Lists the model servers that run on this machine already, on their usual ports.")
  static final class Servers implements Callable<Integer> {
    @Override
    public Integer call() throws Exception {
      try (HttpClient http = HttpClient.newHttpClient()) {
        List<FoundServers.Found> found = FoundServers.look(http, FoundServers.USUAL);
        if (found.isEmpty()) {
          System.out.println("No server answers on the usual ports: " + FoundServers.USUAL + ".");
        }
        for (FoundServers.Found each : found) {
          System.out.println(each.name() + "  " + each.url());
          each.models().forEach(m -> System.out.println("  " + Json.quote(m)));
        }
      }
      return 0;
    }
  }
}
