package dev.gridtie.gateway.gate;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.x402.siwx.SignIn;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.util.Optional;

/** Wallets that sign in and spend what they have left here of earlier payments. */
final class Balances {
  private final DeskParts parts;
  private final Charging charging;

  Balances(DeskParts parts, Charging charging) {
    this.parts = parts;
    this.charging = charging;
  }

  static String key(SignIn signIn) {
    String name = signIn.chainId() + "|" + signIn.account() + "|" + signIn.nonce();
    return "balance-" + Hex.encode(Hashes.sha256(name.getBytes(UTF_8))).substring(2);
  }

  static String signature(SignIn signIn) {
    return Hex.encode(Hashes.sha256((signIn.message() + signIn.signature()).getBytes(UTF_8)));
  }

  /**
   * Writes a sign-in down as a payment whose money is here already; empty where no balance of the
   * wallet's holds the quote.
   */
  Optional<PaymentRecord> claim(String key, Order order, SignIn signIn) {
    return parts.write(
        (c, log) -> {
          Optional<PaymentRecord> found = PaymentStore.find(c, key);
          if (found.isPresent()) {
            return parts.isBusyElsewhere(c, found.get()) ? Optional.empty() : found;
          }
          for (Offers.Offer offer : parts.offers().prepaidOn(signIn.chainId())) {
            PaymentRequirements asked = offer.fromBalance(order.quote());
            PicoUsd wanted = offer.worth(asked.amount());
            if (offer.till().balance(log, signIn.account()).compareTo(wanted) >= 0) {
              PaymentRecord record =
                  PaymentRecord.fromBalance(
                      key,
                      order.fingerprint(),
                      signature(signIn),
                      signIn.account(),
                      asked,
                      Charging.answerId(key),
                      parts.seed(order),
                      parts.presence().id());
              // Held at once: what is under way cannot be spent twice.
              return Optional.of(charging.hold(c, log, record));
            }
          }
          return Optional.empty();
        });
  }

  /** The most that a wallet has on any balance it could spend here. */
  PicoUsd balance(SignIn signIn) {
    return parts
        .database()
        .read(
            c -> {
              PicoUsd most = PicoUsd.ZERO;
              for (Offers.Offer offer : parts.offers().prepaidOn(signIn.chainId())) {
                PicoUsd has = offer.till().balance(new LedgerReader(c), signIn.account());
                most = most.compareTo(has) >= 0 ? most : has;
              }
              return most;
            });
  }
}
