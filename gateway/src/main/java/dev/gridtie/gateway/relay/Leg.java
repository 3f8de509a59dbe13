package dev.gridtie.gateway.relay;

import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Model;
import java.util.Set;

/** A model, and one endpoint that may answer for it. */
public record Leg(Model model, Endpoint endpoint) {
  /** What a key's limits may name of it: the provider, and the endpoint as {@code MODEL@ID}. */
  public Set<String> places() {
    return Set.of(endpoint.provider(), place());
  }

  /** The endpoint's name among all models'. */
  public String place() {
    return model.id() + "@" + endpoint.id();
  }
}
