package dev.gridtie.app;

import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import dev.gridtie.base.ready.Report;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.gate.CoinClearance;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.facilitator.GasMemory;
import dev.gridtie.x402.facilitator.GasWatcher;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What can be tested without a running gateway: the same checks as readiness has where they need
 * none, and those of what a start needs. And how a report is printed for a person.
 */
final class Doctor {
  /** As wide as a terminal is. */
  private static final int COLUMNS = 80;

  private static final int JAVA_MIN = 25;

  /** For how long chains are waited for. */
  private static final Duration COINS_PATIENCE = Duration.ofSeconds(5);

  private static final InstantSource CLOCK = InstantSource.system();

  private Doctor() {}

  // What is tested

  /** The program itself, and what was fetched for it. */
  static List<Check> ofInstallation(Install install) {
    return List.of(
        new Check(
            "java",
            "that the JDK is new enough",
            () ->
                Runtime.version().feature() >= JAVA_MIN
                    ? Finding.ok("Java " + Runtime.version())
                    : Finding.failed(
                        "Java " + Runtime.version().feature() + " is too old",
                        "install a JDK " + JAVA_MIN + ", or point JAVA_HOME at it")),
        file(
            "engine libraries",
            "that llama.cpp was fetched",
            Engine.libraries(install.nodeModules()),
            "./gridtie build"));
  }

  /** What {@code gridtie up} starts besides. */
  static List<Check> ofUp(Install install, String quantization, int port) {
    return List.of(
        file(
            "local chain",
            "that anvil was fetched",
            LocalChain.program(install.nodeModules()),
            "./gridtie build"),
        file(
            "model",
            "that the bundled model is there",
            install.tinyModel(quantization),
            "git checkout models"),
        port("127.0.0.1", port, "--port"),
        port("127.0.0.1", port + 1, "--port (the chain takes the next one)"));
  }

  private static Check file(String name, String tests, Path file, String remedy) {
    return new Check(
        name,
        tests,
        () ->
            Files.isReadable(file)
                ? Finding.ok()
                : new Finding.Failed(name + " cannot be read", file.toString(), remedy));
  }

  private static Check port(String host, int port, String key) {
    return new Check(
        "port " + port,
        "that nobody listens there yet",
        () -> {
          if (port == 0) {
            return new Finding.NotApplicable("a free one is taken");
          }
          try (ServerSocket socket = new ServerSocket()) {
            socket.setReuseAddress(true);
            socket.bind(new InetSocketAddress(InetAddress.getByName(host), port));
            return Finding.ok();
          } catch (IOException e) {
            return new Finding.Failed(
                "the port cannot be had",
                host + ":" + port + ": " + e.getMessage(),
                "stop who listens there, or choose another by " + key);
          }
        });
  }

  /** A home: disk, keys, and its ledger without a gateway. */
  static List<Check> ofHome(Home home, boolean inUse) {
    List<Check> checks = new ArrayList<>(HomeChecks.all(home));
    checks.add(
        new Check(
            "database",
            "that the ledger can be read and written",
            () -> {
              try {
                return switch (home.ledger()) {
                  case Location.OnFile file -> file(file, inUse);
                  case Location.OnPostgres postgres -> postgres(postgres);
                };
              } catch (IOException e) {
                return new Finding.Failed(
                    "the ledger's place is not known",
                    String.valueOf(e.getMessage()),
                    "mend " + LedgerAt.file(home.path()));
              }
            }));
    return checks;
  }

  private static Finding file(Location.OnFile where, boolean inUse) throws IOException {
    Path folder = Objects.requireNonNull(where.file().getParent());
    if (!Files.isDirectory(folder)) {
      return new Finding.NotApplicable("there is no home yet; the first start makes it");
    }
    Path probe = folder.resolve("doctor.probe");
    try (FileChannel channel =
        FileChannel.open(
            probe,
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            StandardOpenOption.DELETE_ON_CLOSE)) {
      ByteBuffer page = ByteBuffer.allocate(64 * 1024);
      while (page.hasRemaining()) {
        int unused = channel.write(page);
      }
      channel.force(true);
    } catch (IOException e) {
      return new Finding.Failed(
          "the home cannot be written",
          String.valueOf(e.getMessage()),
          "make room on the disk of " + folder + ", or mount it writable");
    }
    if (!Files.exists(where.file())) {
      return new Finding.NotApplicable("there is no ledger yet; the first start makes it");
    }
    try {
      long entries = Verifier.read(where, c -> new LedgerReader(c).size());
      return Finding.ok(entries + " entries" + (inUse ? ", in use by a gateway" : ""));
    } catch (StoreException e) {
      return new Finding.Failed(
          "the ledger cannot be read",
          String.valueOf(e.getMessage()),
          "./gridtie ledger verify says what is damaged; ./gridtie restore brings a backup back");
    }
  }

