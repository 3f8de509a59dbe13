package dev.gridtie.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A model, plain maps of sums, beside the ledger through seeded random operations: entries that are
 * good, refused, repeated and linked, transactions that are lost, and restarts.
 */
@ParameterizedClass
@EnumSource(Store.class)
class LedgerProperties {
  private static final Instant START = Instant.parse("2027-01-15T08:00:00Z");
  private static final int ACCOUNTS = 12;

  /** How many transactions are committed together. */
  private static final int TOGETHER = 200;

  @Parameter Store store;

  @TempDir Path home;

  /** What a careful reader of the rules would keep on paper. */
  private static final class Model {
    final Map<AccountId, long[]> sums = new HashMap<>(); // debits/credits × pending/posted
    final Map<AccountId, long[]> limits = new HashMap<>(); // creditOnly, debitOnly, overdraft
    final Map<String, Entry.Hold> open = new HashMap<>();
    final Map<String, Boolean> ended = new HashMap<>();
    final Map<String, Entry> said = new HashMap<>();

    /** How to take back what was written down since the last commit, the last first. */
    final List<Runnable> undo = new ArrayList<>();

    void takeBack(int downTo) {
      while (undo.size() > downTo) {
        undo.removeLast().run();
      }
    }

    private <K, V> void put(Map<K, V> map, K key, V value) {
      V before = map.put(key, value);
      undo.add(
          () -> {
            if (before == null) {
              map.remove(key);
            } else {
              map.put(key, before);
            }
          });
    }

    private void remember(AccountId id) {
      long[] before = sums.get(id).clone();
      undo.add(() -> sums.put(id, before));
    }

    /** Why an entry is refused, or nothing; where refused, take back what was written down. */
    Optional<LedgerRefusal> say(Entry e) {
      Entry before = said.get(e.id());
      if (before != null) {
        return before.equals(e) ? Optional.empty() : Optional.of(LedgerRefusal.ID_USED_DIFFERENTLY);
      }
      Optional<LedgerRefusal> refused =
          switch (e) {
            case Entry.Open o -> {
              if (sums.containsKey(o.account())) {
                yield Optional.of(LedgerRefusal.ACCOUNT_EXISTS_DIFFERENTLY);
              }
              put(sums, o.account(), new long[4]);
              put(
                  limits,
                  o.account(),
                  new long[] {o.creditOnly() ? 1 : 0, o.debitOnly() ? 1 : 0, 0});
              yield Optional.empty();
            }
            case Entry.Limit l -> {
              if (!sums.containsKey(l.account())) {
                yield Optional.of(LedgerRefusal.ACCOUNT_NOT_FOUND);
              }
              if (limits.get(l.account())[0] == 0) {
                yield Optional.of(LedgerRefusal.ACCOUNT_NOT_LIMITED);
              }
              long[] now = limits.get(l.account()).clone();
              now[2] = l.overdraft().longValueExact();
              put(limits, l.account(), now);
              yield Optional.empty();
            }
            case Entry.Transfer t -> move(t.debit(), t.credit(), 0, t.amount().longValueExact());
            case Entry.Hold h -> {
              Optional<LedgerRefusal> why =
                  move(h.debit(), h.credit(), h.amount().longValueExact(), 0);
              if (why.isEmpty()) {
                put(open, h.id(), h);
              }
              yield why;
            }
            case Entry.Post p -> end(p.hold(), p.amount().longValueExact(), p.time(), false);
            case Entry.Release r -> end(r.hold(), 0, START.minusSeconds(1), false);
            case Entry.Expire x -> end(x.hold(), 0, x.time(), true);
            case Entry.Witness w -> Optional.empty();
          };
      if (refused.isEmpty()) {
        put(said, e.id(), e);
      }
      return refused;
    }

