package dev.gridtie.app;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.base.Secret;
import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import dev.gridtie.base.ready.Readiness;
import dev.gridtie.base.ready.Report;
import dev.gridtie.gateway.account.KeyBook;
import dev.gridtie.gateway.account.KeyStore;
import dev.gridtie.gateway.account.Purse;
import dev.gridtie.gateway.account.UsageLog;
import dev.gridtie.gateway.account.UsageStore;
import dev.gridtie.gateway.answer.AnswerSource;
import dev.gridtie.gateway.cache.AnswerCache;
import dev.gridtie.gateway.catalog.Breaker;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.Channel;
import dev.gridtie.gateway.catalog.DataPolicy;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Feature;
import dev.gridtie.gateway.catalog.Health;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.catalog.Prices;
import dev.gridtie.gateway.edge.AdminServer;
import dev.gridtie.gateway.edge.EdgeServer;
import dev.gridtie.gateway.edge.GridDesk;
import dev.gridtie.gateway.edge.Services;
import dev.gridtie.gateway.gate.CoinClearance;
import dev.gridtie.gateway.gate.DeskParts;
import dev.gridtie.gateway.gate.Exposure;
import dev.gridtie.gateway.gate.Offers;
import dev.gridtie.gateway.gate.PaymentDesk;
import dev.gridtie.gateway.gate.StoredHistories;
import dev.gridtie.gateway.provider.EngineSource;
import dev.gridtie.gateway.provider.HttpSource;
import dev.gridtie.gateway.provider.Upstream;
import dev.gridtie.gateway.receipts.LogKeeper;
import dev.gridtie.gateway.receipts.ReceiptSigner;
import dev.gridtie.gateway.relay.HedgeBudget;
import dev.gridtie.gateway.relay.Relay;
import dev.gridtie.gateway.route.Affinity;
import dev.gridtie.gateway.route.Router;
import dev.gridtie.gateway.till.Closing;
import dev.gridtie.gateway.till.Expenses;
import dev.gridtie.gateway.till.GasTallies;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.gateway.till.HoldSweeper;
import dev.gridtie.gateway.till.Presence;
import dev.gridtie.gateway.watch.AccessLog;
import dev.gridtie.gateway.watch.Aside;
import dev.gridtie.gateway.watch.Metrics;
import dev.gridtie.gateway.watch.Seen;
import dev.gridtie.gateway.watch.Traces;
import dev.gridtie.gateway.watch.Watch;
import dev.gridtie.gateway.watch.Watchdog;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.ledger.log.LedgerLog;
import dev.gridtie.ledger.log.Witness;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.x402.client.CappedPayer;
import dev.gridtie.x402.client.Coin;
import dev.gridtie.x402.client.EvmNonces;
import dev.gridtie.x402.client.FilePaymentJournal;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.SpendingCaps;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.facilitator.Facilitator;
import dev.gridtie.x402.facilitator.GasWatcher;
import dev.gridtie.x402.offer.OfferReceipts;
import io.netty.util.concurrent.EventExecutor;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.internal.VertxInternal;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** A running gateway, wired from its configuration. */
final class Gateway implements AutoCloseable {
  private final Deque<AutoCloseable> parts = new ArrayDeque<>();
  private int port;
  private Optional<URI> adminUrl = Optional.empty();
  private List<String> gasPayers = List.of();
  private final Readiness readiness = new Readiness(System::nanoTime);
  private final List<CoinClearance> coins = new ArrayList<>();

  private Gateway() {}

  /**
   * Starts a gateway and returns once a paid request would succeed.
   *
   * @throws IOException saying what is missing or taken
   */
  static Gateway start(GatewayConfig config, Home home, Install install) throws IOException {
    return start(config, home, install, install.root(), false);
  }

  /**
   * Starts a gateway whose local chain starts at the same time: its coins are not asked for yet.
   * Call {@link #awaitReady} once the chain is there.
   */
  static Gateway startBesideItsChain(GatewayConfig config, Home home, Install install)
      throws IOException {
    return start(config, home, install, install.root(), true);
  }

  /**
   * @param beside the folder that the paths of the grid's models are relative to
   */
  static Gateway start(GatewayConfig config, Home home, Install install, Path beside)
      throws IOException {
    return start(config, home, install, beside, false);
  }

