package dev.gridtie.grid.node;

import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Generator;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.model.Fit;

/**
 * What a node runs, and for whom.
 *
 * @param message says so to a gateway
 */
record Served(
    Generator engine,
    FromGateway.Offer.Wanted wanted,
    Fit fit,
    Speed speed,
    FromNode.Serving message) {
  /**
   * @param sampled whether the sampler is ours
   */
  Served(
      Generator engine,
      FromGateway.Offer.Wanted wanted,
      Fit fit,
      Speed speed,
      String build,
      boolean sampled) {
    this(
        engine,
        wanted,
        fit,
        speed,
        new FromNode.Serving(
            wanted.manifest().hash(),
            fit.variant().sha256(),
            build,
            sampled,
            fit.slots(),
            fit.contextTokens(),
            speed.prefillTps(),
            speed.decodeTps()));
  }

  /** At once: the owner wants the machine. */
  void abandon() {
    if (engine instanceof Engine own) {
      own.abandon();
    }
  }
}
