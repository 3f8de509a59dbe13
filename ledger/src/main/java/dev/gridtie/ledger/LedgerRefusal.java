package dev.gridtie.ledger;

/**
 * Why the ledger would not take an entry. The order is the order of precedence: where several
 * apply, the first is named. The numbers are stable.
 */
public enum LedgerRefusal {
  MALFORMED_ID(1),
  /** Longer than a bundle of the published log can hold. */
  ENTRY_TOO_LONG(14),
  ID_USED_DIFFERENTLY(2),
  ACCOUNT_EXISTS_DIFFERENTLY(3),
  AMOUNT_NEGATIVE(4),
  AMOUNT_TOO_LARGE(5),
  DEBIT_ACCOUNT_NOT_FOUND(6),
  CREDIT_ACCOUNT_NOT_FOUND(7),
  ACCOUNTS_SAME(8),
  ASSETS_DIFFER(9),
  HOLD_NOT_FOUND(10),
  HOLD_ENDED(11),
  /** Posted at or after the instant at which it expires. */
  HOLD_EXPIRED(15),
  /** Said to have expired before it has, or it never does. */
  HOLD_NOT_EXPIRED(16),
  EXCEEDS_HOLD(12),
  EXCEEDS_CREDITS(13),
  EXCEEDS_DEBITS(17),
  ACCOUNT_NOT_FOUND(18),
  /** Only a credit-only account can be overdrawn, and so be limited in it. */
  ACCOUNT_NOT_LIMITED(19);

  private final int number;

  LedgerRefusal(int number) {
    this.number = number;
  }

  public int number() {
    return number;
  }

  /** Carries a refusal out of a transaction, so that nothing of it is kept. */
  public static final class RefusedException extends Exception {
    private static final long serialVersionUID = 1L;
    private final LedgerRefusal why;

    RefusedException(LedgerRefusal why, Entry entry) {
      super(why + " (" + why.number + "): " + entry.canonical());
      this.why = why;
    }

    public LedgerRefusal why() {
      return why;
    }
  }
}