  private static Gateway start(
      GatewayConfig config, Home home, Install install, Path beside, boolean chainLater)
      throws IOException {
    Gateway gateway = new Gateway();
    try {
      gateway.wire(config, home, install, beside, chainLater);
      return gateway;
    } catch (IOException | RuntimeException e) {
      gateway.close();
      throw e;
    }
  }

  private <T extends AutoCloseable> T opened(T part) {
    parts.push(part);
    return part;
  }

  private void wire(
      GatewayConfig config, Home home, Install install, Path beside, boolean chainLater)
      throws IOException {
    home.create();
    Database database = opened(Database.open(home.ledger(), List.of(GatewayTables.MIGRATIONS)));
    Map<String, ChainWiring> chains =
        ChainWiring.all(
            config.allChains(),
            home,
            CLOCK,
            network -> gasInto(database, network),
            new GasTallies(database));
    List<Offers.Offer> offered = new ArrayList<>();
    for (GatewayConfig.Chain coin : config.allChains()) {
      ChainWiring chain = Objects.requireNonNull(chains.get(coin.network()));
      CoinClearance clearance = new CoinClearance(coinName(coin, coins), chain.facts(coin));
      coins.add(opened(clearance));
      for (Offers.Offer offer : chain.offers(coin, config.receiver(coin))) {
        offered.add(offer.onlyWhile(clearance::isCleared));
      }
    }
    if (!chainLater) {
      confirmCoins();
    }
    coins.forEach(CoinClearance::start);
    Offers offers = new Offers(offered);
    Facilitator facilitator =
        new Facilitator(chains.values().stream().flatMap(w -> w.kinds().stream()).toList());
    gasPayers = chains.values().stream().flatMap(w -> w.signers().stream()).distinct().toList();
    Vertx vertx = Vertx.vertx(new VertxOptions().setPreferNativeTransport(true));
    opened(() -> vertx.close().toCompletionStage().toCompletableFuture().get(2, TimeUnit.SECONDS));
    HttpClient client = upstreamClient(vertx);
    List<Model> own = new ArrayList<>();
    for (GatewayConfig.Model model : config.models()) {
      own.add(model(model, config, home, install, vertx, client));
    }
    Catalog catalog = new Catalog(own);
    if (config.catalog() != null) {
      CatalogBuilder builder =
          new CatalogBuilder(vertx, client, CLOCK, System::getenv, payers(config, home));
      opened(new CatalogFollower(Path.of(config.catalog()), builder, own, catalog));
    }
    LogKeeper log =
        new LogKeeper(new LedgerLog(database, home.logSigner()), CLOCK, config.witnesses());
    log.start();
    opened(log);
    SecureRandom random = new SecureRandom();
    Relay relay = new Relay(vertx, random, new HedgeBudget(config.hedgePercent()));
    Presence presence = opened(new Presence(database, random, System::nanoTime));
    PaymentDesk desk =
        new PaymentDesk(
            new DeskParts(
                database,
                presence,
                offers,
                facilitator,
                new Exposure(config.exposureCaps(), new StoredHistories(database), CLOCK),
                relay,
                new ReceiptSigner(home.receiptKey()),
                CLOCK,
                random,
                Duration.ofHours(config.limitsOrDefault().answersKeptHours())));
    desk.start();
    opened(desk);
    KeyBook keys = opened(new KeyBook(KeyStore.open(home.ledger()), database, presence, CLOCK));
    database.read(
        connection -> {
          UsageStore.forEach(connection, keys::replay);
          return true;
        });
    opened(new HoldSweeper(database, CLOCK));
    opened(new Closing(database, CLOCK));
    UsageLog usage = opened(new UsageLog(database, keys, CLOCK));
    Optional<GridDesk> grid = Optional.empty();
    if (config.grid() != null) {
      grid =
          Optional.of(
              opened(
                      new GridWiring(
                          config.grid(),
                          config.creditRate(),
                          home,
                          beside,
                          install,
                          vertx,
                          database,
                          catalog,
                          random,
                          CLOCK))
                  .desk());
    }
    check(config, home, database, chains, own, catalog);
    Metrics metrics = new Metrics(catalog);
    Watch watch = watch(config, home, metrics);
    GatewayConfig.Limits l = config.limitsOrDefault();
    Services services =
        new Services(
            catalog,
            new Router(random),
            new Affinity(CLOCK),
            relay,
            desk,
            offers,
            keys,
            usage,
            new Purse(database, config.creditRate(), CLOCK),
            new AnswerCache(config.cachePolicy(), CLOCK),
            watch,
            metrics,
            config.tracePrompts(),
            new OfferReceipts(home.receiptKey(), OFFERS_VALID),
            log.log(),
            new Witness(database, home.logSigner(), config.watchedLogs(), CLOCK),
            database,
            grid,
            CLOCK,
            random);
    EdgeServer.Limits limits =
        new EdgeServer.Limits(l.bounds(), l.concurrent(), Duration.ofSeconds(l.answerSeconds()));
    Watchdog watchdog = opened(watchdog(vertx, home));
    watchdog.start();
    readiness.add(threads(watchdog));
    EdgeServer edge =
        opened(
            new EdgeServer(vertx, services, limits, config.allowedOrigins(), readiness, watchdog));
    Optional<AdminSettings> admin =
        AdminSettings.of(
            config.admin(),
            config.adminToken(),
            config.port(),
            beside.resolve("gateway.yaml"),
            System::getenv);
    if (admin.isPresent()) {
      AdminServer pages =
          opened(
              new AdminServer(vertx, services, limits, readiness, admin.get().token(), watchdog));
      adminUrl = Optional.of(listen(pages, admin.get()));
    }
    port =
        edge.listen(
            config.hostOrLoopback(),
            config.port(),
            config.publicUrl() == null ? "" : config.publicUrl(),
            config.allowedHosts());
  }

