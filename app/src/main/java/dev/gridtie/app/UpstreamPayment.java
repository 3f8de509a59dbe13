package dev.gridtie.app;

import dev.gridtie.gateway.provider.HttpSource;
import dev.gridtie.x402.client.CappedPayer;
import dev.gridtie.x402.client.PaymentJournal.Entry;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;

/**
 * Pays another gateway for answers, within the limits of this home. A payment whose answer has not
 * come whole is sent again with the same request, and nothing new is signed for it while that can
 * be settled, restarts included: both stand in the home's files.
 */
final class UpstreamPayment implements HttpSource.Payment {
  private final CappedPayer capped;

  UpstreamPayment(CappedPayer capped) {
    this.capped = capped;
  }

  private static Map.Entry<String, String> header(Entry entry) {
    return Map.entry(entry.headerName(), entry.headerValue());
  }

  @Override
  public Optional<Map.Entry<String, String>> pending(String request) {
    try {
      return capped.unanswered(request).map(UpstreamPayment::header);
    } catch (IOException e) {
      return unpaid(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public Optional<Map.Entry<String, String>> pay(String request, String required) {
    try {
      return switch (capped.pay(request, Optional.of(required), new byte[0])) {
        case CappedPayer.Outcome.Refuse refuse -> unpaid(refuse.why().message());
        case CappedPayer.Outcome.Send send -> Optional.of(header(send.entry()));
      };
    } catch (IOException e) {
      return unpaid(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public boolean refused(String request) {
    try {
      Optional<Entry> entry = capped.unanswered(request);
      if (entry.isEmpty()) {
        return true;
      }
      capped.refused(request, entry.get());
      if (capped.isOver(entry.get())) {
        capped.forget(request);
        return true;
      }
      var unused = unpaid(CappedPayer.stillOpen(entry.get()));
    } catch (IOException e) {
      var unused = unpaid(String.valueOf(e.getMessage()));
    }
    return false;
  }

  @Override
  public void delivered(String request) {
    try {
      capped.delivered(request);
    } catch (IOException e) {
      System.err.println("gridtie: " + String.valueOf(e.getMessage()));
    }
  }

  private static Optional<Map.Entry<String, String>> unpaid(String why) {
    System.err.println("gridtie: an upstream was not paid: " + why);
    return Optional.empty();
  }
}
