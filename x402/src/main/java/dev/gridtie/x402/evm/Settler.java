package dev.gridtie.x402.evm;

import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.Movement.Debit;
import dev.gridtie.x402.evm.Movement.Use;
import dev.gridtie.x402.facilitator.GasWatcher;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
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

  /** So often it is looked whether an earlier promise of a payer has ended, and none has. */
  private static final int PROMISE_LOOKS = 6;

  /** So often in all. */
  private static final int PROMISE_LOOKS_MAX = 40;

  private static final Duration PROMISE_PAUSE = Duration.ofMillis(100);

  /** How long a promise is kept whose end is not heard of. */
  private static final Duration PROMISED_MAX = Duration.ofHours(1);

  private final EvmChain chain;
  private final SenderPool senders;
  private final Duration patience;
  private final GasWatcher gas;
  private final GasGuard guard;
  private final InstantSource clock;

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
    this(
        chain,
        senders,
        patience,
        gas,
        GasGuard.open(InstantSource.system()),
        InstantSource.system());
  }

  /**
   * @param patience how long {@link #settle} waits for a transaction to be mined
   * @param gas is told what failed transactions cost
   * @param guard says for whom gas is spent
   */
  public Settler(
      EvmChain chain,
      SenderPool senders,
      Duration patience,
      GasWatcher gas,
      GasGuard guard,
      InstantSource clock) {
    this.chain = chain;
    this.senders = senders;
    this.patience = patience;
    this.gas = gas;
    this.guard = guard;
    this.clock = clock;
  }

  SenderPool senders() {
    return senders;
  }

  GasGuard guard() {
    return guard;
  }

  // What payers have promised

  /**
   * Sets a payment's money aside among all that its payer has promised here, until {@link #settle}
   * ends or {@link #forgo} is said of it.
   *
   * @return why not; empty where it is, or takes nobody's money
   */
  Optional<Refusal> promise(Movement movement)
      throws UnreachableException, RefusedException, InterruptedException {
    Optional<Debit> debit = movement.debit();
    if (debit.isEmpty() || guard.promises().has(debit.get())) {
      return Optional.empty();
    }
    Instant longest = clock.instant().plus(PROMISED_MAX);
    Instant until =
        movement.deadline().compareTo(BigInteger.valueOf(longest.getEpochSecond())) < 0
            ? Instant.ofEpochSecond(movement.deadline().longValueExact())
            : longest;
    if (!guard.promises().add(debit.get(), until)) {
      return Optional.of(
          new Refusal("unexpected_settle_error", "too many payments are promised; come again"));
    }
    boolean kept = false;
    try {
      Optional<Refusal> why = shortfall(debit.get());
      kept = why.isEmpty();
      return why;
    } finally {
      if (!kept) {
        guard.promises().end(debit.get());
      }
    }
  }

  /** A payment will not be settled: its money is its payer's to promise again. */
  void forgo(Movement movement) {
    movement.debit().ifPresent(guard.promises()::end);
  }

  /**
   * Whether a payer holds what it has promised. What was asked before is looked at first, and only
   * then what the chain says: a promise that is kept in between counts twice, never not at all.
   */
  private Optional<Refusal> shortfall(Debit debit)
      throws UnreachableException, RefusedException, InterruptedException {
    int before = Integer.MAX_VALUE;
    int idle = 0;
    for (int look = 1; ; look++) {
      Promises.Sum sum = guard.promises().sum(debit);
      idle = sum.others() < before ? 0 : idle + 1;
      before = sum.others();
      if (sum.others() <= 0) {
        return Optional.empty(); // alone: its simulation says
      }
      List<EvmChain.Trial> said = chain.callAll(held(debit));
      BigInteger has = Abi.uint(said.getFirst().orThrow());
      BigInteger allowed =
          debit.by().isPresent() ? Abi.uint(said.getLast().orThrow()) : sum.byPermit2();
      if (has.compareTo(sum.inAll()) >= 0 && allowed.compareTo(sum.byPermit2()) >= 0) {
        return Optional.empty();
      }
      if (idle == PROMISE_LOOKS || look == PROMISE_LOOKS_MAX) {
        return Optional.of(
            new Refusal(
                "payer_overcommitted",
                "the payer has promised "
                    + sum.inAll()
                    + " atomic units in payments that are under way, and holds "
                    + has
                    + (debit.by().isPresent() ? " of which Permit2 may move " + allowed : "")
                    + "; pay again when they have ended"));
      }
      Thread.sleep(pause(look));
    }
  }

  private static Duration pause(int look) {
    Duration pause = PROMISE_PAUSE.multipliedBy(1L << Math.min(look - 1, 4));
    return pause.compareTo(POLL_MAX) > 0 ? POLL_MAX : pause;
  }

  /** Asks what a payer holds, and what Permit2 may move of it where it must. */
  private List<EvmChain.Question> held(Debit debit) {
    List<EvmChain.Question> all = new ArrayList<>();
    byte[] payer = Abi.word(debit.payer());
    all.add(
        new EvmChain.Question(
            senders.first(), debit.token(), Abi.call("balanceOf(address)", payer)));
    debit
        .by()
        .ifPresent(
            by ->
                all.add(
                    new EvmChain.Question(
                        senders.first(),
                        debit.token(),
                        Abi.call("allowance(address,address)", payer, Abi.word(by)))));
    return all;
  }

  // Bringing it to the chain

  /**
   * Sends a transaction and waits for its end, for a bounded time. What was moved before by
   * somebody else's transaction is settled by that.
   *
   * @param beforeSending writes it down durably; called before it is sent, or not at all
   */
  public Settlement settle(Movement movement, Consumer<SignedTransaction> beforeSending) {
    try {
      Optional<Refusal> why = promise(movement);
      if (why.isPresent()) {
        return unsent(movement, why.get());
      }
      Optional<Debit> debit = movement.debit();
      boolean contract = debit.isPresent() && isContract(debit.get().payer());
      if (contract && !takesTurn(debit.get())) {
        return unsent(
            movement,
            new Refusal(
                "payer_overcommitted",
                "another payment of a contract wallet is under way; pay again when it has ended"));
      }
      boolean rehearsed =
          debit.isPresent() && (contract || !guard.isKnownCoin(debit.get().token()));
      return ended(movement, send(movement, rehearsed, contract, beforeSending));
    } catch (UnreachableException | RefusedException e) {
      return outOfReach(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return new Settlement.Failed(new Refusal("unexpected_settle_error", "interrupted"));
    }
  }

  private boolean isContract(EvmAddress payer) throws UnreachableException, RefusedException {
    Optional<Boolean> known = guard.isContract(payer);
    if (known.isPresent()) {
      return known.get();
    }
    boolean contract = chain.code(payer).length > 0;
    guard.noteContract(payer, contract);
    return contract;
  }

  private boolean takesTurn(Debit debit) throws InterruptedException {
    for (int look = 1; !guard.promises().trySend(debit); look++) {
      if (look == PROMISE_LOOKS) {
        guard.promises().end(debit);
        return false;
      }
      Thread.sleep(pause(look));
    }
    return true;
  }

  private static Settlement outOfReach(Exception e) {
    return new Settlement.Failed(
        new Refusal("unexpected_settle_error", "the chain is out of reach: " + e.getMessage()));
  }

  /** A promise is over once it is known what became of it. */
  private Settlement ended(Movement movement, Settlement settlement) {
    if (!(settlement instanceof Settlement.Unknown)) {
      forgo(movement);
    }
    return settlement;
  }

  /**
   * Nothing is sent. Somebody else may have brought the payment to the chain before, and then its
   * money has moved all the same.
   */
  private Settlement unsent(Movement movement, Refusal why)
      throws UnreachableException, RefusedException {
    return movement.isUsed(senders.first())
        ? used(movement, Optional.empty(), "before it came here")
        : new Settlement.Failed(why);
  }

  /** What became of a payment whose right is used up by another transaction than ours. */
  private Settlement used(Movement movement, Optional<SignedTransaction> sent, String when)
      throws UnreachableException, RefusedException {
    return switch (movement.use(sent)) {
      case Use.Moved moved -> settled(movement, moved.by());
      case Use.Elsewhere elsewhere ->
          new Settlement.Failed(
              new Refusal(
                  movement.codes().used(),
                  "the authorisation was cancelled, or used for something else, " + when));
      case Use.Unclear unclear -> new Settlement.Unknown(unclear.why());
    };
  }

  private Settlement send(
      Movement movement,
      boolean rehearsed,
      boolean contract,
      Consumer<SignedTransaction> beforeSending)
      throws UnreachableException, RefusedException {
    Optional<Sender> sender = senders.take(movement);
    if (sender.isEmpty()) {
      return unsent(
          movement,
          new Refusal(
              movement.codes().transactionFailed(),
              "the key that alone may bring this payment to the chain is not here"));
    }
    try {
      return send(movement, sender.get(), rehearsed, contract, beforeSending);
    } finally {
      SenderPool.giveBack(sender.get());
    }
  }

  private Settlement send(
      Movement movement,
      Sender sender,
      boolean rehearsed,
      boolean contract,
      Consumer<SignedTransaction> beforeSending)
      throws UnreachableException, RefusedException {
    AtomicReference<SignedTransaction> noted = new AtomicReference<>();
    try {
      SignedTransaction sent =
          sender.send(
              movement.to(),
              movement.data(),
              movement.gasMax(),
              rehearsed,
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
      return sent == null ? refused(movement, sender, contract, e) : reconcile(movement, sent);
    } catch (UnreachableException e) {
      return noted.get() == null
          ? outOfReach(e)
          : new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  /**
   * A transaction would fail, and was not sent. Where only what waits to be mined stands in its
   * way, it may be this very payment, brought by another; a contract wallet's word is not waited
   * for.
   */
  private Settlement refused(
      Movement movement, Sender sender, boolean contract, RefusedException why)
      throws UnreachableException, RefusedException {
    Settlement settlement =
        unsent(
            movement,
            new Refusal(
                movement.codes().transactionFailed(),
                "the chain refused the transfer: " + why.getMessage()));
    if (!(settlement instanceof Settlement.Failed) || contract || movement.debit().isEmpty()) {
      return settlement;
    }
    try {
      return sender.wouldSucceed(movement.to(), movement.data(), movement.gasMax())
          ? new Settlement.Unknown("a transaction that waits to be mined stands in its way")
          : settlement;
    } catch (Sender.FeeCapException e) {
      return settlement;
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
      return ended(movement, reconciled(movement, sent));
    } catch (UnreachableException | RefusedException e) {
      return new Settlement.Unknown(String.valueOf(e.getMessage()));
    }
  }

  private Settlement reconciled(Movement movement, SignedTransaction sent)
      throws UnreachableException, RefusedException {
    Optional<Sender> sender = senders.of(Decoded.of(sent).from());
    Optional<EvmChain.Receipt> own = chain.receipt(sent.hash());
    if (own.isPresent()) {
      sender.ifPresent(s -> s.mined(sent));
    }
    if (own.isPresent() && !own.get().succeeded() && isOurs(own.get())) {
      gas.failed(own.get().transactionHash(), own.get().feeWei());
    }
    if (own.isPresent() && own.get().succeeded()) {
      if (movement.moved(own.get())) {
        return settled(movement, own.get());
      }
      bar(movement, own.get());
      return failed(
          movement.codes().eventMismatch(), sent, "succeeded without the expected Transfer event");
    }
    if (movement.isUsed(senders.first())) {
      sender.ifPresent(s -> s.resolved(sent));
      Settlement settlement = used(movement, Optional.of(sent), "before this payment");
      if (own.isPresent() && settlement instanceof Settlement.Failed) {
        bar(movement, own.get());
      }
      return settlement;
    }
    if (own.isPresent()) {
      bar(movement, own.get());
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
  }

  /** A payer whose transaction we have paid for nothing waits before the next. */
  private void bar(Movement movement, EvmChain.Receipt reverted) {
    Optional<Debit> debit = movement.debit();
    if (debit.isPresent() && isOurs(reverted)) {
      guard.failed(reverted.transactionHash(), debit.get());
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
