package dev.gridtie.x402.evm.permit2;

import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.Sender;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Brings payers' approvals of Permit2 to the chain, and gives them the gas that they lack for it:
 * each payer once a day at most, for what is given can be spent elsewhere. State: who was given
 * something, guarded by its own monitor.
 */
final class Sponsor {
  private static final Duration AGAIN_AFTER = Duration.ofDays(1);

  /** How many payers are remembered; while so many were given something, no more are. */
  private static final int PAYERS_MAX = 10_000;

  /** How long a transaction is waited for. */
  private static final Duration PATIENCE = Duration.ofSeconds(20);

  private static final Duration POLL = Duration.ofMillis(100);

  private final EvmChain chain;
  private final SenderPool senders;
  private final InstantSource clock;
  private final Map<EvmAddress, Instant> given = new LinkedHashMap<>();

  Sponsor(EvmChain chain, SenderPool senders, InstantSource clock) {
    this.chain = chain;
    this.senders = senders;
    this.clock = clock;
  }

  /** Whether a payer could be given gas now. */
  synchronized boolean mayGive(EvmAddress payer) {
    Instant yesterday = clock.instant().minus(AGAIN_AFTER);
    given.values().removeIf(at -> at.isBefore(yesterday));
    return !given.containsKey(payer) && given.size() < PAYERS_MAX;
  }

  private synchronized boolean take(EvmAddress payer) {
    boolean may = mayGive(payer);
    if (may) {
      given.put(payer, clock.instant());
    }
    return may;
  }

  /**
   * Has the approval mined.
   *
   * @throws RefusedException where it cannot be: nothing of the payment has moved
   */
  void approve(EvmAddress payer, ApprovalSponsoring approval)
      throws UnreachableException, RefusedException, InterruptedException {
    BigInteger has = chain.balance(payer);
    if (has.compareTo(approval.costWei()) < 0) {
      if (!take(payer)) {
        throw new RefusedException("this payer was given gas for an approval today already");
      }
      give(payer, approval.costWei().subtract(has));
    }
    try {
      chain.sendRaw(approval.raw());
    } catch (RefusedException e) {
      if (chain.receipt(approval.hash()).isEmpty()) {
        throw e;
      }
    }
    await(approval.hash());
  }

  private void give(EvmAddress payer, BigInteger wei)
      throws UnreachableException, RefusedException, InterruptedException {
    Sender sender = senders.any();
    try {
      SignedTransaction sent = sender.give(payer, wei);
      await(sent.hash());
      sender.mined(sent);
    } catch (Sender.FeeCapException e) {
      throw new RefusedException(String.valueOf(e.getMessage()));
    } finally {
      SenderPool.giveBack(sender);
    }
  }

  private void await(String hash)
      throws UnreachableException, RefusedException, InterruptedException {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (System.nanoTime() < end) {
      var receipt = chain.receipt(hash);
      if (receipt.isPresent()) {
        if (!receipt.get().succeeded()) {
          throw new RefusedException("transaction " + hash + " reverted");
        }
        return;
      }
      Thread.sleep(POLL);
    }
    throw new RefusedException("transaction " + hash + " is not mined yet; send the payment again");
  }
}
