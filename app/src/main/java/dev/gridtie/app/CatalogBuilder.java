package dev.gridtie.app;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.base.Secret;
import dev.gridtie.gateway.answer.AnswerSource;
import dev.gridtie.gateway.catalog.Breaker;
import dev.gridtie.gateway.catalog.Channel;
import dev.gridtie.gateway.catalog.DataPolicy;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Feature;
import dev.gridtie.gateway.catalog.Health;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.catalog.Prices;
import dev.gridtie.gateway.provider.HttpSource;
import dev.gridtie.gateway.provider.Upstream;
import dev.gridtie.wire.chat.Dialect;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpClient;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Builds hosted models from their file. What was seen of an endpoint stays known when the file is
 * read again. State: health and breakers by name; used by one thread at a time.
 */
final class CatalogBuilder {
  private static final int IMAGE_TOKENS_MAX = 4096;
  private static final int MAX_TOKENS_DEFAULT = 1024;

  private final Vertx vertx;
  private final HttpClient client;
  private final InstantSource clock;
  private final UnaryOperator<@Nullable String> environment;
  private final Payers payers;
  private final Map<String, Health> health = new HashMap<>();
  private final Map<String, Breaker> breakers = new HashMap<>();

  /** Makes whoever pays an x402 gateway. */
  interface Payers {
    HttpSource.Payment payer(String maxUsdPerRequest, String maxUsdPerDay) throws IOException;
  }

  /**
   * @param environment looks a variable up
   */
  CatalogBuilder(
      Vertx vertx,
      HttpClient client,
      InstantSource clock,
      UnaryOperator<@Nullable String> environment,
      Payers payers) {
    this.vertx = vertx;
    this.client = client;
    this.clock = clock;
    this.environment = environment;
    this.payers = payers;
  }

  /**
   * Builds all models, or none.
   *
   * @param file for what it names relative to itself
   * @throws IOException saying what is wrong, and never a key
   */
  List<Model> build(CatalogConfig config, Path file) throws IOException {
    Map<String, Server> servers = new LinkedHashMap<>();
    for (CatalogConfig.Provider provider : config.providers()) {
      if (servers.put(provider.name(), server(provider, file)) != null) {
        throw new IOException("provider " + provider.name() + " stands twice");
      }
    }
    List<Model> models = new ArrayList<>();
    for (CatalogConfig.Model model : config.models()) {
      models.add(model(model, servers));
    }
    return models;
  }

  /** A provider, its keys looked up. */
  private record Server(
      CatalogConfig.Provider config,
      Dialect dialect,
      URI base,
      List<Secret> keys,
      Optional<HttpSource.Payment> payment) {}

