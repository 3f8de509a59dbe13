package dev.gridtie.x402.facilitator;

import dev.gridtie.base.Json;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.util.Optional;
import java.util.function.Consumer;
import tools.jackson.databind.node.ObjectNode;

/** The facilitator's side of a scheme. */
public interface PaymentScheme {
  /** What came of looking at a payment. */
  sealed interface Verdict {
    /**
     * It would move the money now.
     *
     * @param extra what the scheme says besides, as {@code /verify} does
     */
    record Valid(String payer, ObjectNode extra) implements Verdict {
      public Valid(String payer) {
        this(payer, Json.object());
      }
    }

    /**
     * It would not.
     *
     * @param used whether the chain has seen it already: its money may have moved, which {@link
     *     PaymentScheme#settle} finds out without sending anything
     */
    record Invalid(Refusal why, boolean used) implements Verdict {
      public Invalid(Refusal why) {
        this(why, false);
      }
    }
  }

  /** What became of a payment on the chain. */
  sealed interface Settlement {
    /**
     * The money has moved.
     *
     * @param feeWei what it cost us, in the smallest unit of the chain's own coin; zero where
     *     somebody else sent it
     * @param extra what the scheme says besides, as {@code /settle} does
     */
    record Settled(
        String transaction, String payer, BigInteger amount, BigInteger feeWei, ObjectNode extra)
        implements Settlement {
      public Settled(String transaction, String payer, BigInteger amount, BigInteger feeWei) {
        this(transaction, payer, amount, feeWei, Json.object());
      }
    }

    /** The money has not moved, and by this payment never will. */
    record Failed(Refusal why) implements Settlement {}

    /**
     * Not known yet: ask again with {@link PaymentScheme#reconcile}. Never treat this as failed.
     *
     * @param superseded what was sent can never be mined, and the payment is still good: another
     *     transaction has taken its nonce. Settle again; if that sends nothing, it is still unknown
     */
    record Unknown(String why, boolean superseded) implements Settlement {
      public Unknown(String why) {
        this(why, false);
      }
    }
  }

  /**
   * Looks at a payment without moving money.
   *
   * @throws UnreachableException where the chain could not be asked; nothing is known about the
   *     payment
   */
  Verdict verify(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException;

  /**
   * Sets the money of a verified payment aside that will be settled later, among all that its payer
   * has promised: until {@link #settle} ends, {@link #forgo} is said of it, or it has expired.
   *
   * @throws UnreachableException where the chain could not be asked
   */
  default Verdict promise(PaymentPayload payment, PaymentRequirements requirements)
      throws UnreachableException {
    return new Verdict.Valid("");
  }

  /** A payment that was promised will not be settled. */
  default void forgo(PaymentPayload payment, PaymentRequirements requirements) {}

  /**
   * Brings a verified payment to the chain and waits for its end, for a bounded time. One that
   * somebody else has brought there before is settled by that.
   *
   * @param beforeSending writes the signed transaction down durably; called before it is sent, or
   *     not at all
   */
  Settlement settle(
      PaymentPayload payment,
      PaymentRequirements requirements,
      Consumer<SignedTransaction> beforeSending);

  /**
   * Finds out, once, what became of a transaction that was sent; sends it again where the chain has
   * lost it.
   */
  Settlement reconcile(
      PaymentPayload payment, PaymentRequirements requirements, SignedTransaction sent);

  /** Takes back into account, after a restart, a transaction whose end is not known. */
  void adopt(PaymentRequirements requirements, SignedTransaction sent);

  /**
   * Whether the chain knows of a transaction that it had mined; after a reorganisation it may not.
   *
   * @throws UnreachableException where the chain could not be asked
   */
  boolean isOnChain(PaymentRequirements requirements, String transaction)
      throws UnreachableException;

  /**
   * How a chain stands now; empty where what is counted as settled is not taken back.
   *
   * @param network CAIP-2
   * @throws UnreachableException where the chain could not be asked
   */
  default Optional<ChainMark> mark(String network) throws UnreachableException {
    return Optional.empty();
  }

  /**
   * Whether a chain has taken back the block of a mark. A height that it does not have says
   * nothing: whoever answers may be behind.
   *
   * @param network CAIP-2
   * @throws UnreachableException where the chain could not be asked
   */
  default boolean hasTakenBack(String network, ChainMark mark) throws UnreachableException {
    return false;
  }

  /**
   * A chain has taken blocks back: what was counted along with them is asked for anew.
   *
   * @param network CAIP-2
   */
  default void rolledBack(String network) {}
}
