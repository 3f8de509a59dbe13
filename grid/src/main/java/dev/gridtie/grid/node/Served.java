package dev.gridtie.grid.node;

import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Generator;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.model.Fit;

/** What a node runs, and for whom. */
record Served(
    Generator engine,
    FromGateway.Offer.Wanted wanted,
    Fit fit,
    Speed speed,
    String build,
    boolean sampled) {
  FromNode.Serving message() {
    return new FromNode.Serving(
        wanted.manifest().hash(),
        fit.variant().sha256(),
        build,
        sampled,
        fit.slots(),
        fit.contextTokens(),
        speed.prefillTps(),
        speed.decodeTps());
  }

  /** At once: the owner wants the machine. */
  void abandon() {
    if (engine instanceof Engine own) {
      own.abandon();
    }
  }
}
