package dev.gridtie.gateway.catalog;

import java.util.List;

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

  /** Whether nothing is ever charged for it, and so no payment asked. */
  public boolean isFree() {
    return endpoints.stream().allMatch(e -> e.prices().isFree());
  }

  /** The longest prompt and answer that any endpoint takes. */
  public int contextTokens() {
    return endpoints.stream().mapToInt(Endpoint::contextTokens).max().orElse(0);
  }
}
