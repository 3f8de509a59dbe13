package dev.gridtie.ledger;

import java.math.BigInteger;
import java.util.Optional;

/**
 * The rules of double entry, over whatever keeps the accounts and holds: the database when writing,
 * plain maps when verifying. One code for both, so that what was accepted is what is verified.
 */
final class Book {
  /** Amounts stay below this: 2^128. */
  static final int AMOUNT_BITS_MAX = 128;

  private Book() {}

  /** A hold, and how it ended, if it did. */
  record HoldState(Entry.Hold hold, boolean ended) {}

  /** Where accounts and holds are kept. */
  interface State {
    Optional<Account> account(AccountId id);

    void put(Account account);

    Optional<HoldState> hold(String id);

    void put(HoldState hold);
  }

  /**
   * Applies an entry whose id is new.
   *
   * @throws LedgerRefusal.RefusedException where a rule forbids it; the state may then be changed
   *     in part and must be thrown away
   */
  static void apply(Entry entry, State state) throws LedgerRefusal.RefusedException {
    switch (entry) {
      case Entry.Open e -> open(e, state);
      case Entry.Limit e -> limit(e, state);
      case Entry.Transfer e -> {
        requireAmount(e.amount(), e);
        requireAccounts(e.debit(), e.credit(), e, state);
        debit(e.debit(), BigInteger.ZERO, e.amount(), e, state);
        credit(e.credit(), BigInteger.ZERO, e.amount(), e, state);
      }
      case Entry.Hold e -> {
        requireAmount(e.amount(), e);
        requireAccounts(e.debit(), e.credit(), e, state);
        debit(e.debit(), e.amount(), BigInteger.ZERO, e, state);
        credit(e.credit(), e.amount(), BigInteger.ZERO, e, state);
        state.put(new HoldState(e, false));
      }
      case Entry.Post e -> {
        requireAmount(e.amount(), e);
        Entry.Hold hold = openHold(e.hold(), e, state);
        if (isOver(hold, e)) {
          throw new LedgerRefusal.RefusedException(LedgerRefusal.HOLD_EXPIRED, e);
        }
        end(hold, e.amount(), e, state);
      }
      case Entry.Release e -> end(openHold(e.hold(), e, state), BigInteger.ZERO, e, state);
      case Entry.Expire e -> {
        Entry.Hold hold = openHold(e.hold(), e, state);
        if (!isOver(hold, e)) {
          throw new LedgerRefusal.RefusedException(LedgerRefusal.HOLD_NOT_EXPIRED, e);
        }
        end(hold, BigInteger.ZERO, e, state);
      }
      case Entry.Witness ignored -> {}
    }
  }

  private static void open(Entry.Open e, State state) throws LedgerRefusal.RefusedException {
    if (state.account(e.account()).isPresent()) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.ACCOUNT_EXISTS_DIFFERENTLY, e);
    }
    state.put(Account.open(e));
  }

  private static void limit(Entry.Limit e, State state) throws LedgerRefusal.RefusedException {
    requireAmount(e.overdraft(), e);
    Account account =
        state
            .account(e.account())
            .orElseThrow(
                () -> new LedgerRefusal.RefusedException(LedgerRefusal.ACCOUNT_NOT_FOUND, e));
    if (!account.creditOnly()) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.ACCOUNT_NOT_LIMITED, e);
    }
    state.put(account.limit(e.overdraft()));
  }

  private static boolean isOver(Entry.Hold hold, Entry now) {
    return hold.expires().filter(at -> !now.time().isBefore(at)).isPresent();
  }

  private static void requireAmount(BigInteger amount, Entry e)
      throws LedgerRefusal.RefusedException {
    if (amount.signum() < 0) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.AMOUNT_NEGATIVE, e);
    }
    if (amount.bitLength() > AMOUNT_BITS_MAX) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.AMOUNT_TOO_LARGE, e);
    }
  }

  private static void requireAccounts(AccountId debit, AccountId credit, Entry e, State state)
      throws LedgerRefusal.RefusedException {
    if (state.account(debit).isEmpty()) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.DEBIT_ACCOUNT_NOT_FOUND, e);
    }
    if (state.account(credit).isEmpty()) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.CREDIT_ACCOUNT_NOT_FOUND, e);
    }
    if (debit.equals(credit)) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.ACCOUNTS_SAME, e);
    }
    if (!debit.asset().equals(credit.asset())) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.ASSETS_DIFFER, e);
    }
  }

  private static Entry.Hold openHold(String id, Entry e, State state)
      throws LedgerRefusal.RefusedException {
    HoldState hold =
        state
            .hold(id)
            .orElseThrow(() -> new LedgerRefusal.RefusedException(LedgerRefusal.HOLD_NOT_FOUND, e));
    if (hold.ended()) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.HOLD_ENDED, e);
    }
    return hold.hold();
  }

  private static void end(Entry.Hold hold, BigInteger posted, Entry e, State state)
      throws LedgerRefusal.RefusedException {
    if (posted.compareTo(hold.amount()) > 0) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.EXCEEDS_HOLD, e);
    }
    debit(hold.debit(), hold.amount().negate(), posted, e, state);
    credit(hold.credit(), hold.amount().negate(), posted, e, state);
    state.put(new HoldState(hold, true));
  }

  private static void debit(
      AccountId id, BigInteger pending, BigInteger posted, Entry e, State state)
      throws LedgerRefusal.RefusedException {
    Account after = state.account(id).orElseThrow().debit(pending, posted);
    if (after.creditOnly() && takes(pending, posted) && after.available().signum() < 0) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.EXCEEDS_CREDITS, e);
    }
    state.put(after);
  }

  private static void credit(
      AccountId id, BigInteger pending, BigInteger posted, Entry e, State state)
      throws LedgerRefusal.RefusedException {
    Account after = state.account(id).orElseThrow().credit(pending, posted);
    if (after.debitOnly() && takes(pending, posted) && after.creditable().signum() < 0) {
      throw new LedgerRefusal.RefusedException(LedgerRefusal.EXCEEDS_DEBITS, e);
    }
    state.put(after);
  }

  /** Whether more is taken than was held: what ends a hold is never refused for a limit. */
  private static boolean takes(BigInteger pending, BigInteger posted) {
    return pending.add(posted).signum() > 0;
  }
}
