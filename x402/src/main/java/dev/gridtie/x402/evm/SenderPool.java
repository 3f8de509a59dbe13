package dev.gridtie.x402.evm;

import dev.gridtie.x402.facilitator.SignedTransaction;
import java.math.BigInteger;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * The keys that bring transactions to one chain, each with a queue of nonces of its own: a
 * transaction goes to the key with the fewest under way.
 */
public final class SenderPool {
  private final List<Sender> senders;

  public SenderPool(List<Sender> senders) {
    if (senders.isEmpty()) {
      throw new IllegalArgumentException("there must be a key that pays the gas");
    }
    this.senders = List.copyOf(senders);
  }

  /** A pool over keys. */
  public static SenderPool of(
      EvmChain chain, long chainId, List<EvmKey> keys, BigInteger feeCapWei, InstantSource clock) {
    return new SenderPool(
        keys.stream().map(k -> new Sender(chain, chainId, k, feeCapWei, clock)).toList());
  }

  /** The key with this address. */
  public Optional<Sender> of(EvmAddress address) {
    return senders.stream().filter(s -> s.address().equals(address)).findFirst();
  }

  /** Takes the key for a settlement; {@link #giveBack} when that is over. */
  synchronized Optional<Sender> take(Movement movement) {
    Optional<Sender> taken =
        movement.onlyFrom().isPresent()
            ? of(movement.onlyFrom().get())
            : senders.stream().min(Comparator.comparingInt(s -> s.underWay.get()));
    taken.ifPresent(s -> s.underWay.incrementAndGet());
    return taken;
  }

  /** The least busy key, for something that is no settlement; {@link #giveBack} it. */
  public synchronized Sender any() {
    Sender least =
        senders.stream().min(Comparator.comparingInt(s -> s.underWay.get())).orElseThrow();
    least.underWay.incrementAndGet();
    return least;
  }

  /** The most wei per gas that is ever paid. */
  public BigInteger feeCap() {
    return senders.getFirst().feeCap();
  }

  /** Ends what {@link #any} or a settlement had taken a key for. */
  public static void giveBack(Sender sender) {
    sender.underWay.decrementAndGet();
  }

  /** The address that simulations are asked from, and that upto payments are bound to. */
  public EvmAddress first() {
    return senders.getFirst().address();
  }

  public List<EvmAddress> addresses() {
    return senders.stream().map(Sender::address).toList();
  }

  /** The chain has taken blocks back: nonces are asked for anew. */
  public void rolledBack() {
    senders.forEach(Sender::rolledBack);
  }

  /** Takes back into account, after a restart, a transaction whose end is not known. */
  public void adopt(SignedTransaction signed) {
    of(Decoded.of(signed).from()).ifPresent(s -> s.adopt(signed));
  }
}
