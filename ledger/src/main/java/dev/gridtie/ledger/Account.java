package dev.gridtie.ledger;

import java.math.BigInteger;

/**
 * An account's four sums. The posted ones only grow; the pending ones fall again when a hold ends;
 * balances are differences of them.
 *
 * @param creditOnly whether debits, pending ones included, may never exceed posted credits by more
 *     than {@code overdraft}
 * @param debitOnly whether credits, pending ones included, may never exceed posted debits: what
 *     others' money stands on for us
 * @param overdraft how far a credit-only account may be overdrawn; zero unless a limit was said
 */
public record Account(
    AccountId id,
    boolean creditOnly,
    boolean debitOnly,
    BigInteger overdraft,
    BigInteger debitsPending,
    BigInteger debitsPosted,
    BigInteger creditsPending,
    BigInteger creditsPosted) {

  static Account open(Entry.Open e) {
    return new Account(
        e.account(),
        e.creditOnly(),
        e.debitOnly(),
        BigInteger.ZERO,
        BigInteger.ZERO,
        BigInteger.ZERO,
        BigInteger.ZERO,
        BigInteger.ZERO);
  }

  /** Posted credits less posted debits. */
  public BigInteger balance() {
    return creditsPosted.subtract(debitsPosted);
  }

  /** What may still be debited: the balance less what is held, and what may be overdrawn. */
  public BigInteger available() {
    return balance().subtract(debitsPending).add(overdraft);
  }

  /** What a debit-only account may still be credited. */
  BigInteger creditable() {
    return debitsPosted.subtract(creditsPosted).subtract(creditsPending);
  }

  Account debit(BigInteger pending, BigInteger posted) {
    return new Account(
        id,
        creditOnly,
        debitOnly,
        overdraft,
        debitsPending.add(pending),
        debitsPosted.add(posted),
        creditsPending,
        creditsPosted);
  }

  Account credit(BigInteger pending, BigInteger posted) {
    return new Account(
        id,
        creditOnly,
        debitOnly,
        overdraft,
        debitsPending,
        debitsPosted,
        creditsPending.add(pending),
        creditsPosted.add(posted));
  }

  Account limit(BigInteger newOverdraft) {
    return new Account(
        id,
        creditOnly,
        debitOnly,
        newOverdraft,
        debitsPending,
        debitsPosted,
        creditsPending,
        creditsPosted);
  }
}
