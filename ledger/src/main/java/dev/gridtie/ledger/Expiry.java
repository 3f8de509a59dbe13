package dev.gridtie.ledger;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import java.time.Instant;
import java.util.List;

/** Ends holds whose time has come. */
public final class Expiry {
  /** How many are ended at a time. */
  private static final int MOST = 500;

  private Expiry() {}

  /**
   * Ends holds that have expired until now, each in a transaction of its own: one that somebody
   * else has just ended is passed over.
   *
   * @return how many
   */
  public static int sweep(Database database, Instant now) {
    int ended = 0;
    List<String> expired = database.read(c -> new Tables(c, false).expired(now, MOST));
    for (String hold : expired) {
      try {
        List<LedgerTx.Applied> applied =
            database.apply(List.of(new Entry.Expire(Ids.derived("expire " + hold), now, hold)));
        ended += applied.getFirst() == LedgerTx.Applied.NEW ? 1 : 0;
      } catch (RefusedException e) {
        if (e.why() != LedgerRefusal.HOLD_ENDED) {
          throw new IllegalStateException("a hold that has expired cannot be ended", e);
        }
      }
    }
    return ended;
  }
}
