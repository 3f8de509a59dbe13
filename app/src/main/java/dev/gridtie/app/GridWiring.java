package dev.gridtie.app;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.Prices;
import dev.gridtie.gateway.edge.GridDesk;
import dev.gridtie.gateway.edge.GridFeed;
import dev.gridtie.gateway.nodes.Earnings;
import dev.gridtie.gateway.nodes.GridFiles;
import dev.gridtie.gateway.nodes.GridModels;
import dev.gridtie.gateway.nodes.Pool;
import dev.gridtie.gateway.nodes.PoolAdmission;
import dev.gridtie.gateway.nodes.PoolStore;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Tokenizer;
import dev.gridtie.grid.fleet.Counter;
import dev.gridtie.grid.fleet.Grid;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.model.Variant;
import dev.gridtie.ledger.Database;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.Signatures;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.KeyPair;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** Wires the grid of a gateway: nodes that may join, what they serve, and what they are paid. */
final class GridWiring implements AutoCloseable {
  /** How often it is looked whether members still are. */
  private static final int REVIEW_MS = 1_000;

  private final Deque<AutoCloseable> parts = new ArrayDeque<>();
  private final GridDesk desk;

  GridDesk desk() {
    return desk;
  }

  /**
   * @param beside the folder that the configuration's paths are relative to
   */
  GridWiring(
      GatewayConfig.GridSettings settings,
      Optional<Credits.Rate> rate,
      Home home,
      Path beside,
      Install install,
      Vertx vertx,
      Database database,
      Catalog catalog,
      SecureRandom random,
      InstantSource clock)
      throws IOException {
    List<Grid.Offered> offered = new ArrayList<>();
    Map<String, GridModels.Terms> terms = new LinkedHashMap<>();
    Map<String, Path> files = new LinkedHashMap<>();
    for (GatewayConfig.GridModel model : settings.models()) {
      Manifest manifest = manifest(model, beside, home, files);
      String least = model.minQuantization() == null ? "" : model.minQuantization();
      offered.add(
          new Grid.Offered(
              model.pool() == null ? "" : model.pool(),
              new FromGateway.Offer.Wanted(manifest, model.contextTokens(), least)));
      terms.put(
          manifest.hash(),
          new GridModels.Terms(
              model.id(),
              Prices.of(
                  Gateway.perToken("promptUsdPerMillion", model.promptUsdPerMillion()),
                  Gateway.perToken("completionUsdPerMillion", model.completionUsdPerMillion())),
              clock.instant().getEpochSecond(),
              model.defaultMaxTokens()));
    }
    try {
      Grid.requireFits(offered);
    } catch (IllegalArgumentException e) {
      throw new Main.Failure("grid.models: " + e.getMessage());
    }
    if (settings.openToAll()) {
      System.err.println(
          "gridtie: warning: grid.invitedOnly is false, so strangers' machines answer: who runs one"
              + " reads the prompts it is given and may answer with anything, and what it does is"
              + " not verified; leave invitedOnly out to take only the nodes you invite");
    }
    Map<String, Counter> counters = counters(offered, files, home, install);
    KeyPair key = home.receiptKey();
    PoolStore pools = opened(PoolStore.open(home.ledger()));
    GridModels models = new GridModels(catalog, terms, clock);
    GridFeed feed = new GridFeed();
    AtomicReference<@Nullable Grid> late = new AtomicReference<>();
    Earnings earnings =
        opened(
            new Earnings(
                database,
                name -> pools.find(name).map(Pool::shared).orElse(false),
                flopPerKwh(settings.usdPerKwh(), rate),
                clock,
                (address, micro, pending) -> {
                  Grid grid = late.get();
                  if (grid != null) {
                    grid.paid(address, 0, micro, pending);
                  }
                }));
    ExecutorService threads = opened(Executors.newVirtualThreadPerTaskExecutor());
    Grid grid =
        new Grid(
            new Grid.Config(
                Base64.getEncoder().encodeToString(key.getPublic().getEncoded()),
                offered,
                builds(settings),
                counters,
                new PoolAdmission(
                    pools,
                    key.getPublic(),
                    settings.openToAll(),
                    Set.of(home.evmKey("node").address().lower()),
                    clock),
                (digest, signature) ->
                    Signatures.recover(digest, signature)
                        .map(EvmAddress::lower)
                        .orElseThrow(() -> new IllegalArgumentException("no signature")),
                earnings::add,
                () -> {
                  Grid changed = late.get();
                  if (changed != null) {
                    models.follow(changed);
                  }
                },
                feed::accept),
            System::nanoTime,
            random,
            threads);
    late.set(grid);
    this.desk = new GridDesk(grid, new GridFiles(grid, files), feed);
    long ticking = vertx.setPeriodic(Grid.TICK_MS, id -> grid.tick());
    long reviewing = vertx.setPeriodic(REVIEW_MS, id -> threads.execute(grid::reviewMembers));
    opened(
        () -> {
          boolean unused = vertx.cancelTimer(ticking) && vertx.cancelTimer(reviewing);
        });
  }

