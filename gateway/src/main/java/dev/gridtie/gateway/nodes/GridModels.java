package dev.gridtie.gateway.nodes;

import dev.gridtie.gateway.catalog.Breaker;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.Channel;
import dev.gridtie.gateway.catalog.DataPolicy;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Feature;
import dev.gridtie.gateway.catalog.Health;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.catalog.Prices;
import dev.gridtie.gateway.provider.EngineSource;
import dev.gridtie.grid.fleet.Grid;
import dev.gridtie.grid.fleet.Group;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Keeps the catalog up with the grid: each group of equal nodes is an endpoint of its model. State:
 * the endpoints that stand, under its monitor.
 */
public final class GridModels {
  private static final String PART = "grid";
  public static final String PROVIDER = "grid";

  /** A stranger's machine sees what it answers, and nobody can look what it does with it. */
  private static final DataPolicy STRANGERS = new DataPolicy(true, false);

  /** A pool's operator answers for its members. */
  private static final DataPolicy MEMBERS = new DataPolicy(false, false);

  private final Catalog catalog;
  private final InstantSource clock;
  private final Map<String, Terms> terms;
  private final Map<Group, Endpoint> endpoints = new HashMap<>();

  /**
   * How a model of the grid is offered.
   *
   * @param created Unix seconds
   * @param defaultMaxTokens of an answer whose request names no limit
   */
  public record Terms(String model, Prices prices, long created, int defaultMaxTokens) {}

  /**
   * @param terms by the manifest's hash
   */
  public GridModels(Catalog catalog, Map<String, Terms> terms, InstantSource clock) {
    this.catalog = catalog;
    this.terms = Map.copyOf(terms);
    this.clock = clock;
  }

  /** Nodes have come or gone. */
  public synchronized void follow(Grid grid) {
    Map<String, List<Endpoint>> byManifest = new LinkedHashMap<>();
    Map<Group, Endpoint> standing = new HashMap<>();
    for (Group group : grid.groups()) {
      Terms offered = terms.get(group.key().manifest());
      if (offered != null && group.size() > 0) {
        Endpoint endpoint =
            endpoints.containsKey(group) ? endpoints.get(group) : endpoint(group, offered);
        standing.put(group, endpoint);
        byManifest.computeIfAbsent(group.key().manifest(), k -> new ArrayList<>()).add(endpoint);
      }
    }
    endpoints.clear();
    endpoints.putAll(standing);
    Map<String, Model> models = new LinkedHashMap<>();
    byManifest.forEach(
        (hash, list) -> {
          Terms t = terms.get(hash);
          if (t != null) {
            Model model =
                new Model(
                    t.model(),
                    t.model(),
                    "Answered by contributed machines.",
                    t.created(),
                    t.defaultMaxTokens(),
                    list);
            models.merge(t.model(), model, GridModels::both);
          }
        });
    catalog.replace(PART, List.copyOf(models.values()));
  }

  private static Model both(Model a, Model b) {
    List<Endpoint> all = new ArrayList<>(a.endpoints());
    all.addAll(b.endpoints());
    return new Model(a.id(), a.name(), a.description(), a.created(), a.defaultMaxTokens(), all);
  }

  private Endpoint endpoint(Group group, Terms offered) {
    Group.Key key = group.key();
    String quantization = group.variant().quantization().toLowerCase(Locale.ROOT);
    StringBuilder id = new StringBuilder(PROVIDER).append('-').append(quantization);
    if (!key.region().isEmpty()) {
      id.append('-').append(key.region());
    }
    if (!key.pool().isEmpty()) {
      id.append('/').append(key.pool());
    }
    if (!key.sampled()) {
      id.append("-server");
    }
    return new Endpoint(
        id.toString(),
        PROVIDER,
        Optional.empty(),
        offered.prices(),
        Prices.FREE,
        group.contextTokens(),
        group.contextTokens(),
        quantization,
        key.region().isEmpty() ? Set.of() : Set.of(key.region()),
        key.pool().isEmpty() ? STRANGERS : MEMBERS,
        key.sampled() ? Set.of(Feature.EMBEDDINGS) : Set.of(),
        key.file(),
        List.of(new Channel(id.toString(), new EngineSource(group), new Breaker(clock))),
        new Health(clock),
        key.pool());
  }
}