  private static URI listen(AdminServer pages, AdminSettings at) throws IOException {
    try {
      int port = pages.listen(at.host(), at.port());
      return URI.create(
          "http://%s:%d"
              .formatted(at.host().contains(":") ? "[" + at.host() + "]" : at.host(), port));
    } catch (IOException e) {
      throw new IOException(
          "the operator's pages "
              + e.getMessage()
              + "; name another address with admin: HOST:PORT, or none with admin: off",
          e);
    }
  }

  /** What was paid to a chain for nothing stands in the books too. */
  private static GasWatcher gasInto(Database database, String network) {
    return (transaction, fee) -> {
      try {
        boolean unused =
            database.write(
                (c, log) -> {
                  Expenses.gas(log, network, transaction, fee, CLOCK.instant());
                  return true;
                });
      } catch (StoreException e) {
        System.err.println("gridtie: gas of " + transaction + " could not be booked: " + fee);
      }
    };
  }

  /** Names a coin: with a number where the same stands several times, with other schemes. */
  static String coinName(GatewayConfig.Chain coin, List<CoinClearance> others) {
    String name = coin.network() + ":" + coin.token();
    long before = others.stream().filter(c -> c.coin().split(" ", 2)[0].equals(name)).count();
    return before == 0 ? name : name + " #" + (before + 1);
  }

  /** Everything that looks on. */
  private Watch watch(GatewayConfig config, Home home, Metrics metrics) {
    List<Watch> all = new ArrayList<>();
    all.add(metrics);
    all.add(opened(new AccessLog(home.logs().resolve("access.log"))));
    if (config.traces() != null) {
      all.add(new Traces(opened(telemetry(config.traces()))));
    }
    return new Watch() {
      @Override
      public void over(Seen seen) {
        all.forEach(w -> w.over(seen));
      }

      @Override
      public void aside(Aside aside) {
        all.forEach(w -> w.aside(aside));
      }
    };
  }

  private static OpenTelemetrySdk telemetry(String url) {
    return OpenTelemetrySdk.builder()
        .setTracerProvider(
            SdkTracerProvider.builder()
                .setResource(
                    Resource.getDefault()
                        .merge(
                            Resource.create(
                                Attributes.of(AttributeKey.stringKey("service.name"), "gridtie"))))
                .addSpanProcessor(
                    BatchSpanProcessor.builder(
                            OtlpHttpSpanExporter.builder().setEndpoint(url).build())
                        .build())
                .build())
        .build();
  }

  private static final InstantSource CLOCK = InstantSource.system();

  /** For how long a signed offer holds. */
  private static final Duration OFFERS_VALID = Duration.ofMinutes(5);

  private static final int UPSTREAM_CONNECTIONS_MAX = 8192;

  /** How long a chain is asked what became of a payment to another gateway. */
  private static final Duration UPSTREAM_LOOK_PATIENCE = Duration.ofSeconds(10);

  /**
   * How long an unused connection is kept; well below the time after which the server may close it.
   */
  private static final int UPSTREAM_UNUSED_SECONDS_MAX = 20;

