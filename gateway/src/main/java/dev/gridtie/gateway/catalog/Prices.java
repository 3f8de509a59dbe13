package dev.gridtie.gateway.catalog;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.chat.Usage;
import java.math.BigInteger;

/**
 * What an endpoint's tokens cost, each.
 *
 * @param prompt sent, and neither read from a cache nor written to one
 * @param completion received
 * @param cacheRead sent, and read from a cache
 * @param cacheWrite sent, and written to a cache
 * @param request each, whatever it holds
 */
public record Prices(
    PicoUsd prompt, PicoUsd completion, PicoUsd cacheRead, PicoUsd cacheWrite, PicoUsd request) {

  public static final Prices FREE = of(PicoUsd.ZERO, PicoUsd.ZERO);

  /** Prices that know no cache: what is sent costs the same wherever it comes from. */
  public static Prices of(PicoUsd prompt, PicoUsd completion) {
    return new Prices(prompt, completion, prompt, prompt, PicoUsd.ZERO);
  }

  /** These, and so many per cent more, each rounded up. */
  public Prices plusPercent(int percent) {
    return new Prices(
        plus(prompt, percent),
        plus(completion, percent),
        plus(cacheRead, percent),
        plus(cacheWrite, percent),
        plus(request, percent));
  }

  private static PicoUsd plus(PicoUsd price, int percent) {
    BigInteger hundredfold = price.pico().multiply(BigInteger.valueOf(100L + percent));
    return new PicoUsd(hundredfold.add(BigInteger.valueOf(99)).divide(BigInteger.valueOf(100)));
  }

  /** Whether nothing is charged, whatever is asked. */
  public boolean isFree() {
    return prompt.isZero()
        && completion.isZero()
        && cacheRead.isZero()
        && cacheWrite.isZero()
        && request.isZero();
  }

  /** Whether what is written to a cache for an hour is paid: vendors bill that as two prompts. */
  public boolean coversLongCache() {
    return cacheWrite.compareTo(prompt.times(2)) >= 0;
  }

  /** What a request cost: each token times its price, added up exactly. */
  public PicoUsd cost(Usage usage) {
    return prompt
        .times(usage.inputUncached())
        .plus(cacheRead.times(usage.cacheRead()))
        .plus(cacheWrite.times(usage.cacheWrite()))
        .plus(completion.times(usage.output()))
        .plus(request);
  }

  /** The most that a request can cost, whatever a cache makes of it. */
  public PicoUsd bound(long promptTokens, long maxTokens) {
    PicoUsd dearest = max(prompt, max(cacheRead, cacheWrite));
    return dearest.times(promptTokens).plus(completion.times(maxTokens)).plus(request);
  }

  private static PicoUsd max(PicoUsd a, PicoUsd b) {
    return a.compareTo(b) >= 0 ? a : b;
  }
}
