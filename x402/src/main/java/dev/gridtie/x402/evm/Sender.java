package dev.gridtie.x402.evm;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.x402.evm.EvmChain.Question;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.web3j.crypto.Credentials;
import org.web3j.crypto.RawTransaction;
import org.web3j.crypto.TransactionDecoder;
import org.web3j.crypto.TransactionEncoder;
import org.web3j.crypto.transaction.type.Transaction1559;

/**
 * One key that sends transactions: gives out nonces in order, one at a time, caps the fee, raises
 * it for what is stuck, and closes the gap that a lost transaction leaves. State: the next nonce
 * and the transactions whose end is not known, guarded by this object.
 */
public final class Sender {
  /** The most gas that one settlement may use. */
  public static final BigInteger GAS_MAX = BigInteger.valueOf(300_000);

  /** Gas of a plain transfer, which fills a gap. */
  private static final BigInteger GAS_PLAIN = BigInteger.valueOf(21_000);

  /** A transaction that is not mined for so long is sent again with a higher fee. */
  static final Duration HURRY_AFTER = Duration.ofSeconds(30);

  /** One that is not mined for so long may wait for a nonce before it that was lost. */
  static final Duration GAP_AFTER = Duration.ofSeconds(5);

  /** How many lost nonces are taken at a time. */
  private static final int GAP_MAX = 16;

  private final EvmChain chain;
  private final long chainId;
  private final EvmKey key;
  private final Credentials credentials;
  private final BigInteger feeCapWei;
  private final InstantSource clock;
  private final Map<BigInteger, Waiting> unresolved = new HashMap<>();
  private @Nullable BigInteger next;

  /**
   * @param feeCapWei the most wei per gas that is ever paid
   */
  public Sender(
      EvmChain chain, long chainId, EvmKey key, BigInteger feeCapWei, InstantSource clock) {
    this.clock = clock;
    this.chain = chain;
    this.chainId = chainId;
    this.key = key;
    this.credentials = Credentials.create(key.revealNumber().toString(16));
    this.feeCapWei = feeCapWei;
  }

  public EvmAddress address() {
    return key.address();
  }

  /**
   * A transaction whose end is not known.
   *
   * @param last as it was last sent: the same, or with a higher fee
   * @param since when it was last sent
   */
  private record Waiting(SignedTransaction last, Instant since) {}

  /** How many settlements have this key at work; what {@link SenderPool} balances. */
  final AtomicInteger underWay = new AtomicInteger();

  /** The fee that the chain wants now exceeds the cap. */
  public static final class FeeCapException extends Exception {
    private static final long serialVersionUID = 1L;

    FeeCapException(String message) {
      super(message);
    }
  }

  /**
   * Signs a call, lets {@code beforeSending} write it down, and sends it.
   *
   * @return the transaction; that it was accepted is known, that it will be mined is not
   * @throws UnreachableException with {@code beforeSending} called: it may have been sent; else it
   *     was not
   * @throws EvmChain.RefusedException where the chain would not take it
   */
  public SignedTransaction send(
      EvmAddress to, byte[] data, Consumer<SignedTransaction> beforeSending)
      throws UnreachableException, EvmChain.RefusedException, FeeCapException {
    return send(to, data, GAS_MAX, false, beforeSending);
  }

  /**
   * As above, for what may use more gas.
   *
   * @param rehearsed whether the very transaction, with its gas limit and price, is tried once more
   *     before it is sent: for what runs a stranger's code, which can tell an estimate from it
   */
  synchronized SignedTransaction send(
      EvmAddress to,
      byte[] data,
      BigInteger gasMax,
      boolean rehearsed,
      Consumer<SignedTransaction> beforeSending)
      throws UnreachableException, EvmChain.RefusedException, FeeCapException {
    Fees fees = fees();
    BigInteger gas = tried(to, data, gasMax, rehearsed, fees, true);
    SignedTransaction signed =
        signed(nextNonce(), gas, to, data, BigInteger.ZERO, fees.tip(), fees.max(), fees.block());
    beforeSending.accept(signed);
    unresolved.put(signed.nonce(), new Waiting(signed, clock.instant()));
    try {
      chain.sendRaw(signed.raw());
    } catch (EvmChain.RefusedException e) {
      if (isTaken(e)) {
        // Another transaction of this key holds the nonce, though the chain had not said so.
        unresolved.remove(signed.nonce());
        throw e;
      }
      if (isRejected(e)) {
        unresolved.remove(signed.nonce());
        next = null;
        throw e;
      }
      // Whatever else it says, it may have taken it.
    } finally {
      if (next != null) {
        next = signed.nonce().add(BigInteger.ONE);
      }
    }
    return signed;
  }

  /** Gives some of the chain's own coin. It may be mined or not; nobody waits for it here. */
  public synchronized SignedTransaction give(EvmAddress to, BigInteger wei)
      throws UnreachableException, EvmChain.RefusedException, FeeCapException {
    SignedTransaction signed = sign(nextNonce(), GAS_PLAIN, to, new byte[0], wei);
    unresolved.put(signed.nonce(), new Waiting(signed, clock.instant()));
    next = signed.nonce().add(BigInteger.ONE);
    chain.sendRaw(signed.raw());
    return signed;
  }

