package dev.gridtie.x402.evm;

import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.facilitator.GasWatcher;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;

/**
 * Brings payments' transactions to the chain and finds out what became of them. What is not known
 * is unknown, never failed: only the chain says that money has not moved.
 */
public final class Settler {
  private static final Duration POLL_FIRST = Duration.ofMillis(20);
  private static final Duration POLL_MAX = Duration.ofSeconds(1);

  private final EvmChain chain;
  private final SenderPool senders;
  private final Duration patience;
  private final GasWatcher gas;

  /**
   * @param patience how long {@link #settle} waits for a transaction to be mined
   */
  public Settler(EvmChain chain, SenderPool senders, Duration patience) {
    this(chain, senders, patience, GasWatcher.NOBODY);
  }

  /**
   * @param patience how long {@link #settle} waits for a transaction to be mined
   * @param gas is told what failed transactions cost
   */
  public Settler(EvmChain chain, SenderPool senders, Duration patience, GasWatcher gas) {
    this.chain = chain;
    this.senders = senders;
    this.patience = patience;
    this.gas = gas;
  }

  SenderPool senders() {
    return senders;
  }

  /**
   * Sends a transaction and waits for its end, for a bounded time.
   *
   * @param beforeSending writes it down durably; called before it is sent, or not at all
   */
  public Settlement settle(Movement movement, Consumer<SignedTransaction> beforeSending) {
    Optional<Sender> sender = senders.take(movement);
    if (sender.isEmpty()) {
      return new Settlement.Failed(
          new Refusal(
              movement.codes().transactionFailed(),
              "the key that alone may bring this payment to the chain is not here"));
    }
    try {
      return settle(movement, sender.get(), beforeSending);
    } finally {
      SenderPool.giveBack(sender.get());
    }
  }

  private Settlement settle(
      Movement movement, Sender sender, Consumer<SignedTransaction> beforeSending) {
    AtomicReference<SignedTransaction> noted = new AtomicReference<>();
    try {
      SignedTransaction sent =
          sender.send(
              movement.to(),
              movement.data(),
              movement.gasMax(),
              signed -> {
                beforeSending.accept(signed);
                noted.set(signed);
              });
      return await(movement, sent);
    } catch (Sender.FeeCapException e) {
      return new Settlement.Failed(
          new Refusal("unexpected_settle_error", "gas is too expensive now: " + e.getMessage()));
    } catch (RefusedException e) {
      SignedTransaction sent = noted.get();
      return sent == null
          ? new Settlement.Failed(
              new Refusal(
                  movement.codes().transactionFailed(),
                  "the chain refused the transfer: " + e.getMessage()))
          : reconcile(movement, sent);
    } catch (UnreachableException e) {
      return noted.get() == null
          ? new Settlement.Failed(
              new Refusal(
                  "unexpected_settle_error", "the chain is out of reach: " + e.getMessage()))
          : new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  private Settlement await(Movement movement, SignedTransaction sent) {
    long end = System.nanoTime() + patience.toNanos();
    Duration pause = POLL_FIRST;
    while (true) {
      try {
        Optional<EvmChain.Receipt> receipt = chain.receipt(sent.hash());
        if (receipt.isPresent()) {
          return reconcile(movement, sent);
        }
        if (System.nanoTime() > end) {
          return new Settlement.Unknown("not mined within " + patience.toSeconds() + " s");
        }
        Thread.sleep(pause);
        pause = pause.multipliedBy(2).compareTo(POLL_MAX) > 0 ? POLL_MAX : pause.multipliedBy(2);
      } catch (UnreachableException | RefusedException e) {
        return new Settlement.Unknown(String.valueOf(e.getMessage()));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return new Settlement.Unknown("interrupted");
      }
    }
  }

  /** Finds out, once, what became of a transaction; sends it again where the chain has lost it. */
  public Settlement reconcile(Movement movement, SignedTransaction sent) {
    try {
      Optional<Sender> sender = senders.of(Decoded.of(sent).from());
      Optional<EvmChain.Receipt> own = chain.receipt(sent.hash());
      if (own.isPresent()) {
        sender.ifPresent(s -> s.mined(sent));
      }
      if (own.isPresent() && !own.get().succeeded() && isOurs(own.get())) {
        gas.failed(own.get().transactionHash(), own.get().feeWei());
      }
      if (own.isPresent() && own.get().succeeded()) {
        return movement.moved(own.get())
            ? settled(movement, own.get())
            : failed(
                movement.codes().eventMismatch(),
                sent,
                "succeeded without the expected Transfer event");
      }
      if (movement.isUsed(senders.first())) {
        sender.ifPresent(s -> s.resolved(sent));
        return movement
            .movedBy(sent)
            .<Settlement>map(by -> settled(movement, by))
            .orElseGet(
                () ->
                    new Settlement.Failed(
                        new Refusal(
                            movement.codes().used(),
                            "the authorisation was cancelled or used before this payment")));
      }
      if (own.isPresent()) {
        return failed(movement.codes().transactionFailed(), sent, "reverted");
      }
      if (BigInteger.valueOf(chain.latestBlock().timestamp()).compareTo(movement.deadline()) >= 0) {
        sender.ifPresent(s -> s.resolved(sent));
        return new Settlement.Failed(
            new Refusal(movement.codes().expired(), "expired before it was mined"));
      }
      if (sender.isPresent() && isSuperseded(movement, sent, sender.get())) {
        sender.get().mined(sent);
        return new Settlement.Unknown("another transaction has taken its nonce", true);
      }
      if (sender.isPresent()) {
        sender.get().sendAgain(sent);
      }
      return new Settlement.Unknown("sent again, not mined yet");
    } catch (UnreachableException | RefusedException e) {
      return new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  /**
   * Whether a transaction's nonce was mined by another one. Asked in this order: had it been mined
   * itself since it was looked for, its receipt would be there by now, or its payment used.
   */
  private boolean isSuperseded(Movement movement, SignedTransaction sent, Sender sender)
      throws UnreachableException, RefusedException {
    return chain.minedNonce(sender.address()).compareTo(sent.nonce()) > 0
        && chain.receipt(sent.hash()).isEmpty()
        && !movement.isUsed(senders.first());
  }

  private boolean isOurs(EvmChain.Receipt receipt) {
    return senders.of(receipt.from()).isPresent();
  }

  /** What somebody else has sent has cost us nothing. */
  private Settlement settled(Movement movement, EvmChain.Receipt by) {
    Settlement settlement = movement.settled(by);
    return !isOurs(by) && settlement instanceof Settlement.Settled s
        ? new Settlement.Settled(s.transaction(), s.payer(), s.amount(), BigInteger.ZERO, s.extra())
        : settlement;
  }

  private static Settlement failed(String code, SignedTransaction sent, String what) {
    return new Settlement.Failed(new Refusal(code, "transaction " + sent.hash() + " " + what));
  }
}