  private static Finding postgres(Location.OnPostgres where) {
    try (Connection c = where.connect();
        Statement statement = c.createStatement()) {
      boolean unused = statement.execute("SET lock_timeout = 500");
      int written = statement.executeUpdate("UPDATE meta SET value = value WHERE key = 'commits'");
      return written == 1
          ? StoreChecks.clock(c, CLOCK.instant())
          : new Finding.NotApplicable("there is no ledger yet; the first start makes it");
    } catch (SQLException e) {
      return "42P01".equals(e.getSQLState()) // undefined_table
          ? new Finding.NotApplicable("there is no ledger yet; the first start makes it")
          : new Finding.Failed(
              "the ledger's database cannot be written",
              where + ": " + e.getMessage(),
              "see that PostgreSQL runs, can be reached, and is not a standby; and ledger.yaml");
    }
  }

  /**
   * A configuration: that it can be read, the files and keys that it names, its port, its chains
   * and coins. Makes the home's keys where they are missing, as a start does.
   */
  static List<Check> ofConfiguration(Path file, Home home, Install install, boolean inUse) {
    List<Check> checks = new ArrayList<>();
    GatewayConfig config;
    try {
      config = GatewayConfig.read(file);
      checks.addAll(ofConfiguration(config, file, home, install, inUse));
    } catch (IOException e) {
      Finding wrong =
          new Finding.Failed(
              "the configuration is wrong",
              String.valueOf(e.getMessage()),
              "mend it; docs/gateway.md explains every key");
      checks.add(
          new Check("configuration", "that every key is known and makes sense", () -> wrong));
      return checks;
    }
    checks.addFirst(
        new Check("configuration", "that every key is known and makes sense", Finding::ok));
    return checks;
  }

  private static List<Check> ofConfiguration(
      GatewayConfig config, Path file, Home home, Install install, boolean inUse)
      throws IOException {
    Path beside = Objects.requireNonNull(file.toAbsolutePath().getParent());
    List<Check> checks = new ArrayList<>();
    requireSense(config);
    if (!inUse) {
      checks.add(port(config.hostOrLoopback(), config.port(), "port"));
    }
    for (GatewayConfig.Model model : config.models()) {
      if (model.file() != null) {
        checks.add(
            file(
                "model " + model.id(),
                "that its file can be read",
                install.root().resolve(model.file()),
                "put the file there, or mend models in the configuration"));
      }
    }
    if (config.grid() != null) {
      for (GatewayConfig.GridModel model : config.grid().models()) {
        for (var one :
            (model.files() == null ? Map.<String, String>of() : model.files()).entrySet()) {
          checks.add(
              file(
                  "grid model " + model.id() + " " + one.getKey(),
                  "that its file can be read",
                  beside.resolve(one.getValue()),
                  "put the file there, or mend grid.models in the configuration"));
        }
      }
    }
    if (config.catalog() != null) {
      checks.add(catalog(Path.of(config.catalog()), config, home));
    }
    home.create();
    Map<String, ChainWiring> chains =
        ChainWiring.all(
            config.allChains(), home, CLOCK, network -> GasWatcher.NOBODY, GasMemory.forThisRun());
    chains.values().forEach(chain -> checks.addAll(chain.checks()));
    List<CoinClearance> coins = new ArrayList<>();
    for (GatewayConfig.Chain coin : config.allChains()) {
      ChainWiring chain = Objects.requireNonNull(chains.get(coin.network()));
      var unused = chain.offers(coin, config.receiver(coin));
      coins.add(new CoinClearance(Gateway.coinName(coin, coins), chain.facts(coin)));
      checks.addAll(chain.coinChecks(coin, config.receiver(coin)));
    }
    CoinClearance.askAll(coins, COINS_PATIENCE);
    coins.forEach(coin -> checks.add(coin.check()));
    return checks;
  }

