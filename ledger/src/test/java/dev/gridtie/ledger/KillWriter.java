package dev.gridtie.ledger;

import dev.gridtie.base.Ids;
import dev.gridtie.base.Secret;
import dev.gridtie.testkit.LocalPostgres;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A process that writes a ledger as fast as it can until it is killed, and prints the number of
 * every transfer once it is acknowledged. Goes on from the number that it is given: what was not
 * acknowledged is said again.
 */
final class KillWriter {
  static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  static final AccountId CUSTODY = new AccountId("usd", "custody");
  static final AccountId PAYER = new AccountId("usd", "payer");
  private static final int WRITERS = 16;

  private KillWriter() {}

  static Entry transfer(long number) {
    return new Entry.Transfer(
        Ids.derived("kill " + number),
        NOW,
        CUSTODY,
        PAYER,
        BigInteger.valueOf(number % 97),
        "transfer " + number);
  }

  /**
   * @param args home, the first number, and for PostgreSQL its address
   */
  public static void main(String[] args) throws Exception {
    Path home = Path.of(args[0]);
    Location where =
        args.length == 2
            ? Location.in(home)
            : new Location.OnPostgres(
                args[2],
                LocalPostgres.USER,
                new Secret(LocalPostgres.PASSWORD),
                home.resolve("ledger-postgresql.head"));
    Database database = Database.open(where, List.of());
    database.apply(
        List.of(
            new Entry.Open(Ids.derived("o1"), NOW, CUSTODY, false),
            new Entry.Open(Ids.derived("o2"), NOW, PAYER, true)));
    AtomicLong next = new AtomicLong(Long.parseLong(args[1]));
    for (int i = 0; i < WRITERS; i++) {
      Thread.ofPlatform()
          .start(
              () -> {
                while (true) {
                  long number = next.getAndIncrement();
                  try {
                    database.apply(List.of(transfer(number)));
                  } catch (Exception e) {
                    System.out.println("failed " + e);
                    return;
                  }
                  System.out.println(number); // one write: whole, or not there
                }
              });
    }
  }
}
