package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** Answers a 402: picks the cheapest way to pay that is within its limits, and signs it. */
public final class Payer {
  private final List<PaymentSigner> signers;
  private final Limits limits;

  /**
   * What may be paid for one call.
   *
   * @param atomicMax the most, in atomic units of the asset
   * @param networks CAIP-2 names that are allowed
   * @param assets token addresses that are allowed; none means any
   */
  public record Limits(BigInteger atomicMax, List<String> networks, List<String> assets) {
    public Limits {
      networks = List.copyOf(networks);
      assets = List.copyOf(assets);
    }

    boolean allowAsset(String asset) {
      return assets.isEmpty() || assets.stream().anyMatch(asset::equalsIgnoreCase);
    }
  }

  /** What came of a 402. */
  public sealed interface Decision {
    /** Send the request again with this header. */
    record Pay(String headerName, String headerValue, PaymentRequirements requirements)
        implements Decision {}

    /** Nothing offered may or can be paid. */
    record Refuse(Refusal why) implements Decision {}
  }

  public Payer(List<PaymentSigner> signers, Limits limits) {
    this.signers = List.copyOf(signers);
    this.limits = limits;
  }

  /**
   * Decides on a 402.
   *
   * @param paymentRequiredHeader the v2 header, where there was one
   * @param body the body, which says the v1 offer
   */
  public Decision decide(Optional<String> paymentRequiredHeader, byte[] body) {
    try {
      PaymentRequired.Offer offer =
          paymentRequiredHeader.isPresent()
              ? PaymentRequired.fromHeader(paymentRequiredHeader.get())
              : PaymentRequired.fromV1Body(Json.parse(body));
      return decide(offer);
    } catch (MalformedPaymentException | Json.MalformedJsonException e) {
      return new Decision.Refuse(
          new Refusal("invalid_payment_requirements", "the 402 cannot be read: " + e.getMessage()));
    }
  }

  private Decision decide(PaymentRequired.Offer offer) throws MalformedPaymentException {
    int best = -1;
    BigInteger asked = null;
    for (int i = 0; i < offer.accepts().size(); i++) {
      PaymentRequirements one = offer.accepts().get(i);
      if (!limits.networks().contains(one.network())
          || !limits.allowAsset(one.asset())
          || signer(one).isEmpty()) {
        continue;
      }
      asked = asked == null ? one.amount() : asked.min(one.amount());
      if (one.amount().compareTo(limits.atomicMax()) <= 0
          && (best < 0 || one.amount().compareTo(offer.accepts().get(best).amount()) < 0)) {
        best = i;
      }
    }
    if (best < 0) {
      return new Decision.Refuse(
          asked == null
              ? new Refusal(
                  "unsupported_scheme",
                  "the 402 offers no scheme, network and asset that this wallet may use")
              : new Refusal(
                  "amount_above_limit",
                  "the price is "
                      + asked
                      + " atomic units, and the limit for one call is "
                      + limits.atomicMax()));
    }
    PaymentRequirements chosen = offer.accepts().get(best);
    JsonNode payload = signer(chosen).orElseThrow().sign(offer.version(), chosen);
    if (offer.version() == 1) {
      String name = Networks.v1Name(chosen.network()).orElseThrow();
      return new Decision.Pay(
          Headers.X_PAYMENT,
          Headers.encode(PaymentPayload.v1(payload, chosen.scheme(), name)),
          chosen);
    }
    JsonNode resource = offer.resource();
    JsonNode message =
        PaymentPayload.v2(
            payload, resource == null ? Json.array() : resource, offer.raw().get(best));
    return new Decision.Pay(Headers.PAYMENT_SIGNATURE, Headers.encode(message), chosen);
  }

  private Optional<PaymentSigner> signer(PaymentRequirements requirements) {
    return signers.stream().filter(s -> s.canSign(requirements)).findFirst();
  }
}
