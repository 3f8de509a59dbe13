package dev.gridtie.grid.node;

import java.util.List;

/**
 * What a node is doing, for its owner.
 *
 * @param at Unix milliseconds
 * @param state {@code waiting}, {@code fetching}, {@code starting}, {@code serving}, {@code hung}
 *     or {@code resting}
 * @param why it rests, waits or hangs; empty where it does not
 * @param fetchedBytes of the file that is being fetched
 * @param fetchBytes of all of it
 * @param tokensPerSecond that it gives now, all answers together
 * @param releasedMicro micro-credits that were paid since it started
 * @param pendingMicro micro-credits that wait to be verified
 * @param watts that the machine takes; −1 where that cannot be read
 * @param enginePid −1 while none runs
 * @param sandbox what keeps the engine from the machine's files, or {@code none: } and why
 */
public record NodeStatus(
    long at,
    String address,
    String hardware,
    String state,
    String why,
    String model,
    String quantization,
    int contextTokens,
    int slots,
    int active,
    long fetchedBytes,
    long fetchBytes,
    int prefillTps,
    int decodeTps,
    long answers,
    long tokens,
    double tokensPerSecond,
    long yields,
    long releasedMicro,
    long pendingMicro,
    double watts,
    long enginePid,
    String sandbox,
    List<Gateway> gateways) {
  /**
   * One gateway.
   *
   * @param why it has not joined; empty where it has
   */
  public record Gateway(String url, boolean joined, String pool, boolean vouched, String why) {}
}
