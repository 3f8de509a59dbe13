package dev.gridtie.gateway.catalog;

import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A model at one provider, in one quantisation.
 *
 * @param id names it within its model: provider, and quantisation where it has several
 * @param provider who runs it
 * @param dialect of its server; empty for an engine of ours
 * @param prices what is charged for it
 * @param costs what its provider takes of us for it
 * @param contextTokens prompt and answer together
 * @param maxCompletionTokens the longest answer it gives
 * @param quantization of the weights, in lower case, or {@code unknown}
 * @param regions where it runs; empty where that is not known
 * @param build the SHA-256 of the model's file, where we have it
 * @param pool of nodes that it is; empty where it is open to all
 */
public record Endpoint(
    String id,
    String provider,
    Optional<dev.gridtie.wire.chat.Dialect> dialect,
    Prices prices,
    Prices costs,
    int contextTokens,
    int maxCompletionTokens,
    String quantization,
    Set<String> regions,
    DataPolicy data,
    Set<Feature> features,
    String build,
    List<Channel> channels,
    Health health,
    String pool) {

  /** One that is open to all. */
  public Endpoint(
      String id,
      String provider,
      Optional<dev.gridtie.wire.chat.Dialect> dialect,
      Prices prices,
      Prices costs,
      int contextTokens,
      int maxCompletionTokens,
      String quantization,
      Set<String> regions,
      DataPolicy data,
      Set<Feature> features,
      String build,
      List<Channel> channels,
      Health health) {
    this(
        id,
        provider,
        dialect,
        prices,
        costs,
        contextTokens,
        maxCompletionTokens,
        quantization,
        regions,
        data,
        features,
        build,
        channels,
        health,
        "");
  }

  /** One whose provider takes nothing, or nothing that is known. */
  public Endpoint(
      String id,
      String provider,
      Optional<dev.gridtie.wire.chat.Dialect> dialect,
      Prices prices,
      int contextTokens,
      int maxCompletionTokens,
      String quantization,
      Set<String> regions,
      DataPolicy data,
      Set<Feature> features,
      String build,
      List<Channel> channels,
      Health health) {
    this(
        id,
        provider,
        dialect,
        prices,
        Prices.FREE,
        contextTokens,
        maxCompletionTokens,
        quantization,
        regions,
        data,
        features,
        build,
        channels,
        health);
  }

  public Endpoint {
    regions = Set.copyOf(regions);
    features = Set.copyOf(features);
    channels = List.copyOf(channels);
  }

  /** Whether an engine of ours runs it, and tokens are counted exactly. */
  public boolean isLocal() {
    return dialect.isEmpty();
  }

  /** What it can do beside other endpoints of the grid; 0 where it is none of them. */
  public long capacity() {
    return channels.stream().mapToLong(c -> c.source().capacity()).sum();
  }

  /** Whether any way to it would answer now. */
  public boolean isReady() {
    return channels.stream().anyMatch(c -> c.source().isReady());
  }
}