    private Optional<LedgerRefusal> move(AccountId from, AccountId to, long pending, long posted) {
      if (!sums.containsKey(from)) {
        return Optional.of(LedgerRefusal.DEBIT_ACCOUNT_NOT_FOUND);
      }
      if (!sums.containsKey(to)) {
        return Optional.of(LedgerRefusal.CREDIT_ACCOUNT_NOT_FOUND);
      }
      if (from.equals(to)) {
        return Optional.of(LedgerRefusal.ACCOUNTS_SAME);
      }
      if (!from.asset().equals(to.asset())) {
        return Optional.of(LedgerRefusal.ASSETS_DIFFER);
      }
      remember(from);
      remember(to);
      long[] d = sums.get(from);
      long[] c = sums.get(to);
      d[0] += pending;
      d[1] += posted;
      if (pending + posted > 0
          && limits.get(from)[0] == 1
          && d[3] - d[1] - d[0] + limits.get(from)[2] < 0) {
        return Optional.of(LedgerRefusal.EXCEEDS_CREDITS);
      }
      c[2] += pending;
      c[3] += posted;
      if (pending + posted > 0 && limits.get(to)[1] == 1 && c[1] - c[3] - c[2] < 0) {
        return Optional.of(LedgerRefusal.EXCEEDS_DEBITS);
      }
      return Optional.empty();
    }

    private Optional<LedgerRefusal> end(String id, long posted, Instant now, boolean expire) {
      Entry.Hold hold = open.get(id);
      if (hold == null) {
        return Optional.of(
            ended.containsKey(id) ? LedgerRefusal.HOLD_ENDED : LedgerRefusal.HOLD_NOT_FOUND);
      }
      boolean over = hold.expires().isPresent() && !now.isBefore(hold.expires().get());
      if (expire && !over) {
        return Optional.of(LedgerRefusal.HOLD_NOT_EXPIRED);
      }
      if (!expire && over) {
        return Optional.of(LedgerRefusal.HOLD_EXPIRED);
      }
      if (posted > hold.amount().longValueExact()) {
        return Optional.of(LedgerRefusal.EXCEEDS_HOLD);
      }
      open.remove(id);
      undo.add(() -> open.put(id, hold));
      put(ended, id, true);
      Optional<LedgerRefusal> never =
          move(hold.debit(), hold.credit(), -hold.amount().longValueExact(), posted);
      assertThat(never).isEmpty();
      return never;
    }
  }

  private final List<String> holds = new ArrayList<>();
  private final List<Entry> earlier = new ArrayList<>();
  private long number;

  private static AccountId account(Seeded seeded) {
    int n = seeded.below(ACCOUNTS);
    return new AccountId(n % 4 == 0 ? "credit" : "usd", "a" + n);
  }

  private Entry random(Seeded seeded, Instant now) {
    String id = Ids.derived("op " + number++);
    BigInteger amount = BigInteger.valueOf(seeded.below(100));
    String hold = holds.isEmpty() ? Ids.derived("none") : seeded.of(holds);
    return switch (seeded.below(20)) {
      case 0 -> new Entry.Open(id, now, account(seeded), seeded.chance(0.4), seeded.chance(0.1));
      case 1 -> new Entry.Limit(id, now, account(seeded), amount);
      case 2 -> new Entry.Witness(id, now, "test", "ab".repeat(32));
      case 3 -> earlier.isEmpty() ? new Entry.Expire(id, now, hold) : seeded.of(earlier);
      case 4 -> {
        // Another entry under an id that was used.
        String used = earlier.isEmpty() ? id : seeded.of(earlier).id();
        yield new Entry.Transfer(
            used, now, account(seeded), account(seeded), amount.add(BigInteger.TEN), "again");
      }
      case 5 -> new Entry.Expire(id, now, hold);
      case 6, 7 -> new Entry.Release(id, now, hold, "test");
      case 8, 9, 10 -> new Entry.Post(id, now, hold, amount, "test");
      case 11, 12, 13, 14 -> {
        Optional<Instant> expires =
            seeded.chance(0.3) ? Optional.of(now.plusSeconds(seeded.below(50))) : Optional.empty();
        holds.add(id);
        if (holds.size() > 200) {
          holds.removeFirst();
        }
        yield new Entry.Hold(id, now, account(seeded), account(seeded), amount, "test", expires);
      }
      default -> new Entry.Transfer(id, now, account(seeded), account(seeded), amount, "test");
    };
  }

  private Engine open(Location where) {
    List<Migrations> own = List.of(Migrations.OF_THE_LEDGER);
    return switch (where) {
      case Location.OnFile file -> SqliteEngine.open(file, own);
      case Location.OnPostgres p ->
          PostgresEngine.open(p, own, Ids.derived("writer " + number++), InstantSource.system());
    };
  }