  /** Reads all that is read only when a gateway starts. */
  private static void requireSense(GatewayConfig config) throws IOException {
    var witnesses = config.witnesses();
    var watched = config.watchedLogs();
    var exposure = config.exposureCaps();
    var origins = config.allowedOrigins();
    var rate = config.creditRate();
    List<Object> unused = List.of(witnesses, watched, exposure, origins, rate);
    if (config.port() < 0 || config.port() > 65535) {
      throw new IOException("port must be from 0 to 65535");
    }
    for (GatewayConfig.Model model : config.models()) {
      var prompt = Gateway.perToken("promptUsdPerMillion", model.promptUsdPerMillion());
      var completion = Gateway.perToken("completionUsdPerMillion", model.completionUsdPerMillion());
      unused = List.of(prompt, completion);
      if (model.file() == null && model.upstream() == null) {
        throw new IOException("model " + model.id() + " needs a file or an upstream");
      }
    }
  }

  private static Check catalog(Path file, GatewayConfig config, Home home) {
    Finding found;
    Vertx vertx = Vertx.vertx();
    try {
      CatalogBuilder builder =
          new CatalogBuilder(
              vertx, vertx.createHttpClient(), CLOCK, System::getenv, Gateway.payers(config, home));
      List<Model> models = builder.build(YamlFile.read(file, CatalogConfig.class), file);
      found = Finding.ok(models.size() + " models, and their providers' keys are there");
    } catch (IOException e) {
      found =
          new Finding.Failed(
              "the catalog is wrong",
              String.valueOf(e.getMessage()),
              "mend " + file + "; docs/gateway.md explains every key");
    } finally {
      var unused = vertx.close();
    }
    Finding result = found;
    return new Check(
        "catalog", "that hosted models and their providers' keys are there", () -> result);
  }

  // How it is told

  /** What has failed, each in a sentence with its remedy. */
  static List<String> failures(Report report) {
    List<String> failures = new ArrayList<>();
    for (Report.Result result : report.results()) {
      if (result.finding() instanceof Finding.Failed failed) {
        failures.add(result.check().name() + ": " + sentence(failed));
      }
    }
    return failures;
  }

  static String sentence(Finding.Failed failed) {
    return failed.reason()
        + (failed.detail().isEmpty() ? "" : " (" + failed.detail() + ")")
        + ". Remedy: "
        + failed.remedy();
  }

  /** Prints each check, and the remedy of what has failed. */
  static void print(Report report, PrintStream out) {
    for (Report.Result result : report.results()) {
      String name = result.check().name();
      switch (result.finding()) {
        case Finding.Ok ok -> line(out, "ok    ", name, ok.detail());
        case Finding.NotApplicable not -> line(out, "-     ", name, not.why());
        case Finding.Warning warning -> {
          line(out, "warn  ", name, warning.reason());
          more(out, warning.detail(), warning.remedy());
        }
        case Finding.Failed failed -> {
          line(out, "FAIL  ", name, failed.reason());
          more(out, failed.detail(), failed.remedy());
        }
      }
    }
  }

  private static void line(PrintStream out, String mark, String name, String said) {
    out.print(wrapped(mark + name + (said.isEmpty() ? "" : ": " + said), 6));
  }

  private static void more(PrintStream out, String detail, String remedy) {
    if (!detail.isEmpty()) {
      out.print(wrapped("      " + detail, 6));
    }
    out.print(wrapped("      Remedy: " + remedy, 14));
  }

  /** A paragraph, its further lines indented; a word that is longer than a line stays whole. */
  static String wrapped(String text, int indent) {
    StringBuilder out = new StringBuilder();
    String rest = text;
    String margin = "";
    while (margin.length() + rest.length() > COLUMNS) {
      int room = COLUMNS - margin.length();
      int first = rest.length() - rest.stripLeading().length();
      int at = rest.lastIndexOf(' ', room);
      if (at <= first) {
        at = rest.indexOf(' ', Math.max(first, room));
      }
      if (at < 0) {
        break;
      }
      out.append(margin).append(rest, 0, at).append('\n');
      rest = rest.substring(at).stripLeading();
      margin = " ".repeat(indent);
    }
    return out.append(margin).append(rest).append('\n').toString();
  }
}