  /** The most wei per gas that is ever paid. */
  public BigInteger feeCap() {
    return feeCapWei;
  }

  /** Takes back into account, after a restart, a transaction whose end is not known. */
  public synchronized void adopt(SignedTransaction signed) {
    unresolved.put(signed.nonce(), new Waiting(signed, clock.instant()));
    next = null;
  }

  /** The chain has taken blocks back: the next nonce is what it says then. */
  synchronized void rolledBack() {
    next = null;
  }

  /**
   * Sends a transaction again that may have been dropped; a chain that knows it already is content
   * with that. One that has waited for long is sent with a higher fee: the same call with the same
   * nonce, so that at most one of the two is ever mined.
   */
  public synchronized void sendAgain(SignedTransaction signed)
      throws UnreachableException, EvmChain.RefusedException {
    Waiting waiting =
        unresolved.computeIfAbsent(signed.nonce(), n -> new Waiting(signed, clock.instant()));
    SignedTransaction again = waiting.last();
    Duration waited = Duration.between(waiting.since(), clock.instant());
    if (waited.compareTo(GAP_AFTER) > 0) {
      closeGapBefore(signed.nonce());
    }
    if (waited.compareTo(HURRY_AFTER) > 0) {
      again = withHigherFee(again);
      unresolved.put(signed.nonce(), new Waiting(again, clock.instant()));
    }
    try {
      chain.sendRaw(again.raw());
    } catch (EvmChain.RefusedException e) {
      if (!isKnown(e)) {
        throw e;
      }
    }
  }

  /**
   * Takes nonces that nothing waits for with empty transfers to ourselves: what had them was lost,
   * to a reorganisation or a crash, and holds up all that follow.
   */
  private void closeGapBefore(BigInteger nonce)
      throws UnreachableException, EvmChain.RefusedException {
    BigInteger missing = chain.pendingNonce(address());
    for (int i = 0; i < GAP_MAX && missing.compareTo(nonce) < 0; i++) {
      if (!unresolved.containsKey(missing)) {
        try {
          chain.sendRaw(sign(missing, GAS_PLAIN, address(), new byte[0]).raw());
        } catch (FeeCapException e) {
          return; // it waits
        } catch (EvmChain.RefusedException e) {
          if (!isKnown(e) && !isTaken(e)) {
            throw e;
          }
        }
      }
      missing = missing.add(BigInteger.ONE);
    }
  }

  /** The same call, at what the chain asks now and at least an eighth more than before. */
  private SignedTransaction withHigherFee(SignedTransaction before)
      throws UnreachableException, EvmChain.RefusedException {
    if (!(TransactionDecoder.decode(Hex.encode(before.raw())).getTransaction()
        instanceof Transaction1559 old)) {
      return before;
    }
    EvmChain.Block head = chain.latestBlock();
    BigInteger tip = chain.priorityFee().max(raised(old.getMaxPriorityFeePerGas()));
    BigInteger max = head.baseFee().shiftLeft(1).add(tip).max(raised(old.getMaxFeePerGas()));
    if (max.compareTo(feeCapWei) > 0) {
      max = feeCapWei;
    }
    if (max.compareTo(old.getMaxFeePerGas()) <= 0 || tip.compareTo(max) > 0) {
      return before; // the cap is reached: it waits
    }
    Decoded call = Decoded.of(before);
    return signed(
        before.nonce(),
        call.gas(),
        call.to(),
        call.data(),
        old.getValue(),
        tip,
        max,
        before.sinceBlock());
  }

  private static BigInteger raised(BigInteger fee) {
    return fee.multiply(BigInteger.valueOf(9))
        .add(BigInteger.valueOf(7))
        .divide(BigInteger.valueOf(8));
  }

  /** Notes that a transaction was mined. */
  public synchronized void mined(SignedTransaction signed) {
    unresolved.remove(signed.nonce());
  }

  /**
   * Notes that a transaction's payment has ended without it, as far as is known. Where it was never
   * mined, its nonce is still free and holds up all that follow; then an empty transfer to
   * ourselves takes it.
   */
  public synchronized void resolved(SignedTransaction signed) {
    unresolved.remove(signed.nonce());
    try {
      if (chain.minedNonce(address()).compareTo(signed.nonce()) > 0) {
        return;
      }
      boolean others = unresolved.keySet().stream().anyMatch(n -> n.compareTo(signed.nonce()) > 0);
      if (others) {
        chain.sendRaw(sign(signed.nonce(), GAS_PLAIN, address(), new byte[0]).raw());
      } else {
        next = null;
      }
    } catch (UnreachableException | EvmChain.RefusedException | FeeCapException e) {
      next = null; // asked again from the chain before the next transaction
    }
  }

  private BigInteger nextNonce() throws UnreachableException, EvmChain.RefusedException {
    BigInteger nonce = next;
    if (nonce == null) {
      nonce = chain.pendingNonce(address());
      while (unresolved.containsKey(nonce)) {
        nonce = nonce.add(BigInteger.ONE);
      }
      next = nonce;
    }
    return nonce;
  }

