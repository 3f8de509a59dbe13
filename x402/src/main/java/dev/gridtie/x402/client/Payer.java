package dev.gridtie.x402.client;

import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.Headers;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.Networks;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequired;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import dev.gridtie.x402.wire.SettleResponse;
import java.math.BigInteger;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/**
 * Answers a 402: picks the cheapest way to pay that is within its limits, the first of equals, and
 * signs it.
 */
public final class Payer {
  private final List<PaymentSigner> signers;
  private final Limits limits;

  /**
   * What may be paid for one call, in dollars and in which coins; whatever is offered besides is
   * left alone.
   *
   * @param picoMax the most, in millionths of a millionth of a dollar
   * @param coins that may be paid in, the preferred first
   * @param payees that may be paid; none means any
   */
  public record Limits(BigInteger picoMax, List<Coin> coins, List<String> payees) {
    private static final int PICO_DECIMALS = 12;

    public Limits {
      coins = List.copyOf(coins);
      payees = List.copyOf(payees);
    }

    /** The coin of an offer, where it may be paid. */
    Optional<Coin> coin(PaymentRequirements offered) {
      boolean payee =
          payees.isEmpty() || payees.stream().anyMatch(offered.payTo()::equalsIgnoreCase);
      return payee
          ? coins.stream().filter(c -> c.is(offered.network(), offered.asset())).findFirst()
          : Optional.empty();
    }

    /** What atomic units of a coin are worth, rounded up. */
    static BigInteger pico(BigInteger atomic, Coin coin) {
      int finer = coin.decimals() - PICO_DECIMALS;
      if (finer <= 0) {
        return atomic.multiply(BigInteger.TEN.pow(-finer));
      }
      BigInteger unit = BigInteger.TEN.pow(finer);
      return atomic.add(unit.subtract(BigInteger.ONE)).divide(unit);
    }
  }

  /** What came of a 402. */
  public sealed interface Decision {
    /**
     * Send the request again with this header.
     *
     * @param price what is asked for, in pico-dollars; of a ceiling, the most
     * @param pico what is signed away at most, in pico-dollars
     * @param commitment the same in the coin's units, and for how long
     */
    record Pay(
        String headerName,
        String headerValue,
        PaymentRequirements requirements,
        BigInteger price,
        BigInteger pico,
        Commitment commitment)
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
    BigInteger bestPrice = null;
    BigInteger asked = null;
    for (int i = 0; i < offer.accepts().size(); i++) {
      PaymentRequirements one = offer.accepts().get(i);
      Optional<Coin> coin = limits.coin(one);
      if (coin.isEmpty() || signer(one).isEmpty()) {
        continue;
      }
      BigInteger price = Limits.pico(one.amount(), coin.get());
      asked = asked == null ? price : asked.min(price);
      if (price.compareTo(limits.picoMax()) <= 0
          && (bestPrice == null || price.compareTo(bestPrice) < 0)) {
        best = i;
        bestPrice = price;
      }
    }
    if (bestPrice == null) {
      return new Decision.Refuse(
          asked == null
              ? new Refusal(
                  "unsupported_scheme",
                  "the 402 offers no scheme, network, coin and payee that this wallet may use")
              : new Refusal(
                  "amount_above_limit",
                  "the price is $"
                      + dollars(asked)
                      + ", and the limit for one call is $"
                      + dollars(limits.picoMax())));
    }
    PaymentRequirements chosen = offer.accepts().get(best);
    PaymentSigner signer = signer(chosen).orElseThrow();
    JsonNode payload = signer.sign(offer.version(), chosen);
    Commitment commitment = signer.commitment(chosen, payload);
    BigInteger pico = Limits.pico(commitment.most(), limits.coin(chosen).orElseThrow());
    if (offer.version() == 1) {
      String name = Networks.v1Name(chosen.network()).orElseThrow();
      return new Decision.Pay(
          Headers.X_PAYMENT,
          Headers.encode(PaymentPayload.v1(payload, chosen.scheme(), name)),
          chosen,
          bestPrice,
          pico,
          commitment);
    }
    JsonNode resource = offer.resource();
    JsonNode message =
        PaymentPayload.v2(
            payload, resource == null ? Json.array() : resource, offer.raw().get(best));
    return new Decision.Pay(
        Headers.PAYMENT_SIGNATURE, Headers.encode(message), chosen, bestPrice, pico, commitment);
  }

  /**
   * What was paid was answered: whoever signed it learns from that.
   *
   * @param sent the header's value that was sent
   * @param settled the header of the answer that says how it was settled, where there was one
   */
  void answered(String sent, Optional<String> settled) {
    Optional<SettleResponse> response =
        settled.flatMap(
            s -> {
              try {
                return Optional.of(SettleResponse.fromHeader(s));
              } catch (MalformedPaymentException e) {
                return Optional.empty();
              }
            });
    signed(sent).ifPresent(s -> s.signer().answered(s.payment(), response));
  }

  /** What was signed counts, and is about to be sent. */
  void committed(String signed) {
    signed(signed).ifPresent(s -> s.signer().committed(s.payment()));
  }

  /** What was signed was not sent, or was answered without being taken. */
  void refused(String sent) {
    signed(sent).ifPresent(s -> s.signer().refused(s.payment()));
  }

  /** What was paid was refused by a 402; whether signing anew may do. */
  boolean corrected(String sent, String required) {
    try {
      List<PaymentRequirements> offered = PaymentRequired.fromHeader(required).accepts();
      return signed(sent).map(s -> s.signer().corrected(s.payment(), offered)).orElse(false);
    } catch (MalformedPaymentException e) {
      return false;
    }
  }

  private record Signed(PaymentSigner signer, PaymentPayload payment) {}

  private Optional<Signed> signed(String sent) {
    try {
      PaymentPayload payment = PaymentPayload.fromHeader(sent);
      return payment
          .accepted()
          .flatMap(a -> signers.stream().filter(s -> s.keepsAccount(a)).findFirst())
          .map(s -> new Signed(s, payment));
    } catch (MalformedPaymentException e) {
      return Optional.empty(); // of version 1, whose schemes keep no account
    }
  }

  private static String dollars(BigInteger pico) {
    return new java.math.BigDecimal(pico, 12).stripTrailingZeros().toPlainString();
  }

  private Optional<PaymentSigner> signer(PaymentRequirements requirements) {
    return signers.stream().filter(s -> s.canSign(requirements)).findFirst();
  }
}