  /** This release's engines, whatever they compute on, and those that the operator has named. */
  private static Set<String> builds(GatewayConfig.GridSettings settings) {
    Set<String> builds = new TreeSet<>();
    Engine.BACKENDS.forEach(b -> builds.add(Engine.BUILD + "+" + b));
    if (settings.builds() != null) {
      builds.addAll(settings.builds());
    }
    return builds;
  }

  /** By the manifest's hash: one for each model whose file is here. */
  private Map<String, Counter> counters(
      List<Grid.Offered> offered, Map<String, Path> files, Home home, Install install) {
    Map<String, Counter> counters = new LinkedHashMap<>();
    for (Grid.Offered model : offered) {
      if (!install.hasNatives()) {
        break;
      }
      model.wanted().manifest().variants().stream()
          .map(v -> files.get(v.sha256()))
          .filter(Objects::nonNull)
          .findFirst()
          .ifPresent(
              file -> {
                Tokenizer tokenizer =
                    opened(
                        new Tokenizer(
                            Engine.libraries(install.nodeModules()),
                            file,
                            home.logs().resolve("engine.log"),
                            System::nanoTime));
                counters.put(model.hash(), tokenizer::count);
              });
    }
    return counters;
  }

  private <T extends AutoCloseable> T opened(T part) {
    parts.push(part);
    return part;
  }

  /** What a kilowatt-hour costs in work, at the price of a credit; 0 where either is not known. */
  private static BigInteger flopPerKwh(@Nullable String usdPerKwh, Optional<Credits.Rate> rate)
      throws IOException {
    if (usdPerKwh == null || rate.isEmpty()) {
      return BigInteger.ZERO;
    }
    try {
      return rate.get().bought(PicoUsd.ofDollars(usdPerKwh)).multiply(Credits.FLOP_PER_MICRO);
    } catch (IllegalArgumentException e) {
      throw new IOException("grid.usdPerKwh must be dollars, such as 0.30, not " + usdPerKwh);
    }
  }

  /**
   * A model's manifest: as it was given, else from its files, whose hashes are kept for the next
   * start.
   *
   * @param files takes the files that are here, by SHA-256
   */
  private static Manifest manifest(
      GatewayConfig.GridModel model, Path beside, Home home, Map<String, Path> files)
      throws IOException {
    if (model.manifest() != null) {
      Manifest given = YamlFile.read(beside.resolve(model.manifest()), Manifest.class);
      if (!given.id().equals(model.id())) {
        throw new IOException(
            "the manifest of " + model.id() + " in " + model.manifest() + " is of " + given.id());
      }
      return given;
    }
    if (model.files() == null || model.files().isEmpty()) {
      throw new IOException("grid model " + model.id() + " needs files, or a manifest");
    }
    Map<String, Path> here = new LinkedHashMap<>();
    StringBuilder state = new StringBuilder(model.id());
    for (var each : model.files().entrySet()) {
      Path file = beside.resolve(each.getValue());
      if (!Files.isReadable(file)) {
        throw new IOException("grid model " + model.id() + ": there is no file at " + file);
      }
      here.put(each.getKey(), file);
      state.append('|').append(each.getKey()).append('|').append(file.toAbsolutePath());
      state
          .append('|')
          .append(Files.size(file))
          .append('|')
          .append(Files.getLastModifiedTime(file));
    }
    Manifest manifest = kept(home, model.id(), state.toString(), here);
    for (Variant variant : manifest.variants()) {
      Path file = here.get(variant.quantization());
      if (file != null) {
        files.put(variant.sha256(), file);
      }
    }
    return manifest;
  }

  /** Hashing large files takes minutes: it is done once. */
  private static Manifest kept(Home home, String id, String state, Map<String, Path> files)
      throws IOException {
    String name =
        dev.gridtie.base.Hex.encode(
                dev.gridtie.base.Hashes.sha256(
                    state.getBytes(java.nio.charset.StandardCharsets.UTF_8)))
            .substring(2, 34);
    Path folder = Files.createDirectories(home.path().resolve("manifests"));
    Path file = folder.resolve(name + ".json");
    if (Files.isReadable(file)) {
      return YamlFile.read(file, Manifest.class);
    }
    Manifest manifest = ModelCommand.describe(id, files);
    Path next = folder.resolve(name + ".next");
    Files.writeString(next, ModelCommand.json(manifest));
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
    return manifest;
  }

  @Override
  public void close() throws Exception {
    while (!parts.isEmpty()) {
      parts.pop().close();
    }
  }
}
