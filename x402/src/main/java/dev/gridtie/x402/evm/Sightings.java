package dev.gridtie.x402.evm;

import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Events that a chain's server has found. Servers limit how many blocks one question may span: what
 * cannot be had at once is asked for block range by block range, the latest first.
 *
 * @param logs the oldest first
 * @param complete whether all blocks were looked at
 */
public record Sightings(List<EvmChain.Log> logs, boolean complete) {
  /** Blocks that nearly every server looks through at once. */
  private static final long RANGE_BLOCKS = 1_000;

  /** How many ranges are asked for, where all blocks at once are refused. */
  private static final int RANGES_MAX = 20;

  /**
   * Looks for events of a contract.
   *
   * @param recent whether the last blocks suffice where something is found in them
   */
  public static Sightings of(
      EvmChain chain, EvmAddress contract, List<byte[]> topics, boolean recent)
      throws UnreachableException, RefusedException {
    long head = chain.latestBlock().number();
    if (recent) {
      List<EvmChain.Log> lately =
          chain.logs(contract, Math.max(0, head - RANGE_BLOCKS + 1), topics);
      if (!lately.isEmpty()) {
        return new Sightings(lately, false);
      }
    }
    try {
      return new Sightings(chain.logs(contract, 0, topics), true);
    } catch (RefusedException tooMany) {
      return inRanges(chain, contract, topics, head);
    }
  }

  private static Sightings inRanges(
      EvmChain chain, EvmAddress contract, List<byte[]> topics, long head)
      throws UnreachableException, RefusedException {
    List<EvmChain.Log> found = new ArrayList<>();
    long to = head;
    for (int i = 0; i < RANGES_MAX && to >= 0; i++) {
      long from = Math.max(0, to - RANGE_BLOCKS + 1);
      found.addAll(0, chain.logs(contract, from, Optional.of(to), topics));
      to = from - 1;
    }
    return new Sightings(found, to < 0);
  }
}
