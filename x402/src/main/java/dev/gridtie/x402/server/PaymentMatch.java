package dev.gridtie.x402.server;

import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.util.List;

/**
 * Which of our own current requirements a payment answers. A client's copy is never trusted for the
 * price.
 */
public sealed interface PaymentMatch {
  record Matched(PaymentRequirements requirements) implements PaymentMatch {}

  record Unmatched(Refusal why) implements PaymentMatch {}

  /**
   * Finds the requirement that the payment accepted (v2), or the first of its scheme and network
   * (v1).
   */
  static PaymentMatch find(PaymentPayload payment, List<PaymentRequirements> current) {
    for (PaymentRequirements ours : current) {
      boolean matches =
          payment
              .accepted()
              .map(ours::isMatchedBy)
              .orElse(
                  ours.isOfV1()
                      && ours.scheme().equals(payment.scheme())
                      && ours.network().equals(payment.network()));
      if (matches) {
        return new Matched(ours);
      }
    }
    return new Unmatched(explain(payment, current));
  }

  private static Refusal explain(PaymentPayload payment, List<PaymentRequirements> current) {
    if (current.stream().noneMatch(r -> r.scheme().equals(payment.scheme()))) {
      return new Refusal(
          "unsupported_scheme", "scheme " + payment.scheme() + " is not offered here");
    }
    if (current.stream().noneMatch(r -> r.network().equals(payment.network()))) {
      return new Refusal(
          "invalid_network", "network " + payment.network() + " is not offered here");
    }
    return new Refusal(
        "invalid_payment_requirements",
        "the accepted requirements are not the ones offered for this request; pay one of those in this answer");
  }
}