  private SignedTransaction sign(BigInteger nonce, BigInteger gas, EvmAddress to, byte[] data)
      throws UnreachableException, EvmChain.RefusedException, FeeCapException {
    return sign(nonce, gas, to, data, BigInteger.ZERO);
  }

  private SignedTransaction sign(
      BigInteger nonce, BigInteger gas, EvmAddress to, byte[] data, BigInteger wei)
      throws UnreachableException, EvmChain.RefusedException, FeeCapException {
    Fees fees = fees();
    return signed(nonce, gas, to, data, wei, fees.tip(), fees.max(), fees.block());
  }

  /** What is offered for gas now, in wei a unit, and the chain's height. */
  private record Fees(BigInteger tip, BigInteger max, long block) {}

  /**
   * Tries a call on the terms on which it would be sent, and says how much gas it is given.
   *
   * @param next whether after all that waits to be mined
   */
  private BigInteger tried(
      EvmAddress to, byte[] data, BigInteger gasMax, boolean rehearsed, Fees fees, boolean next)
      throws UnreachableException, EvmChain.RefusedException {
    try {
      BigInteger gas = chain.estimateGas(asked(to, data, Optional.empty(), fees, next));
      gas = gas.multiply(BigInteger.valueOf(12)).divide(BigInteger.TEN);
      if (gas.compareTo(gasMax) > 0) {
        throw new EvmChain.RefusedException(
            "the transaction would use more than " + gasMax + " gas");
      }
      if (rehearsed) {
        byte[] unused = chain.call(asked(to, data, Optional.of(gas), fees, next));
      }
      return gas;
    } catch (EvmChain.RefusedException e) {
      if (isAboutOurGas(e)) {
        throw new UnreachableException(address() + " cannot pay for gas: " + e.getMessage());
      }
      throw e;
    }
  }

  private Question asked(
      EvmAddress to, byte[] data, Optional<BigInteger> gas, Fees fees, boolean next) {
    return new Question(
        address(), to, data, Optional.of(new EvmChain.AsSent(gas, fees.max(), fees.tip(), next)));
  }

  /** Whether a call would succeed if nothing but what is mined came before it. */
  boolean wouldSucceed(EvmAddress to, byte[] data, BigInteger gasMax)
      throws UnreachableException, FeeCapException {
    try {
      return tried(to, data, gasMax, false, fees(), false).signum() >= 0;
    } catch (EvmChain.RefusedException e) {
      return false;
    }
  }

  /** Whether a refusal is about our key's means; a contract's own words come as a revert. */
  static boolean isAboutOurGas(EvmChain.RefusedException e) {
    return says(e, List.of("insufficient funds", "insufficient balance"))
        && !says(e, List.of("revert"));
  }

  private Fees fees() throws UnreachableException, EvmChain.RefusedException, FeeCapException {
    EvmChain.Block head = chain.latestBlock();
    BigInteger tip = chain.priorityFee();
    BigInteger max = head.baseFee().shiftLeft(1).add(tip);
    if (head.baseFee().add(tip).compareTo(feeCapWei) > 0) {
      throw new FeeCapException(
          "the chain asks "
              + head.baseFee().add(tip)
              + " wei per gas, and the cap is "
              + feeCapWei);
    }
    return new Fees(tip, max.min(feeCapWei), head.number());
  }

  private SignedTransaction signed(
      BigInteger nonce,
      BigInteger gas,
      EvmAddress to,
      byte[] data,
      BigInteger wei,
      BigInteger tip,
      BigInteger max,
      long sinceBlock) {
    RawTransaction transaction =
        RawTransaction.createTransaction(
            chainId, nonce, gas, to.toString(), wei, Hex.encode(data), tip, max);
    byte[] raw = TransactionEncoder.signMessage(transaction, credentials);
    return new SignedTransaction(Hex.encode(Hashes.keccak256(raw)), raw, nonce, sinceBlock);
  }

  private static boolean says(EvmChain.RefusedException e, List<String> words) {
    String message = String.valueOf(e.getMessage()).toLowerCase(java.util.Locale.ROOT);
    return words.stream().anyMatch(message::contains);
  }

  /** Whether a refusal says that the nonce has another transaction. */
  private static boolean isTaken(EvmChain.RefusedException e) {
    return says(e, List.of("replacement", "nonce too low", "nonce is too low"));
  }

  /** Whether a refusal says that the transaction is none that could ever be taken as it stands. */
  private static boolean isRejected(EvmChain.RefusedException e) {
    return says(
        e,
        List.of(
            "insufficient funds",
            "intrinsic gas",
            "gas limit",
            "underpriced",
            "less than block base fee",
            "max fee",
            "max priority fee",
            "invalid sender",
            "txpool is full",
            "exceeds"));
  }

  /** Whether a refusal to take a transaction says that it is there already. */
  private static boolean isKnown(EvmChain.RefusedException e) {
    String message = String.valueOf(e.getMessage()).toLowerCase(java.util.Locale.ROOT);
    return message.contains("already known")
        || message.contains("already imported")
        || message.contains("alreadyknown");
  }
}
