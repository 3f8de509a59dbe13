package dev.gridtie.gateway.account;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.chat.Usage;
import java.time.Instant;
import java.util.Set;

/**
 * One request as it is kept for those who ask afterwards; without its words.
 *
 * @param id of the answer, which names it to the client
 * @param keyId whose it was; empty for one that was free of charge
 * @param model as the client called it
 * @param endpoint of the model; empty where that was not written down
 * @param firstByteMs from the request to the first byte of its answer
 * @param totalMs from the request to the last
 * @param outcome {@code ok}, {@code cut}, {@code cancelled} or {@code failed}
 */
public record UsageRow(
    String id,
    String keyId,
    Instant time,
    String model,
    String provider,
    String endpoint,
    String dialect,
    boolean streamed,
    Usage usage,
    PicoUsd cost,
    String finish,
    long firstByteMs,
    long totalMs,
    String outcome) {

  /** What a key's limits may name of who answered. */
  Set<String> places() {
    return endpoint.isEmpty() ? Set.of(provider) : Set.of(provider, model + "@" + endpoint);
  }
}
