package dev.gridtie.gateway.catalog;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A model that can be asked.
 *
 * @param id what clients call it
 * @param created Unix seconds
 * @param defaultMaxTokens of an answer that is paid before it is given, where the client names no
 *     limit
 */
public record Model(
    String id,
    String name,
    String description,
    long created,
    int defaultMaxTokens,
    List<Endpoint> endpoints) {

  public Model {
    endpoints = List.copyOf(endpoints);
  }

  /** The same with another's endpoints behind its own. */
  Model and(Model other) {
    List<Endpoint> all = new ArrayList<>(endpoints);
    all.addAll(other.endpoints());
    return new Model(id, name, description, created, defaultMaxTokens, all);
  }

  /** The same without what is a pool's own; empty where that is all. */
  Optional<Model> open() {
    List<Endpoint> open = endpoints.stream().filter(e -> e.pool().isEmpty()).toList();
    return open.isEmpty()
        ? Optional.empty()
        : Optional.of(new Model(id, name, description, created, defaultMaxTokens, open));
  }

  /** Whether nothing is ever charged for it, and so no payment asked. */
  public boolean isFree() {
    return endpoints.stream().allMatch(e -> e.prices().isFree());
  }

  /** The longest prompt and answer that any endpoint takes. */
  public int contextTokens() {
    return endpoints.stream().mapToInt(Endpoint::contextTokens).max().orElse(0);
  }
}
