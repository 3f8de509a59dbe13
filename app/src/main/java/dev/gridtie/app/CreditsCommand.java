package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.base.Numbers;
import dev.gridtie.gateway.till.Credits;
import dev.gridtie.gateway.till.GatewayTables;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.LedgerRefusal.RefusedException;
import dev.gridtie.ledger.Verifier;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

/** {@code gridtie credits}: what was earned by work for others. */
@Command(
    name = "credits",
    mixinStandardHelpOptions = true,
    description = {
      "Credits: what work is worth that was done for others. One credit is the work of a million tokens of Llama-3-70B,"
          + " 1.4e17 FLOP.",
      "A holder's own statement: ./gridtie ledger statement holder:NAME"
    },
    subcommands = {
      CreditsCommand.Mint.class,
      CreditsCommand.Transfer.class,
      CreditsCommand.Balance.class,
      CreditsCommand.Supplied.class
    })
final class CreditsCommand {
  private CreditsCommand() {}

  private static <T> T write(Main.HomeOption home, Database.Work<T> work) throws IOException {
    home.get().create();
    try (Database database =
        Database.open(home.get().ledger(), List.of(GatewayTables.MIGRATIONS))) {
      return database.writeOrRefuse(work);
    } catch (RefusedException e) {
      throw new Main.Failure("the ledger refuses: " + e.getMessage());
    }
  }

  /** {@code gridtie credits mint}. */
  @Command(
      name = "mint",
      mixinStandardHelpOptions = true,
      description = {
        "Mints credits for work that was verified: a JSON file with id, holder, flop and evidenceSha256.",
        "The same work again changes nothing. Beside a gateway this works on PostgreSQL; a file has one writer, so stop its"
            + " gateway first."
      })
  static final class Mint implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "FILE", description = "The verified work.")
    private Path file = Path.of("");

    @Override
    public Integer call() throws IOException {
      Credits.VerifiedWork work;
      try {
        JsonNode json = Json.parse(Files.readAllBytes(file));
        work =
            new Credits.VerifiedWork(
                String.valueOf(Json.text(json, "id")),
                String.valueOf(Json.text(json, "holder")),
                Numbers.uint256(String.valueOf(Json.text(json, "flop"))),
                String.valueOf(Json.text(json, "evidenceSha256")));
      } catch (Json.MalformedJsonException | IllegalArgumentException e) {
        throw new Main.Failure(
            file
                + " is no verified work, {\"id\", \"holder\", \"flop\", \"evidenceSha256\"}, all strings: "
                + e.getMessage());
      }
      BigInteger micro = write(home, (c, log) -> Credits.mint(c, log, work, Instant.now()));
      System.out.println(Credits.written(micro) + " credits for " + work.holder());
      return 0;
    }
  }

  /** {@code gridtie credits transfer}. */
  @Command(
      name = "transfer",
      mixinStandardHelpOptions = true,
      description = {
        "Gives a holder's credits to another. Holders do so by themselves with their key: POST /v1/credits/transfer."
      })
  static final class Transfer implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(index = "0", paramLabel = "FROM", description = "Whose.")
    private String from = "";

    @Parameters(index = "1", paramLabel = "TO", description = "To whom.")
    private String to = "";

    @Parameters(index = "2", paramLabel = "CREDITS", description = "How many: 1.5.")
    private String credits = "";

    @Option(
        names = "--id",
        required = true,
        paramLabel = "ID",
        description = "Names this transfer: the same again changes nothing.")
    private String id = "";

    @Override
    public Integer call() throws IOException {
      try {
        BigInteger micro = Credits.read(credits);
        boolean unused =
            write(
                home,
                (c, log) -> {
                  Credits.transfer(c, log, id, from, to, micro, Instant.now());
                  return true;
                });
        System.out.println(Credits.written(micro) + " credits from " + from + " to " + to);
        return 0;
      } catch (IllegalArgumentException e) {
        throw new Main.Failure(String.valueOf(e.getMessage()));
      }
    }
  }

  /** {@code gridtie credits balance}. */
  @Command(
      name = "balance",
      mixinStandardHelpOptions = true,
      description = "Prints what a holder may still spend.")
  static final class Balance implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "HOLDER", description = "Whose.")
    private String holder = "";

    @Override
    public Integer call() {
      try {
        BigInteger micro =
            Verifier.read(home.ledger(), c -> Credits.balance(new LedgerReader(c), holder));
        System.out.println(Credits.written(micro));
        return 0;
      } catch (IllegalArgumentException e) {
        throw new Main.Failure(String.valueOf(e.getMessage()));
      }
    }
  }

  /** {@code gridtie credits supply}. */
  @Command(
      name = "supply",
      mixinStandardHelpOptions = true,
      description = "Prints how many credits there are, and how they moved in the last 30 days.")
  static final class Supplied implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Override
    public Integer call() {
      LocalDate today = LocalDate.now(ZoneOffset.UTC);
      Credits.Supply s = Verifier.read(home.ledger(), c -> Credits.supply(c, today));
      System.out.printf("minted       %22s%n", Credits.written(s.minted()));
      System.out.printf("returned     %22s%n", Credits.written(s.returned()));
      System.out.printf("circulating  %22s%n", Credits.written(s.circulating()));
      System.out.printf("held         %22s%n", Credits.written(s.held()));
      System.out.printf(
          "turned over  %22s  in 30 days, %s times what circulates%n",
          Credits.written(s.turnedOver()), velocity(s));
      List<Credits.Day> days =
          Verifier.read(home.ledger(), c -> Credits.days(c, today.minusDays(29), today));
      for (Credits.Day day : days) {
        System.out.printf(
            "%s  minted %s, spent %s, given %s%n",
            day.day(),
            Credits.written(day.minted()),
            Credits.written(day.spent()),
            Credits.written(day.transferred()));
      }
      return 0;
    }

    private static String velocity(Credits.Supply s) {
      return s.circulating().signum() == 0
          ? "-"
          : new java.math.BigDecimal(s.turnedOver())
              .divide(
                  new java.math.BigDecimal(s.circulating()), 3, java.math.RoundingMode.HALF_EVEN)
              .toPlainString();
    }
  }
}
