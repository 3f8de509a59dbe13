package dev.gridtie.x402.evm.permit2;

import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.GasGuard;
import dev.gridtie.x402.evm.Sender;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.time.Duration;

/**
 * Brings payers' approvals of Permit2 to the chain, and gives them the gas that they lack for it:
 * what an approval needs now, within what {@link GasGuard} allows for the payment, the payer, the
 * day and in all, for what is given can be spent elsewhere.
 */
final class Sponsor {
  /** How long a transaction is waited for. */
  private static final Duration PATIENCE = Duration.ofSeconds(20);

  private static final Duration POLL = Duration.ofMillis(100);

  private final EvmChain chain;
  private final SenderPool senders;
  private final GasGuard guard;

  Sponsor(EvmChain chain, SenderPool senders, GasGuard guard) {
    this.chain = chain;
    this.senders = senders;
    this.guard = guard;
  }

  /**
   * The gas that a payer lacks for its approval, in wei.
   *
   * @param most that may be given for its payment
   * @throws PaymentRefusedException where it cannot be given now
   */
  BigInteger lacking(
      EvmAddress payer, EvmAddress token, ApprovalSponsoring approval, BigInteger most)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    BigInteger lacks = approval.costWei().subtract(chain.balance(payer));
    if (lacks.signum() <= 0) {
      return BigInteger.ZERO; // it pays for itself
    }
    BigInteger needed = chain.estimateGas(new EvmChain.Question(payer, token, approval.call()));
    approval.requireModest(needed, chain.latestBlock().baseFee().add(chain.priorityFee()));
    if (lacks.compareTo(most) > 0) {
      throw new PaymentRefusedException(
          "erc20_approval_broadcast_failed",
          "the approval lacks "
              + lacks
              + " wei of gas, and at most "
              + most
              + " is given for a payment like this; approve Permit2 yourself, or pay more at once");
    }
    if (!guard.mayGive(payer, lacks)) {
      throw new PaymentRefusedException(
          "erc20_approval_broadcast_failed",
          "no gas is given to this payer now: each is given some once a day, while the day's sum"
              + " lasts; approve Permit2 yourself");
    }
    return lacks;
  }

  /**
   * Has the approval mined.
   *
   * @param most that may be given for its payment
   * @throws RefusedException where it cannot be: nothing of the payment has moved
   */
  void approve(EvmAddress payer, EvmAddress token, ApprovalSponsoring approval, BigInteger most)
      throws PaymentRefusedException, UnreachableException, RefusedException, InterruptedException {
    BigInteger lacks = lacking(payer, token, approval, most);
    if (lacks.signum() > 0) {
      if (!guard.tryGive(payer, lacks)) {
        throw new RefusedException("no gas is given to this payer now");
      }
      give(payer, lacks);
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