  private static HttpClient upstreamClient(Vertx vertx) {
    return vertx.createHttpClient(
        new HttpClientOptions()
            .setKeepAliveTimeout(UPSTREAM_UNUSED_SECONDS_MAX)
            .setTcpNoDelay(true),
        new PoolOptions().setHttp1MaxSize(UPSTREAM_CONNECTIONS_MAX));
  }

  /** What must go on for requests to be served: each event loop, and the threads of requests. */
  private static Watchdog watchdog(Vertx vertx, Home home) {
    Map<String, Executor> turning = new LinkedHashMap<>();
    turning.put("request threads", task -> Thread.ofVirtual().start(task));
    int number = 0;
    for (EventExecutor loop : ((VertxInternal) vertx).eventLoopGroup()) {
      turning.put("event loop " + number++, loop);
    }
    return new Watchdog(
        Watchdog.Patience.USUAL, turning, System::nanoTime, new StuckRemedy(home.logs()));
  }

  private static Check threads(Watchdog watchdog) {
    return new Check(
        "threads",
        "that no event loop and no request is stuck",
        () ->
            watchdog.stuck().isEmpty()
                ? Finding.ok()
                : Finding.failed(
                    "stuck: " + watchdog.stuck(),
                    "what the threads do is in logs/stuck-*.txt in the home; the program ends and"
                        + " is started again by its launcher if it stays so"));
  }

  /** What must hold for a paid request to succeed. */
  private void check(
      GatewayConfig config,
      Home home,
      Database database,
      Map<String, ChainWiring> chains,
      List<Model> own,
      Catalog catalog)
      throws IOException {
    readiness.addAll(StoreChecks.all(database, CLOCK));
    readiness.addAll(HomeChecks.all(home));
    chains.values().forEach(chain -> readiness.addAll(chain.checks()));
    for (CoinClearance coin : coins) {
      readiness.add(coin.check());
    }
    for (GatewayConfig.Chain coin : config.allChains()) {
      for (Check check :
          Objects.requireNonNull(chains.get(coin.network()))
              .coinChecks(coin, config.receiver(coin))) {
        readiness.add(check);
      }
    }
    readiness.addAll(ModelChecks.all(own, catalog));
  }

  /**
   * Asks the chains whether the coins are what is configured. Where a chain says nothing within
   * {@link #COINS_PATIENCE}, payments in its coins wait until it does.
   *
   * @throws IOException where a chain contradicts: with wrong decimals every price would be wrong
   */
  private void confirmCoins() throws IOException {
    CoinClearance.askAll(coins, COINS_PATIENCE);
    for (CoinClearance coin : coins) {
      Optional<Finding.Failed> wrong = coin.contradiction();
      if (wrong.isPresent()) {
        throw new IOException(
            coin.coin()
                + ": "
                + Doctor.sentence(wrong.get())
                + ". No payment is taken in a coin that is not what its configuration says");
      }
    }
  }

  /** What is tested of this gateway. */
  Readiness readiness() {
    return readiness;
  }

  /**
   * Waits until a paid request would succeed.
   *
   * @throws IOException naming what hinders it still
   */
  void awaitReady(Duration patience) throws IOException {
    long end = System.nanoTime() + patience.toNanos();
    while (true) {
      for (CoinClearance coin : coins) {
        if (!coin.isCleared()) {
          Finding unused = coin.ask();
        }
      }
      Report report = readiness.now();
      if (report.isReady()) {
        return;
      }
      if (System.nanoTime() > end) {
        throw new IOException("not ready: " + String.join("; ", Doctor.failures(report)));
      }
      try {
        Thread.sleep(50);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IOException("interrupted");
      }
    }
  }

  /** For how long the start waits for what chains say of their coins. */
  private static final Duration COINS_PATIENCE = Duration.ofSeconds(5);

