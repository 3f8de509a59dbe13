package dev.gridtie.x402.facilitator;

import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Predicate;
import tools.jackson.databind.node.ObjectNode;

/** All kinds of payment that are taken here: finds for each payment whoever takes its kind. */
public final class Facilitator implements PaymentScheme {
  private final List<Kind> kinds;

  /**
   * A kind of payment.
   *
   * @param network CAIP-2
   * @param takes which of the scheme's payloads it is: a scheme may have several
   * @param key what names a payment for ever: two with the same key move money only once between
   *     them
   * @param extra what {@code /supported} says besides
   * @param scheme who verifies and settles it
   */
  public record Kind(
      String name,
      String network,
      Predicate<PaymentPayload> takes,
      Key key,
      ObjectNode extra,
      PaymentScheme scheme) {

    /** Names payments. */
    public interface Key {
      String of(PaymentPayload payment, PaymentRequirements requirements)
          throws MalformedPaymentException;
    }

    boolean isFor(PaymentPayload payment) {
      return name.equals(payment.scheme())
          && network.equals(payment.network())
          && takes.test(payment);
    }
  }

  public Facilitator(List<Kind> kinds) {
    this.kinds = List.copyOf(kinds);
  }

  public List<Kind> kinds() {
    return kinds;
  }

  /**
   * What names a payment for ever; empty where it is of no kind that is taken here.
   *
   * @throws MalformedPaymentException where its payload cannot be read
   */
  public Optional<String> key(PaymentPayload payment, PaymentRequirements requirements)
      throws MalformedPaymentException {
    for (Kind kind : kinds) {
      if (kind.isFor(payment)) {
        return Optional.of(kind.key().of(payment, requirements));
      }
    }
    return Optional.empty();
  }

  private Optional<PaymentScheme> of(PaymentPayload payment) {
    return kinds.stream().filter(k -> k.isFor(payment)).map(Kind::scheme).findFirst();
  }

  private Optional<PaymentScheme> on(String network) {
    return kinds.stream().filter(k -> k.network().equals(network)).map(Kind::scheme).findFirst();
  }

  private Refusal unsupported(PaymentPayload payment) {
    if (kinds.stream().noneMatch(k -> k.name().equals(payment.scheme()))) {
      return new Refusal("unsupported_scheme", "scheme " + payment.scheme() + " is not taken here");
    }
    if (kinds.stream()
        .noneMatch(
            k -> k.name().equals(payment.scheme()) && k.network().equals(payment.network()))) {
      return new Refusal(
          "invalid_network",
          "scheme " + payment.scheme() + " is not taken on " + payment.network());
    }
    return new Refusal("unsupported_payload_type", "the payload is of no kind that is taken here");
  }

  @Override
  public Verdict verify(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException {
    Optional<PaymentScheme> scheme = of(payment);
    return scheme.isPresent()
        ? scheme.get().verify(payment, requirements)
        : new Verdict.Invalid(unsupported(payment));
  }

  @Override
  public Verdict promise(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException {
    Optional<PaymentScheme> scheme = of(payment);
    return scheme.isPresent()
        ? scheme.get().promise(payment, requirements)
        : new Verdict.Invalid(unsupported(payment));
  }

  @Override
  public void forgo(PaymentPayload payment, PaymentRequirements requirements) {
    of(payment).ifPresent(s -> s.forgo(payment, requirements));
  }

  @Override
  public Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending) {
    return of(payment)
        .map(s -> s.settle(payment, requirements, beforeSending))
        .orElseGet(() -> new Settlement.Failed(unsupported(payment)));
  }

  @Override
  public Settlement reconcile(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent) {
    return of(payment)
        .map(s -> s.reconcile(payment, requirements, sent))
        .orElseGet(
            () ->
                new Settlement.Unknown(
                    payment.network() + " is not served any more: nobody can ask its chain"));
  }

  @Override
  public void adopt(PaymentRequirements requirements, SignedTransaction sent) {
    on(requirements.network()).ifPresent(s -> s.adopt(requirements, sent));
  }

  @Override
  public boolean isOnChain(PaymentRequirements requirements, String transaction)
      throws UnreachableException {
    Optional<PaymentScheme> scheme = on(requirements.network());
    if (scheme.isEmpty()) {
      throw new UnreachableException(requirements.network() + " is not served any more");
    }
    return scheme.get().isOnChain(requirements, transaction);
  }

  @Override
  public Optional<ChainMark> mark(String network) throws UnreachableException {
    Optional<PaymentScheme> scheme = on(network);
    return scheme.isPresent() ? scheme.get().mark(network) : Optional.empty();
  }

  @Override
  public boolean hasTakenBack(String network, ChainMark mark) throws UnreachableException {
    Optional<PaymentScheme> scheme = on(network);
    return scheme.isPresent() && scheme.get().hasTakenBack(network, mark);
  }

  @Override
  public void rolledBack(String network) {
    kinds.stream()
        .filter(k -> k.network().equals(network))
        .forEach(k -> k.scheme().rolledBack(network));
  }
}
