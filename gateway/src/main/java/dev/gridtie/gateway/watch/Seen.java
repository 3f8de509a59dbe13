package dev.gridtie.gateway.watch;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.chat.Usage;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * One request that is over, as far as those who watch may know it: never its key, and its words
 * only where the operator has asked for them.
 *
 * @param id of the answer
 * @param began when its headers came
 * @param path that was asked for
 * @param dialect of the client
 * @param account the key's id; {@code x402} where a payment came along; empty where nothing is
 *     charged
 * @param model as it is offered; empty where the request did not get that far
 * @param provider who answered; empty where nobody did
 * @param upstreamDialect of who answered; {@code engine} for one of ours
 * @param outcome {@code ok}, {@code cached}, {@code cut}, {@code cancelled} or {@code failed}
 * @param firstByteMs from its headers to the answer's first byte
 * @param totalMs and to its last
 * @param words what was asked and answered, where the operator has asked for it; else null
 */
public record Seen(
    String id,
    Instant began,
    String path,
    String dialect,
    String account,
    String model,
    String provider,
    String upstreamDialect,
    boolean streamed,
    Usage usage,
    PicoUsd cost,
    String finish,
    String outcome,
    long firstByteMs,
    long totalMs,
    @Nullable Words words) {

  /** The most characters of either that are kept. */
  public static final int WORDS_MAX = 16 * 1024;

  /** What was asked and answered, as it came and went, clipped. */
  public record Words(String asked, String answered) {}
}
