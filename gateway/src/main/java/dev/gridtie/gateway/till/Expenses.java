package dev.gridtie.gateway.till;

import dev.gridtie.base.Ids;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import java.math.BigInteger;
import java.sql.SQLException;
import java.time.Instant;

/**
 * What taking money costs the operator: providers are owed for answers, and chains take gas.
 *
 * <pre>
 * cost   cost:PROVIDER → payable:PROVIDER     in dollars that no coin stands behind
 * gas    gas → wallet                         in the chain's own coin, 1e-18 of it
 * </pre>
 */
public final class Expenses {
  /** Dollars that are owed, to us or by us. */
  public static final String OWED = "usd:postpaid";

  /** How a chain's own coin is named: its network, and this. */
  public static final String COIN_SUFFIX = ":coin";

  private Expenses() {}

  /** A provider has answered, and is owed for it. Once for each answer. */
  public static void cost(LedgerTx log, String answerId, String provider, PicoUsd cost, Instant now)
      throws RefusedException, SQLException {
    if (cost.isZero()) {
      return;
    }
    AccountId expense = new AccountId(OWED, "cost:" + name(provider));
    AccountId payable = new AccountId(OWED, "payable:" + name(provider));
    log.ensureOpen(expense, false, now);
    log.ensureOpen(payable, false, now);
    log.apply(
        new Entry.Transfer(
            Ids.derived("cost " + answerId),
            now,
            expense,
            payable,
            cost.pico(),
            "answer " + answerId));
  }

  private static String name(String provider) {
    return provider.replaceAll("[^!-.0-~]", "-");
  }

  /** A chain has taken gas for a transaction of ours. Once for each. */
  public static void gas(
      LedgerTx log, String network, String transaction, BigInteger feeWei, Instant now)
      throws RefusedException, SQLException {
    String id = Ids.derived("gas " + network + " " + transaction);
    // One that was mined anew after a reorganisation may have cost something else: the first
    // counts.
    if (feeWei.signum() == 0 || transaction.isEmpty() || log.entry(id).isPresent()) {
      return;
    }
    AccountId gas = new AccountId(network + COIN_SUFFIX, "gas");
    AccountId wallet = new AccountId(network + COIN_SUFFIX, "wallet");
    log.ensureOpen(gas, false, now);
    log.ensureOpen(wallet, false, now);
    log.apply(new Entry.Transfer(id, now, gas, wallet, feeWei, "gas of " + transaction));
  }
}
