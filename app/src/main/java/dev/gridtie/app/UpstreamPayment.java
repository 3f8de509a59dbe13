package dev.gridtie.app;

import dev.gridtie.gateway.provider.HttpSource;
import dev.gridtie.x402.client.Payer;
import dev.gridtie.x402.client.SpendingCaps;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Pays another gateway for answers, within the limits of this home. A payment whose answer has not
 * come is sent again with the same request, and never signed anew. State: those payments, bounded,
 * guarded by its own monitor.
 */
final class UpstreamPayment implements HttpSource.Payment {
  /** How many payments may wait for their answer. */
  private static final int UNANSWERED_MAX = 1024;

  private final Payer payer;
  private final SpendingCaps caps;
  private final Map<String, Payer.Decision.Pay> unanswered = new LinkedHashMap<>();

  UpstreamPayment(Payer payer, SpendingCaps caps) {
    this.payer = payer;
    this.caps = caps;
  }

  private static Map.Entry<String, String> header(Payer.Decision.Pay pay) {
    return Map.entry(pay.headerName(), pay.headerValue());
  }

  @Override
  public synchronized Optional<Map.Entry<String, String>> pending(String request) {
    return Optional.ofNullable(unanswered.get(request)).map(UpstreamPayment::header);
  }

  @Override
  public synchronized Optional<Map.Entry<String, String>> pay(String request, String required) {
    try {
      switch (payer.decide(Optional.of(required), new byte[0])) {
        case Payer.Decision.Refuse refuse -> {
          System.err.println("gridtie: an upstream was not paid: " + refuse.why().message());
          return Optional.empty();
        }
        case Payer.Decision.Pay pay -> {
          if (unanswered.size() >= UNANSWERED_MAX || !caps.reserve(pay.pico())) {
            System.err.println("gridtie: an upstream was not paid: the limits are reached");
            return Optional.empty();
          }
          unanswered.put(request, pay);
          return Optional.of(header(pay));
        }
      }
    } catch (IOException e) {
      System.err.println("gridtie: an upstream was not paid: " + e.getMessage());
      return Optional.empty();
    }
  }

  @Override
  public synchronized void answered(String request, boolean taken) {
    Payer.Decision.Pay pay = unanswered.remove(request);
    if (pay != null && !taken) {
      try {
        caps.release(pay.pico());
      } catch (IOException e) {
        System.err.println("gridtie: " + e.getMessage());
      }
    }
  }
}
