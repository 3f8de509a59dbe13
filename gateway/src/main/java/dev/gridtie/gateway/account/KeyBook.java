package dev.gridtie.gateway.account;

import dev.gridtie.gateway.till.Presence;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.StoreException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The keys that open this gateway, kept up with the file that the command line changes. State: the
 * accounts by their key's hash, changed by one thread.
 */
public final class KeyBook implements AutoCloseable {
  /** How soon a new or revoked key is known. */
  private static final Duration LOOK_EVERY = Duration.ofMillis(250);

  /** What of a lease was not needed for so long is given back. */
  private static final Duration GIVE_BACK_EVERY = Duration.ofSeconds(2);

  private static final Duration LOOK_AGAIN_AFTER = Duration.ofMillis(50);

  private final KeyStore store;
  private final Database database;
  private final Presence presence;
  private final InstantSource clock;
  private final Map<String, Account> byHash = new ConcurrentHashMap<>();
  private final Map<String, Account> byId = new ConcurrentHashMap<>();
  private final Thread thread;
  private volatile boolean closed;
  private Instant lastRead = Instant.EPOCH;

  /** Opens the book on a store, which it owns from then on. */
  public KeyBook(KeyStore store, Database database, Presence presence, InstantSource clock) {
    this.store = store;
    this.database = database;
    this.presence = presence;
    this.clock = clock;
    read();
    this.thread = Thread.ofPlatform().name("keys").daemon(true).start(this::follow);
  }

  private synchronized void read() {
    lastRead = clock.instant();
    for (ApiKey key : store.all()) {
      Account known = byId.get(key.id());
      if (known != null) {
        known.update(key);
      } else {
        Account account = new Account(key, clock, leases(), presence::count);
        byId.put(key.id(), account);
        byHash.put(key.hash(), account);
      }
    }
  }

  private @Nullable Leases leases() {
    return presence.isAlone() ? null : new Leases(new Budgets(database, presence), presence);
  }

  private void follow() {
    long seen = -1;
    int gateways = presence.count();
    Instant givenBack = clock.instant();
    boolean isAway = false;
    while (!closed && !Thread.currentThread().isInterrupted()) {
      try {
        long version = version();
        if (version != seen || presence.count() != gateways) {
          read();
          seen = version;
          gateways = presence.count();
        }
        if (Duration.between(givenBack, clock.instant()).compareTo(GIVE_BACK_EVERY) > 0) {
          byId.values().forEach(Account::giveBack);
          givenBack = clock.instant();
        }
        isAway = false;
        Thread.sleep(LOOK_EVERY);
      } catch (StoreException e) {
        if (!isAway) {
          System.err.println("gridtie: " + e.getMessage());
        }
        isAway = true;
        rest();
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private static void rest() {
    try {
      Thread.sleep(LOOK_EVERY);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized long version() {
    return store.version();
  }

  /** The account that a key opens, where it is known already; never blocks. */
  public Optional<Account> known(String secret) {
    if (!secret.startsWith(ApiKey.PREFIX) || secret.length() > 128) {
      return Optional.empty();
    }
    return Optional.ofNullable(byHash.get(ApiKey.hash(secret))).filter(a -> !a.key().revoked());
  }

  /**
   * The account that a key opens. A key made an instant ago may not be known yet; the file is
   * looked at again, so this may block for as long as that takes.
   */
  public Optional<Account> open(String secret) {
    if (!secret.startsWith(ApiKey.PREFIX) || secret.length() > 128) {
      return Optional.empty();
    }
    String hash = ApiKey.hash(secret);
    Account known = byHash.get(hash);
    if (known == null) {
      lookAgain();
      known = byHash.get(hash);
    }
    return Optional.ofNullable(known).filter(a -> !a.key().revoked());
  }

  /**
   * Sees to it that the file was read after this moment; however many guesses come at once, they
   * share one reading, and there is a pause between two.
   */
  private void lookAgain() {
    Instant asked = clock.instant();
    synchronized (this) {
      if (lastRead.isAfter(asked)) {
        return;
      }
      try {
        Duration pause = Duration.between(asked, lastRead.plus(LOOK_AGAIN_AFTER));
        if (pause.isPositive()) {
          Thread.sleep(pause);
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
      read();
    }
  }

  /** Takes over what was spent before, row by row. */
  public void replay(UsageRow row) {
    Account account = byId.get(row.keyId());
    if (account != null) {
      account.replay(row.cost(), row.model(), row.places(), row.time());
    }
  }

  /** These requests stand in the database now. */
  void posted(List<UsageRow> rows) {
    for (UsageRow row : rows) {
      Account account = byId.get(row.keyId());
      if (account != null) {
        account.posted(row);
      }
    }
  }

  /** What keys may spend, where other gateways spend of it too. */
  Optional<Budgets> budgets() {
    return presence.isAlone() ? Optional.empty() : Optional.of(new Budgets(database, presence));
  }

  /** What a key has spent: here, or at all gateways that share the ledger. */
  public Account.Spent spent(Account account) {
    if (presence.isAlone()) {
      return account.spent();
    }
    Account all = new Account(account.key(), clock, null, () -> 1);
    database.read(
        c -> {
          UsageStore.forEach(
              c,
              account.key().id(),
              row -> all.replay(row.cost(), row.model(), row.places(), row.time()));
          return true;
        });
    return all.spent();
  }

  /** All accounts by their key's id. */
  public Map<String, Account> accounts() {
    return new HashMap<>(byId);
  }

  @Override
  public void close() {
    closed = true;
    thread.interrupt();
    try {
      thread.join(Duration.ofSeconds(2));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    store.close();
  }
}
