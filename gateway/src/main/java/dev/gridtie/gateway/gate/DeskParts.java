package dev.gridtie.gateway.gate;

import dev.gridtie.gateway.receipts.ReceiptSigner;
import dev.gridtie.gateway.relay.Relay;
import dev.gridtie.gateway.till.Expenses;
import dev.gridtie.gateway.till.Presence;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.ledger.StoreException;
import dev.gridtie.x402.facilitator.PaymentScheme;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * What taking payments works with.
 *
 * @param answersKept how long the text of an answer is kept, for those who lost it
 */
public record DeskParts(
    Database database,
    Presence presence,
    Offers offers,
    PaymentScheme scheme,
    Exposure exposure,
    Relay relay,
    ReceiptSigner signer,
    InstantSource clock,
    RandomGenerator random,
    Duration answersKept) {

  <T extends @Nullable Object> T write(Database.Work<T> work) {
    return database.write(work);
  }

  PaymentRecord save(PaymentRecord record) {
    return write(
        (c, log) -> {
          PaymentStore.save(c, record, now());
          return record;
        });
  }

  /** What the chain has taken of us for a transaction. */
  void gas(LedgerTx log, String network, Settlement.Settled settled)
      throws SQLException, RefusedException {
    Expenses.gas(log, network, settled.transaction(), settled.feeWei(), now());
  }

  /** The same, in a transaction of its own. */
  void gas(String network, Settlement.Settled settled) {
    boolean unused =
        write(
            (c, log) -> {
              gas(log, network, settled);
              return true;
            });
  }

  /** Whether another gateway works on a payment, or has still to see what became of it. */
  boolean isBusyElsewhere(Connection c, PaymentRecord record) throws SQLException {
    return record.isOpen() && presence.isAliveElsewhere(c, record.owner());
  }

  /** The seed that the request names, or one of ours. */
  long seed(Order order) {
    Long named = order.job().request().map(r -> r.sampling().seed()).orElse(null);
    return named == null ? random.nextLong() : named;
  }

  Instant now() {
    return clock.instant();
  }

  /** The way that a stored payment has taken. */
  Offers.Offer offer(PaymentRecord p) {
    return offers
        .of(p.payment())
        .orElseThrow(
            () ->
                new StoreException(
                    p.requirements().scheme()
                        + " on "
                        + p.requirements().network()
                        + " is not taken any more, and a payment by it is open; configure it again"));
  }
}