  /** Other gateways are paid from a wallet of this home, within limits, and remembered on disk. */
  static CatalogBuilder.Payers payers(GatewayConfig config, Home home) {
    return (perRequest, perDay) -> {
      SpendingCaps caps =
          new SpendingCaps(
              UpFile.pico("payMaxUsdPerRequest", perRequest),
              UpFile.pico("payMaxUsdPerDay", perDay),
              home.path().resolve("upstream-spending.json"),
              CLOCK,
              new EvmNonces(
                  Map.of(
                      config.chain().network(),
                      new JsonRpcChain(URI.create(config.chain().rpc()), UPSTREAM_LOOK_PATIENCE))));
      Payer payer =
          new Payer(
              List.of(new ExactClient(home.evmKey("upstream"), CLOCK, new SecureRandom())),
              new Payer.Limits(
                  caps.perRequestMax(),
                  List.of(
                      new Coin(
                          config.chain().network(),
                          config.chain().token(),
                          config.chain().decimals())),
                  List.of()));
      return new UpstreamPayment(
          new CappedPayer(
              payer,
              caps,
              new FilePaymentJournal(home.path().resolve("upstream-payments.json")),
              CLOCK));
    };
  }

  private Model model(
      GatewayConfig.Model model,
      GatewayConfig config,
      Home home,
      Install install,
      Vertx vertx,
      HttpClient client)
      throws IOException {
    Prices prices =
        Prices.of(
            perToken("promptUsdPerMillion", model.promptUsdPerMillion()),
            perToken("completionUsdPerMillion", model.completionUsdPerMillion()));
    if (model.upstream() != null) {
      Upstream upstream =
          new Upstream(
              Dialect.OPENAI,
              false,
              URI.create(model.upstream()),
              model.id(),
              new Secret(""),
              UPSTREAM_IMAGE_TOKENS_MAX);
      AnswerSource source = new HttpSource(vertx, client, upstream, Optional.empty());
      return offered(model, prices, "upstream", Optional.of(Dialect.OPENAI), "", 0, source);
    }
    if (model.file() == null) {
      throw new IOException("model " + model.id() + " needs a file or an upstream");
    }
    if (!install.hasNatives()) {
      throw new IOException("the native packages are missing: run ./gridtie build");
    }
    Path file = install.root().resolve(model.file());
    Engine engine =
        opened(
            Engine.start(
                new Engine.Config(
                    Engine.libraries(install.nodeModules()),
                    file,
                    model.slots(),
                    model.contextTokens(),
                    model.threads(),
                    home.logs().resolve("engine.log"),
                    List.of(),
                    0,
                    config.enginePatience(),
                    config.sandboxMode())));
    if (engine.sandbox().startsWith("none")) {
      System.err.println(
          "gridtie: the engine of "
              + model.id()
              + " has no sandbox ("
              + engine.sandbox()
              + "): it runs with this user's rights");
    }
    long created = Files.getLastModifiedTime(file).toInstant().getEpochSecond();
    AnswerSource source = new EngineSource(engine);
    return offered(model, prices, "local", Optional.empty(), sha256(file), created, source);
  }

  private static final int UPSTREAM_IMAGE_TOKENS_MAX = 4096;

  private static Model offered(
      GatewayConfig.Model model,
      Prices prices,
      String provider,
      Optional<Dialect> dialect,
      String build,
      long created,
      AnswerSource source) {
    Endpoint endpoint =
        new Endpoint(
            provider,
            provider,
            dialect,
            prices,
            model.contextTokens(),
            model.contextTokens(),
            model.quantization(),
            Set.of("local"),
            DataPolicy.OWN,
            dialect.isPresent() ? EnumSet.allOf(Feature.class) : Set.of(Feature.EMBEDDINGS),
            build,
            List.of(new Channel(model.id(), source, new Breaker(CLOCK))),
            new Health(CLOCK));
    return new Model(
        model.id(), model.id(), "", created, model.defaultMaxTokens(), List.of(endpoint));
  }

  static PicoUsd perToken(String key, String usdPerMillion) throws IOException {
    try {
      return PicoUsd.ofDollarsPerMillion(usdPerMillion);
    } catch (IllegalArgumentException e) {
      throw new IOException(key + " must be dollars of at most 6 decimals, not " + usdPerMillion);
    }
  }

  private static String sha256(Path file) throws IOException {
    MessageDigest digest = Hashes.newSha256();
    byte[] buffer = new byte[1 << 16];
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        digest.update(buffer, 0, n);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /** The address that pays for gas. */
  List<String> gasPayers() {
    return gasPayers;
  }

  int port() {
    return port;
  }

  /** Where the operator's pages are; empty where they are off. */
  Optional<URI> adminUrl() {
    return adminUrl;
  }

  /** Ends everything, the last part first. */
  @Override
  public void close() {
    while (!parts.isEmpty()) {
      try {
        parts.pop().close();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      } catch (RuntimeException e) {
        System.err.println("gridtie: stopping: " + e.getMessage());
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
