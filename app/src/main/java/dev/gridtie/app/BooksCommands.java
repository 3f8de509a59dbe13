package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.gateway.receipts.Receipts;
import dev.gridtie.ledger.Account;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Movement;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.ledger.export.Export;
import dev.gridtie.ledger.export.Names;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code gridtie ledger show|balance|statement|export}: the books, beside a running gateway. */
final class BooksCommands {
  private BooksCommands() {}

  /** {@code gridtie ledger show}. */
  @Command(
      name = "show",
      mixinStandardHelpOptions = true,
      description = "Prints an entry: its number in the log and its canonical text.")
  static final class Show implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(
        paramLabel = "ID",
        description = "An entry's id (32 hexadecimal digits), or a receipt's (rcpt-…).")
    private String id = "";

    private record Found(long seq, Entry entry) {}

    @Override
    public Integer call() {
      String entry = id.startsWith("rcpt-") ? Receipts.entryId(id) : id;
      Optional<Found> found =
          Verifier.read(
              home.ledger(),
              c -> {
                LedgerReader log = new LedgerReader(c);
                Optional<Entry> one = log.entry(entry);
                return one.isEmpty()
                    ? Optional.empty()
                    : Optional.of(new Found(log.position(entry).orElseThrow(), one.get()));
              });
      Found one = found.orElseThrow(() -> new Main.Failure("the ledger has no entry " + entry));
      System.out.println("entry  " + one.seq());
      System.out.println(one.entry().canonical());
      return 0;
    }
  }

  /** {@code gridtie ledger balance}. */
  @Command(
      name = "balance",
      mixinStandardHelpOptions = true,
      description = {
        "Prints the accounts and what is on them, in dollars, credits or coins: credits less debits, and what is held of it.",
        "An account that others' money stands on for us (custody, channels) has a negative balance."
      })
  static final class Balance implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(
        arity = "0..1",
        paramLabel = "TEXT",
        description = "Only accounts whose name has this in it, such as payer: or an address.")
    private String text = "";

    @Override
    public Integer call() {
      List<Account> accounts = Verifier.read(home.ledger(), c -> new LedgerReader(c).accounts());
      System.out.printf("%24s %24s  %s%n", "balance", "held", "account");
      for (Account a : accounts) {
        if (a.id().toString().contains(text)) {
          System.out.printf(
              "%24s %24s  %s%n",
              Names.amount(a.id().asset(), a.balance()),
              Names.amount(a.id().asset(), a.debitsPending()),
              a.id());
        }
      }
      return 0;
    }
  }

  /** {@code gridtie ledger statement}. */
  @Command(
      name = "statement",
      mixinStandardHelpOptions = true,
      description = {
        "Prints what has moved on an account, with the balance after each line.",
        "Holds are lines too: they change what is held, not the balance."
      })
  static final class Statement implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(
        paramLabel = "ACCOUNT",
        description = "Its name, as balance prints it, or an end of it that no other has.")
    private String account = "";

    @Option(names = "--from", paramLabel = "DAY", description = "The first day, UTC: 2027-01-15.")
    private @Nullable LocalDate from;

    @Option(names = "--to", paramLabel = "DAY", description = "The last day, UTC.")
    private @Nullable LocalDate to;

    @Override
    public Integer call() {
      Location file = home.ledger();
      AccountId id = only(Verifier.read(file, c -> new LedgerReader(c).accounts()));
      Instant since = from == null ? Instant.MIN : from.atStartOfDay(ZoneOffset.UTC).toInstant();
      Instant until =
          to == null ? Instant.MAX : to.plusDays(1).atStartOfDay(ZoneOffset.UTC).toInstant();
      BigInteger[] sums = {BigInteger.ZERO, BigInteger.ZERO}; // balance, held
      System.out.println(id);
      System.out.printf(
          "%-24s %-8s %22s %22s %22s  %s%n", "time", "kind", "moved", "balance", "held", "memo");
      boolean unused =
          Verifier.read(
              file,
              c -> {
                Movement.<RuntimeException>forEach(c, m -> line(m, id, since, until, sums));
                return true;
              });
      return 0;
    }

    private static String amount(AccountId id, BigInteger amount) {
      return Names.amount(id.asset(), amount);
    }

    private AccountId only(List<Account> all) {
      List<AccountId> named =
          all.stream()
              .map(Account::id)
              .filter(a -> a.toString().equals(account) || a.toString().endsWith(account))
              .toList();
      if (named.size() != 1) {
        throw new Main.Failure(
            named.isEmpty()
                ? "there is no account " + account + "; ./gridtie ledger balance lists them"
                : account + " could be any of " + named);
      }
      return named.getFirst();
    }

    private static void line(
        Movement m, AccountId id, Instant since, Instant until, BigInteger[] sums) {
      boolean debit = m.between().debit().equals(id);
      if (!debit && !m.between().credit().equals(id)) {
        return;
      }
      BigInteger moved = debit ? m.posted().negate() : m.posted();
      sums[0] = sums[0].add(moved);
      sums[1] = debit ? sums[1].add(m.pending()) : sums[1];
      Instant time = m.entry().time();
      if (!time.isBefore(since) && time.isBefore(until)) {
        System.out.printf(
            "%-24s %-8s %22s %22s %22s  %s%n",
            time, m.kind(), amount(id, moved), amount(id, sums[0]), amount(id, sums[1]), m.memo());
      }
    }
  }

  /** {@code gridtie ledger export}. */
  @Command(
      name = "export",
      mixinStandardHelpOptions = true,
      description = {
        "Writes the books for other programs: csv (everything, holds too), beancount, or ledger (ledger-cli,"
            + " hledger).",
        "Each asset is a currency of its own, named USD. and ten digits; what it is stands beside its declaration."
      })
  static final class Exported implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Option(
        names = "--format",
        required = true,
        paramLabel = "FORMAT",
        description = "${COMPLETION-CANDIDATES}, in lower case if you like.")
    private Export format = Export.CSV;

    @Option(
        names = {"-o", "--out"},
        paramLabel = "FILE",
        description = "Where to; never over another file. Default: standard output.")
    private @Nullable Path out;

    @Override
    public Integer call() throws IOException {
      Location file = home.ledger();
      long count;
      if (out == null) {
        PrintStream to = System.out;
        count = write(file, to);
        to.flush();
      } else if (Files.exists(out)) {
        throw new Main.Failure(out + " is there already; choose another --out");
      } else {
        try (Writer to = Files.newBufferedWriter(out, UTF_8)) {
          count = write(file, to);
        }
      }
      System.err.println(count + " movements");
      return 0;
    }

    private long write(Location file, Appendable to) {
      Progress progress =
          new Progress("entries", Verifier.read(file, c -> new LedgerReader(c).size()));
      long count =
          Verifier.read(
              file,
              c -> {
                try {
                  return format.write(c, to, out == null ? ignored -> {} : progress::show);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              });
      progress.end();
      return count;
    }
  }
}
