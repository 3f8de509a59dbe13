package dev.gridtie.gateway.gate;

/**
 * Where a payment stands. Kept in the database; each step is written before what follows it is
 * done.
 *
 * <pre>
 * CLAIMED → VERIFIED → SETTLING → SETTLED
 *    └─────────┴──────────┴──→ FAILED
 *                         └──→ UNKNOWN → SETTLED | FAILED
 * </pre>
 */
public enum PaymentState {
  /** Somebody sent it; nothing is known about it. */
  CLAIMED,
  /** It would move the money. */
  VERIFIED,
  /** A transaction is signed and written down, and may be on the chain. */
  SETTLING,
  /** The money has moved. */
  SETTLED,
  /** No money has moved, and by this attempt none will. */
  FAILED,
  /** Perhaps the money has moved; the chain will say. */
  UNKNOWN;

  /**
   * Whether a payment in this state, which nobody works on, may be claimed as if it had never been
   * sent.
   */
  boolean isFree() {
    return switch (this) {
      case CLAIMED, VERIFIED, FAILED -> true;
      case SETTLING, SETTLED, UNKNOWN -> false;
    };
  }
}
