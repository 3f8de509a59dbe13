package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.receipts.ReceiptSigner;
import dev.gridtie.gateway.relay.Relay;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.Sender;
import dev.gridtie.x402.facilitator.PaymentScheme;
import dev.gridtie.x402.server.ChargeScheme;
import java.math.BigInteger;
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
    ChargeScheme charge,
    PaymentScheme scheme,
    EvmChain chain,
    Sender sender,
    Relay relay,
    Till till,
    ReceiptSigner signer,
    InstantSource clock,
    RandomGenerator random,
    Duration answersKept) {

  /** Work on the database that the ledger's rules may refuse. */
  interface Step<T extends @Nullable Object> {
    T run(Connection connection, LedgerTx log) throws SQLException, RefusedException;
  }

  <T extends @Nullable Object> T write(Step<T> step) {
    return database.write(c -> step.run(c, new LedgerTx(c)));
  }

  PaymentRecord save(PaymentRecord record) {
    return write(
        (c, log) -> {
          PaymentStore.save(c, record, now());
          return record;
        });
  }

  Instant now() {
    return clock.instant();
  }

  /** What atomic units of the coin are worth. */
  PicoUsd worth(BigInteger atomic) {
    return PicoUsd.ofAtomic(atomic, charge.decimals());
  }
}