  private Server server(CatalogConfig.Provider provider, Path file) throws IOException {
    String where = "provider " + provider.name();
    Dialect dialect;
    URI base;
    try {
      dialect = Dialect.valueOf(provider.dialect().toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw new IOException(where + ": dialect must be openai, responses, anthropic or gemini");
    }
    try {
      base = URI.create(provider.url());
    } catch (IllegalArgumentException e) {
      throw new IOException(where + ": url is not a URL");
    }
    if (base.getHost() == null || !List.of("http", "https").contains(base.getScheme())) {
      throw new IOException(where + ": url must begin with http:// or https://");
    }
    if (provider.extensions() != null && !provider.extensions().equals("openrouter")) {
      throw new IOException(where + ": extensions can only be openrouter");
    }
    List<Secret> keys = new ArrayList<>();
    for (CatalogConfig.Key key :
        provider.keys() == null ? List.<CatalogConfig.Key>of() : provider.keys()) {
      keys.add(key.read(where, file, environment));
    }
    Optional<HttpSource.Payment> payment = Optional.empty();
    if (provider.payMaxUsdPerRequest() != null) {
      String day = provider.payMaxUsdPerDay();
      if (day == null) {
        throw new IOException(where + ": payMaxUsdPerDay must stand beside payMaxUsdPerRequest");
      }
      payment = Optional.of(payers.payer(provider.payMaxUsdPerRequest(), day));
    }
    return new Server(
        provider, dialect, base, keys.isEmpty() ? List.of(new Secret("")) : keys, payment);
  }

  private Model model(CatalogConfig.Model model, Map<String, Server> servers) throws IOException {
    if (model.endpoints().isEmpty()) {
      throw new IOException("model " + model.id() + " needs at least one endpoint");
    }
    List<Endpoint> endpoints = new ArrayList<>();
    for (CatalogConfig.Endpoint endpoint : model.endpoints()) {
      Server server = servers.get(endpoint.provider());
      if (server == null) {
        throw new IOException(
            "model " + model.id() + ": there is no provider " + endpoint.provider());
      }
      endpoints.add(endpoint(model, endpoint, server));
    }
    if (endpoints.stream().map(Endpoint::id).distinct().count() < endpoints.size()) {
      throw new IOException(
          "model " + model.id() + ": two endpoints of one provider need different tags");
    }
    return new Model(
        model.id(),
        model.name() == null ? model.id() : model.name(),
        model.description() == null ? "" : model.description(),
        model.created(),
        model.defaultMaxTokens() == 0 ? MAX_TOKENS_DEFAULT : model.defaultMaxTokens(),
        endpoints);
  }

  private Endpoint endpoint(
      CatalogConfig.Model model, CatalogConfig.Endpoint endpoint, Server server)
      throws IOException {
    String slug = server.config().name().toLowerCase(Locale.ROOT);
    String id = endpoint.tag() == null ? slug : slug + "/" + endpoint.tag();
    String name = model.id() + " " + id;
    if (endpoint.contextTokens() < 1 || endpoint.maxCompletionTokens() < 1) {
      throw new IOException(
          "model " + model.id() + ": contextTokens and maxCompletionTokens must be at least 1");
    }
    List<Channel> channels = new ArrayList<>();
    for (Secret key : server.keys()) {
      String label = name + " #" + (channels.size() + 1);
      Upstream upstream =
          new Upstream(
              server.dialect(),
              server.config().extensions() != null,
              server.base(),
              endpoint.model(),
              key,
              endpoint.imageTokensMax() == 0 ? IMAGE_TOKENS_MAX : endpoint.imageTokensMax());
      AnswerSource source = new HttpSource(vertx, client, upstream, server.payment());
      channels.add(
          new Channel(label, source, breakers.computeIfAbsent(label, k -> new Breaker(clock))));
    }
    List<String> regions =
        endpoint.regions() == null ? server.config().regions() : endpoint.regions();
    return new Endpoint(
        id,
        slug,
        Optional.of(server.dialect()),
        charged(server.config(), prices(model, endpoint)),
        server.config().marginPercent() == null ? Prices.FREE : prices(model, endpoint),
        endpoint.contextTokens(),
        endpoint.maxCompletionTokens(),
        endpoint.quantization() == null
            ? "unknown"
            : endpoint.quantization().toLowerCase(Locale.ROOT),
        regions == null
            ? Set.of()
            : regions.stream().map(r -> r.toLowerCase(Locale.ROOT)).collect(Collectors.toSet()),
        new DataPolicy(server.config().collectsData(), server.config().zeroRetention()),
        features(model, endpoint),
        "",
        channels,
        health.computeIfAbsent(name, k -> new Health(clock)));
  }

  private static Prices charged(CatalogConfig.Provider provider, Prices listed) throws IOException {
    Integer margin = provider.marginPercent();
    if (margin == null) {
      return listed;
    }
    if (margin < 0 || margin > MARGIN_PERCENT_MAX) {
      throw new IOException(
          "provider "
              + provider.name()
              + ": marginPercent must be 0 to "
              + MARGIN_PERCENT_MAX
              + ", not "
              + margin);
    }
    return listed.plusPercent(margin);
  }

  private static final int MARGIN_PERCENT_MAX = 1000;

  private static Set<Feature> features(CatalogConfig.Model model, CatalogConfig.Endpoint endpoint)
      throws IOException {
    java.util.EnumSet<Feature> features = java.util.EnumSet.noneOf(Feature.class);
    for (String name : endpoint.features() == null ? List.<String>of() : endpoint.features()) {
      try {
        features.add(Feature.valueOf(name.toUpperCase(Locale.ROOT)));
      } catch (IllegalArgumentException e) {
        throw new IOException(
            "model "
                + model.id()
                + ": there is no feature "
                + name
                + "; there are "
                + java.util.Arrays.stream(Feature.values()).map(Feature::label).toList());
      }
    }
    return features;
  }

  private static Prices prices(CatalogConfig.Model model, CatalogConfig.Endpoint e)
      throws IOException {
    PicoUsd prompt = million(model, "promptUsdPerMillion", e.promptUsdPerMillion());
    String read = e.cacheReadUsdPerMillion();
    String write = e.cacheWriteUsdPerMillion();
    return new Prices(
        prompt,
        million(model, "completionUsdPerMillion", e.completionUsdPerMillion()),
        read == null ? prompt : million(model, "cacheReadUsdPerMillion", read),
        write == null ? prompt : million(model, "cacheWriteUsdPerMillion", write),
        e.requestUsd() == null
            ? PicoUsd.ZERO
            : dollars(model, "requestUsd", e.requestUsd(), 12, PicoUsd::ofDollars));
  }

  private static PicoUsd million(CatalogConfig.Model model, String key, String usd)
      throws IOException {
    return dollars(model, key, usd, 6, PicoUsd::ofDollarsPerMillion);
  }

  private static PicoUsd dollars(
      CatalogConfig.Model model,
      String key,
      String usd,
      int decimals,
      Function<String, PicoUsd> reader)
      throws IOException {
    try {
      return reader.apply(usd);
    } catch (IllegalArgumentException e) {
      throw new IOException(
          "model %s: %s must be dollars of at most %d decimals, not %s"
              .formatted(model.id(), key, decimals, usd));
    }
  }
}
