package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.till.Books;
import dev.gridtie.gateway.till.Closing;
import dev.gridtie.gateway.till.Expenses;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import java.time.Instant;
import java.time.LocalDate;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;

/** {@code gridtie ledger books}. */
@Command(
    name = "books",
    mixinStandardHelpOptions = true,
    description = {
      "Prints the operator's books: revenue, what providers are owed for it, losses, margin, gas, and what is unsettled.",
      "Without --day, everything up to now. With it, that day as it was closed (UTC): a gateway closes each day five"
          + " minutes after its end, and the closing's hash stands in the log."
    })
final class OperatorBooks implements Callable<Integer> {
  @Mixin private Main.HomeOption home = new Main.HomeOption();

  @Option(names = "--day", paramLabel = "DAY", description = "A closed day: 2027-01-15.")
  private @Nullable LocalDate day;

  @Option(names = "--json", description = "Print the closing's document, canonical JSON.")
  private boolean asJson;

  @Override
  public Integer call() throws Json.MalformedJsonException {
    Location where = home.ledger();
    String json;
    LocalDate named = day;
    if (named == null) {
      Books books =
          Verifier.read(where, c -> Books.of(c, 0, new LedgerReader(c).size(), Instant.MAX));
      json = Json.canonical(books.toJson());
    } else {
      Optional<Closing.Closed> closed = Verifier.read(where, c -> Closing.of(c, named));
      json =
          closed
              .orElseThrow(
                  () ->
                      new Main.Failure(
                          named
                              + " is not closed: it is not over, nothing happened on it, or no gateway has run since"))
              .json();
    }
    if (asJson) {
      System.out.println(json);
    } else {
      print(Json.trusted(json));
    }
    return 0;
  }

  private static void print(JsonNode books) {
    System.out.printf(
        "entries %d to %d%n",
        books.path("fromEntry").asLong(0), books.path("untilEntry").asLong(0));
    JsonNode dollars = books.path("dollars");
    line("revenue", dollars, "revenue");
    line("provider cost", dollars, "providerCost");
    line("losses", dollars, "losses");
    line("margin", dollars, "margin");
    System.out.printf(
        "%-22s %24s%n", "margin, per cent", dollars.path("marginPercent").asString(""));
    line("unsettled", dollars, "unsettled");
    line("owed to providers", dollars, "payable");
    line("payers' balances", dollars, "owedToPayers");
    books
        .path("assets")
        .properties()
        .forEach(
            asset -> {
              JsonNode gas = asset.getValue().path("gas");
              if (asset.getKey().endsWith(Expenses.COIN_SUFFIX) && !gas.isMissingNode()) {
                System.out.printf(
                    "%-22s %24s  %s%n", "gas", gas.path("debits").asString(""), asset.getKey());
              }
            });
  }

  private static void line(String name, JsonNode dollars, String key) {
    System.out.printf("%-22s %24s  USD%n", name, dollars.path(key).asString(""));
  }
}
