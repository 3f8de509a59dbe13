package dev.gridtie.gateway.till;

import dev.gridtie.base.Ids;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.LedgerTx;
import dev.gridtie.ledger.LedgerView;
import java.math.BigInteger;
import java.sql.SQLException;
import java.time.Instant;

/**
 * Payments and charges as the ledger has them. The unit is the pico-dollar; what is in custody is a
 * whole number of the coin's atomic units. Every entry's id is derived from the payment's key, so
 * that doing a step again changes nothing.
 *
 * <pre>
 * paid      custody → payer        when the chain has moved the money
 * held      payer ⇢ revenue        before an answer is given
 * charged   payer → revenue        what was delivered; the rest stays with the payer
 * claimed   custody → channels     when the chain has moved what vouchers had promised
 * </pre>
 */
public final class Till {
  private final String asset;
  private final AccountId custody;
  private final AccountId revenue;
  private final AccountId losses;

  /**
   * @param asset network and token, such as {@code eip155:84532:0x036c…}
   * @param payTo the address that receives
   */
  public Till(String asset, String payTo) {
    this(asset, new AccountId(asset, "custody:" + payTo));
  }

  private Till(String asset, AccountId custody) {
    this.asset = asset;
    this.custody = custody;
    this.revenue = new AccountId(asset, "revenue");
    this.losses = new AccountId(asset, "losses");
  }

  /**
   * What comes out of payers' channels: promised by vouchers, until it is claimed.
   *
   * @param payTo the address that receives
   */
  public static Till ofChannels(String asset, String payTo) {
    return new Till(asset, new AccountId(asset, "channels:" + payTo));
  }

  /**
   * What was promised on a channel has come into custody.
   *
   * @param to the till of what has come
   * @param total what was claimed on the channel in all, atomic units: names the entry
   * @param amount of this claim
   */
  public void claimed(
      LedgerTx log, Till to, String channelId, BigInteger total, PicoUsd amount, Instant now)
      throws RefusedException, SQLException {
    log.ensureOpen(custody, false, now);
    log.ensureOpen(to.custody, false, now);
    log.apply(
        new Entry.Transfer(
            Ids.derived("claimed " + channelId + " " + total),
            now,
            to.custody,
            custody,
            amount.pico(),
            "claimed " + channelId));
  }

  public AccountId payer(String address) {
    return new AccountId(asset, "payer:" + address);
  }

  /** The chain has moved {@code amount} to us. */
  public void paid(
      LedgerTx log,
      String paymentKey,
      String payer,
      PicoUsd amount,
      String transaction,
      Instant now)
      throws RefusedException, SQLException {
    log.ensureOpen(custody, false, now);
    log.ensureOpen(revenue, false, now);
    log.ensureOpen(payer(payer), true, now);
    log.apply(
        new Entry.Transfer(
            Ids.derived("paid " + paymentKey),
            now,
            custody,
            payer(payer),
            amount.pico(),
            "paid " + transaction));
  }

  /**
   * The chain has taken back what it had moved: a reorganisation after which the payment did not
   * come again. The payer keeps what was credited; the loss is ours.
   */
  public void lost(LedgerTx log, String paymentKey, PicoUsd amount, Instant now)
      throws RefusedException, SQLException {
    log.ensureOpen(losses, false, now);
    log.apply(
        new Entry.Transfer(
            Ids.derived("lost " + paymentKey),
            now,
            losses,
            custody,
            amount.pico(),
            "lost in a reorganisation"));
  }

  /**
   * Sets money aside for an answer: what was quoted, or what the payer still has of it.
   *
   * @return how much is held
   */
  public PicoUsd hold(
      LedgerTx log, String paymentKey, int attempt, String payer, PicoUsd wanted, Instant now)
      throws RefusedException, SQLException {
    BigInteger available = log.account(payer(payer)).orElseThrow().available();
    PicoUsd held = wanted.min(new PicoUsd(available.max(BigInteger.ZERO)));
    log.apply(
        new Entry.Hold(
            holdId(paymentKey, attempt),
            now,
            payer(payer),
            revenue,
            held.pico(),
            "hold for an answer"));
    return held;
  }

  /** What is held for an attempt. */
  public PicoUsd held(LedgerView log, String paymentKey, int attempt) throws SQLException {
    return log.entry(holdId(paymentKey, attempt)).orElseThrow() instanceof Entry.Hold hold
        ? new PicoUsd(hold.amount())
        : PicoUsd.ZERO;
  }

  /** Ends a hold by charging, at most what is held. */
  public void charge(
      LedgerTx log, String paymentKey, int attempt, PicoUsd amount, String receiptId, Instant now)
      throws RefusedException, SQLException {
    log.apply(
        new Entry.Post(
            Ids.derived("charge " + paymentKey + " " + attempt),
            now,
            holdId(paymentKey, attempt),
            amount.pico(),
            "answer " + receiptId));
  }

  /** Ends a hold without a charge. */
  public void release(LedgerTx log, String paymentKey, int attempt, Instant now)
      throws RefusedException, SQLException {
    log.apply(
        new Entry.Release(
            Ids.derived("release " + paymentKey + " " + attempt),
            now,
            holdId(paymentKey, attempt),
            "no answer"));
  }

  private static String holdId(String paymentKey, int attempt) {
    return Ids.derived("hold " + paymentKey + " " + attempt);
  }

  /** The id of the entry that charges an attempt. */
  public static String chargeId(String paymentKey, int attempt) {
    return Ids.derived("charge " + paymentKey + " " + attempt);
  }

  /** What a payer may still spend. */
  public PicoUsd balance(LedgerView log, String payer) throws SQLException {
    return log.account(payer(payer))
        .map(a -> new PicoUsd(a.available().max(BigInteger.ZERO)))
        .orElse(PicoUsd.ZERO);
  }
}