  @Test
  void theModelAgreesThroughFaultsAndRestarts() throws Exception {
    long seed = Long.getLong("gridtie.seed", 20270115);
    Seeded seeded = new Seeded(seed);
    Location where = store.in(home);
    Model model = new Model();
    Engine engine = open(where);
    int operations = 0;
    int refused = 0;
    Map<AccountId, long[]> highest = new HashMap<>();
    while (operations < Size.of(20_000, 2_000_000)) {
      model.undo.clear();
      Engine.Writing writing = engine.begin();
      for (int i = 0; i < TOGETHER; i++) {
        List<Entry> linked = new ArrayList<>();
        for (int n = seeded.chance(0.2) ? 2 + seeded.below(3) : 1; n > 0; n--) {
          linked.add(random(seeded, START.plusSeconds(operations / 100)));
        }
        if (seeded.chance(0.5)) {
          writing.batch().expect(linked);
        }
        operations += linked.size();
        refused += say(writing, model, linked) ? 0 : 1;
      }
      writing.batch().flush();
      if (seeded.chance(0.1)) {
        engine.rollback(); // the power fails before the commit
        writing.batch().lost();
        model.takeBack(0);
      } else {
        long unused = engine.commit(writing);
        writing.batch().committed();
        engine.rest();
        requireSame(model, engine, highest);
      }
      if (seeded.chance(0.02)) {
        engine.close();
        engine = open(where);
      }
    }
    engine.close();
    Database.open(where, List.of()).close(); // writes the head
    assertThat(Verifier.verify(where, ignored -> {}))
        .as("seed %d", seed)
        .isInstanceOf(Verifier.Report.Sound.class);
    assertThat(refused).isGreaterThan(operations / 20);
    assertThat(model.said).hasSizeGreaterThan(operations / 20);
  }

  private boolean say(Engine.Writing writing, Model model, List<Entry> linked) throws Exception {
    LedgerTx log = writing.batch().transaction();
    int mark = model.undo.size();
    Optional<LedgerRefusal> expected = Optional.empty();
    for (Entry entry : linked) {
      boolean known = model.said.containsKey(entry.id());
      expected = model.say(entry);
      try {
        LedgerTx.Applied applied = log.apply(entry);
        assertThat(expected).as("%s", entry.canonical()).isEmpty();
        assertThat(applied).isEqualTo(known ? LedgerTx.Applied.REPEATED : LedgerTx.Applied.NEW);
      } catch (RefusedException e) {
        assertThat(expected).as("%s", entry.canonical()).contains(e.why());
        break;
      }
    }
    if (expected.isPresent()) {
      model.takeBack(mark);
      return false;
    }
    writing.batch().keep(log);
    earlier.addAll(linked);
    while (earlier.size() > 100) {
      earlier.removeFirst();
    }
    return true;
  }

  private static void requireSame(Model model, Engine engine, Map<AccountId, long[]> highest)
      throws Exception {
    List<Account> accounts = engine.read(c -> new LedgerReader(c).accounts());
    assertThat(accounts).hasSize(model.sums.size());
    Map<String, BigInteger> balance = new HashMap<>();
    for (Account a : accounts) {
      long[] s = model.sums.get(a.id());
      assertThat(
              List.of(a.debitsPending(), a.debitsPosted(), a.creditsPending(), a.creditsPosted()))
          .as("%s", a.id())
          .isEqualTo(
              List.of(
                  BigInteger.valueOf(s[0]),
                  BigInteger.valueOf(s[1]),
                  BigInteger.valueOf(s[2]),
                  BigInteger.valueOf(s[3])));
      long[] before = highest.getOrDefault(a.id(), new long[4]);
      assertThat(s[1]).as("posted debits never fall").isGreaterThanOrEqualTo(before[1]);
      assertThat(s[3]).as("posted credits never fall").isGreaterThanOrEqualTo(before[3]);
      highest.put(a.id(), s.clone());
      balance.merge(a.id().asset(), a.balance(), BigInteger::add);
    }
    assertThat(balance.values()).allMatch(sum -> sum.signum() == 0);
  }
}
