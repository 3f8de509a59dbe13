package dev.gridtie.x402.evm;

import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.util.List;
import java.util.Optional;

/**
 * What paying needs of an EVM chain. Every call blocks; every call may find the chain out of reach.
 */
public interface EvmChain {
  /** The chain answered with an error: the request was understood and refused. */
  final class RefusedException extends Exception {
    private static final long serialVersionUID = 1L;

    public RefusedException(String message) {
      super(message);
    }
  }

  /** A block: number, hash, Unix seconds, base fee in wei. */
  record Block(long number, String hash, long timestamp, BigInteger baseFee) {}

  /** An event: the contract, its topics (32 bytes each), its data, the transaction it came from. */
  record Log(EvmAddress address, List<byte[]> topics, byte[] data, String transactionHash) {}

  /** A transaction's call; without {@code to} where it makes a contract. */
  record Call(Optional<EvmAddress> to, byte[] data) {}

  /** A mined transaction. */
  record Receipt(
      String transactionHash,
      EvmAddress from,
      boolean succeeded,
      long blockNumber,
      BigInteger feeWei,
      List<Log> logs) {}

  /** What a call would do: its result, or why it would be refused. */
  sealed interface Trial {
    record Done(byte[] result) implements Trial {}

    record Refused(RefusedException why) implements Trial {}

    /** The result, or the refusal thrown. */
    default byte[] orThrow() throws RefusedException {
      return switch (this) {
        case Done d -> d.result();
        case Refused r -> throw r.why();
      };
    }
  }

  /**
   * A call without a transaction.
   *
   * @param asSent the terms on which it would be sent; without them it is asked as if gas were free
   */
  record Question(EvmAddress from, EvmAddress to, byte[] data, Optional<AsSent> asSent) {
    public Question(EvmAddress from, EvmAddress to, byte[] data) {
      this(from, to, data, Optional.empty());
    }
  }

  /**
   * What a transaction would offer for its gas.
   *
   * @param gas its limit; empty where the chain is to say what it needs
   * @param maxFee the most wei for a unit
   * @param tip of that to whoever mines it
   * @param next whether it is asked of the next block, with all that waits to be mined, and not of
   *     the last one
   */
  record AsSent(Optional<BigInteger> gas, BigInteger maxFee, BigInteger tip, boolean next) {}

  /** An account's code, and what a call would do, asked together. */
  record Glance(byte[] code, Trial trial) {}

  /** The name and version of the node that answers ({@code web3_clientVersion}). */
  String clientVersion() throws UnreachableException, RefusedException;

  long chainId() throws UnreachableException, RefusedException;

  /** The head of the chain. */
  Block latestBlock() throws UnreachableException, RefusedException;

  /** The block of a number; empty where the chain, or whoever answers for it, has none yet. */
  Optional<Block> block(long number) throws UnreachableException, RefusedException;

  byte[] code(EvmAddress address) throws UnreachableException, RefusedException;

  /** Runs a call without a transaction; {@link RefusedException} carries the reason of a revert. */
  byte[] call(Question question) throws UnreachableException, RefusedException;

  /** {@link #call(Question)}. */
  default byte[] call(EvmAddress from, EvmAddress to, byte[] data)
      throws UnreachableException, RefusedException {
    return call(new Question(from, to, data));
  }

  /** {@link #code} and {@link #call} in one exchange, where the chain's server can do that. */
  Glance glance(EvmAddress account, Question question)
      throws UnreachableException, RefusedException;

  /** Several calls in one exchange, where the chain's server can do that; in their order. */
  List<Trial> callAll(List<Question> questions) throws UnreachableException;

  /** How much gas a call needs; {@link RefusedException} where it would fail. */
  BigInteger estimateGas(Question question) throws UnreachableException, RefusedException;

  BigInteger priorityFee() throws UnreachableException, RefusedException;

  BigInteger balance(EvmAddress address) throws UnreachableException, RefusedException;

  /** How many transactions the account has sent, those waiting included. */
  BigInteger pendingNonce(EvmAddress address) throws UnreachableException, RefusedException;

  /** How many transactions of the account are mined. */
  BigInteger minedNonce(EvmAddress address) throws UnreachableException, RefusedException;

  /** Hands a signed transaction over for mining. */
  void sendRaw(byte[] signed) throws UnreachableException, RefusedException;

  Optional<Receipt> receipt(String transactionHash) throws UnreachableException, RefusedException;

  /** What a transaction calls; empty where the chain does not know it. */
  Optional<Call> transaction(String transactionHash) throws UnreachableException, RefusedException;

  /** Events of one contract from a block on, by leading topics. */
  default List<Log> logs(EvmAddress contract, long fromBlock, List<byte[]> topics)
      throws UnreachableException, RefusedException {
    return logs(contract, fromBlock, Optional.empty(), topics);
  }

  /**
   * Events of one contract in some blocks, by leading topics, in their order.
   *
   * @param toBlock the last; empty for the chain's head
   */
  List<Log> logs(EvmAddress contract, long fromBlock, Optional<Long> toBlock, List<byte[]> topics)
      throws UnreachableException, RefusedException;
}
