package dev.gridtie.app;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.ModelOffer;
import dev.gridtie.gateway.edge.EdgeServer;
import dev.gridtie.gateway.gate.DeskParts;
import dev.gridtie.gateway.gate.PaymentDesk;
import dev.gridtie.gateway.gate.PaymentStore;
import dev.gridtie.gateway.receipts.ReceiptSigner;
import dev.gridtie.gateway.relay.AnswerSource;
import dev.gridtie.gateway.relay.EngineSource;
import dev.gridtie.gateway.relay.HttpSource;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.ledger.Database;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.JsonRpcChain;
import dev.gridtie.x402.evm.Sender;
import dev.gridtie.x402.evm.exact.ExactFacilitator;
import dev.gridtie.x402.evm.exact.ExactServer;
import dev.gridtie.x402.wire.Networks;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
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
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** A running gateway, wired from its configuration. */
final class Gateway implements AutoCloseable {
  private final Deque<AutoCloseable> parts = new ArrayDeque<>();
  private int port;
  private String gasPayer = "";

  private Gateway() {}

  /**
   * Starts a gateway and returns once a paid request would succeed.
   *
   * @throws IOException saying what is missing or taken
   */
  static Gateway start(GatewayConfig config, Home home, Install install) throws IOException {
    Gateway gateway = new Gateway();
    try {
      gateway.wire(config, home, install);
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

  private void wire(GatewayConfig config, Home home, Install install) throws IOException {
    home.create();
    Database database =
        opened(Database.open(Database.file(home.path()), () -> PaymentStore.SCHEMA));
    GatewayConfig.Chain c = config.chain();
    EvmChain chain =
        new JsonRpcChain(URI.create(c.rpc()), Duration.ofSeconds(c.rpcTimeoutSeconds()));
    EvmKey gasKey = home.evmKey("facilitator");
    gasPayer = gasKey.address().toString();
    long chainId =
        Networks.evmChainId(c.network())
            .orElseThrow(
                () ->
                    new IOException(
                        "chain.network must be eip155 and a chain id, not " + c.network()));
    EvmAddress payTo = address("payTo", config.payTo());
    EvmAddress token = address("chain.token", c.token());
    Sender sender = new Sender(chain, chainId, gasKey, c.feeCapWei());
    ExactFacilitator facilitator =
        new ExactFacilitator(
            chain, sender, InstantSource.system(), Duration.ofSeconds(c.settleTimeoutSeconds()));
    ExactServer charge =
        new ExactServer(
            c.network(),
            token,
            c.decimals(),
            c.tokenName(),
            c.tokenVersion(),
            payTo,
            c.validSeconds());
    Vertx vertx = Vertx.vertx(new VertxOptions().setPreferNativeTransport(true));
    opened(() -> vertx.close().toCompletionStage().toCompletableFuture().get(2, TimeUnit.SECONDS));
    List<ModelOffer> offers = new ArrayList<>();
    for (GatewayConfig.Model model : config.models()) {
      offers.add(offer(model, home, install, vertx));
    }
    Catalog catalog = new Catalog(offers);
    PaymentDesk desk =
        new PaymentDesk(
            new DeskParts(
                database,
                charge,
                facilitator,
                chain,
                sender,
                new Till(c.network() + ":" + token.lower(), payTo.lower()),
                new ReceiptSigner(home.receiptKey()),
                InstantSource.system(),
                new SecureRandom(),
                Duration.ofHours(config.limitsOrDefault().answersKeptHours())));
    desk.start();
    opened(desk);
    GatewayConfig.Limits l = config.limitsOrDefault();
    EdgeServer edge =
        opened(
            new EdgeServer(
                vertx,
                catalog,
                desk,
                charge,
                new EdgeServer.Limits(
                    l.bodyBytes(),
                    Duration.ofSeconds(l.bodySeconds()),
                    l.concurrent(),
                    Duration.ofSeconds(120)),
                health(chain, chainId, offers),
                InstantSource.system(),
                new SecureRandom()));
    port =
        edge.listen(
            config.hostOrLoopback(),
            config.port(),
            config.publicUrl() == null ? "" : config.publicUrl());
  }

  private static Map<String, BooleanSupplier> health(
      EvmChain chain, long chainId, List<ModelOffer> offers) {
    return Map.of(
        "engine", () -> offers.stream().allMatch(o -> o.source().isReady()),
        "chain",
            () -> {
              try {
                return chain.chainId() == chainId;
              } catch (EvmChain.UnreachableException | EvmChain.RefusedException e) {
                return false;
              }
            });
  }

  private static EvmAddress address(String key, String value) throws IOException {
    try {
      return EvmAddress.of(value);
    } catch (IllegalArgumentException e) {
      throw new IOException(key + " must be an address: 0x and 40 hexadecimal digits");
    }
  }

  private ModelOffer offer(GatewayConfig.Model model, Home home, Install install, Vertx vertx)
      throws IOException {
    PicoUsd prompt = perToken("promptUsdPerMillion", model.promptUsdPerMillion());
    PicoUsd completion = perToken("completionUsdPerMillion", model.completionUsdPerMillion());
    if (model.upstream() != null) {
      if (!prompt.isZero() || !completion.isZero()) {
        throw new IOException(
            "model "
                + model.id()
                + ": an upstream counts no tokens in advance, so its model must be free of charge");
      }
      AnswerSource source = new HttpSource(vertx, URI.create(model.upstream()), model.id());
      return offer(model, prompt, completion, "", 0, source);
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
                    home.logs().resolve("engine.log"))));
    long created = Files.getLastModifiedTime(file).toInstant().getEpochSecond();
    return offer(model, prompt, completion, sha256(file), created, new EngineSource(engine));
  }

  private static ModelOffer offer(
      GatewayConfig.Model model,
      PicoUsd prompt,
      PicoUsd completion,
      String build,
      long created,
      AnswerSource source) {
    return new ModelOffer(
        model.id(),
        prompt,
        completion,
        model.contextTokens(),
        model.defaultMaxTokens(),
        model.quantization(),
        build,
        created,
        source);
  }

  private static PicoUsd perToken(String key, String usdPerMillion) throws IOException {
    try {
      return PicoUsd.ofDollars(new BigDecimal(usdPerMillion).movePointLeft(6).toPlainString());
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
  String gasPayer() {
    return gasPayer;
  }

  int port() {
    return port;
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
