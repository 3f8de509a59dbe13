package dev.gridtie.ledger;

import java.math.BigInteger;

/**
 * An account's four sums. Each only grows, but for the pending ones, which fall when a hold ends;
 * balances are differences of them.
 *
 * @param creditOnly whether debits, pending ones included, may never exceed posted credits: an
 *     account that cannot be overdrawn
 */
public record Account(
    AccountId id,
    boolean creditOnly,
    BigInteger debitsPending,
    BigInteger debitsPosted,
    BigInteger creditsPending,
    BigInteger creditsPosted) {

  static Account open(AccountId id, boolean creditOnly) {
    return new Account(
        id, creditOnly, BigInteger.ZERO, BigInteger.ZERO, BigInteger.ZERO, BigInteger.ZERO);
  }

  /** Posted credits less posted debits. */
  public BigInteger balance() {
    return creditsPosted.subtract(debitsPosted);
  }

  /** What may still be debited: the balance less what is held. */
  public BigInteger available() {
    return balance().subtract(debitsPending);
  }

  Account debit(BigInteger pending, BigInteger posted) {
    return new Account(
        id,
        creditOnly,
        debitsPending.add(pending),
        debitsPosted.add(posted),
        creditsPending,
        creditsPosted);
  }

  Account credit(BigInteger pending, BigInteger posted) {
    return new Account(
        id,
        creditOnly,
        debitsPending,
        debitsPosted,
        creditsPending.add(pending),
        creditsPosted.add(posted));
  }
}
