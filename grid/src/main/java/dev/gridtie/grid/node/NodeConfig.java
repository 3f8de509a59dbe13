package dev.gridtie.grid.node;

import dev.gridtie.grid.engine.Sandbox;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * How a machine contributes.
 *
 * @param gateways to join, each by its base URL
 * @param name for people to read; may be empty
 * @param region where it stands; may be empty
 * @param invitation into a pool; empty for the public one
 * @param caps what it may take
 * @param models where models' files are kept
 * @param libraries llama.cpp's
 * @param log where the engine's errors go
 * @param under what engines are started under, so that the owner's programs come first
 * @param patience how long an engine may make no step while it has work
 * @param sandbox whether engines must have one
 * @param server an OpenAI-compatible server that the owner runs, instead of our engine
 */
public record NodeConfig(
    List<URI> gateways,
    String name,
    String region,
    String invitation,
    Caps caps,
    Path models,
    Path libraries,
    Path log,
    List<String> under,
    Duration patience,
    Sandbox.Mode sandbox,
    Optional<Server> server) {
  public NodeConfig {
    gateways = List.copyOf(gateways);
    under = List.copyOf(under);
  }

  /**
   * What a node may take.
   *
   * @param memoryBytes for weights and caches
   * @param cores for computing
   * @param slots answers at once
   * @param diskBytes for models' files
   * @param bytesPerSecond while fetching; 0 for no limit
   * @param watts that the machine may take while it works; 0 for no limit
   * @param pace tokens a second of each answer; 0 for no limit
   */
  public record Caps(
      long memoryBytes,
      int cores,
      int slots,
      long diskBytes,
      long bytesPerSecond,
      int watts,
      int pace) {}

  /**
   * A server that the owner runs.
   *
   * @param url its base, with {@code /v1}
   * @param model as the server calls it
   * @param as which of a gateway's models that is: {@code ID@QUANTIZATION}
   */
  public record Server(URI url, String model, String as) {}
}
