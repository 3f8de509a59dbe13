package dev.gridtie.ledger.export;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Ids;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Store;
import dev.gridtie.ledger.Verifier;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

@ParameterizedClass
@EnumSource(Store.class)
class ExportTest {
  private static final Instant NOW = Instant.parse("2027-01-15T08:00:00Z");
  private static final String ASSET = "eip155:84532:0x036c";
  private static final AccountId CUSTODY = new AccountId(ASSET, "custody:0xaa");
  private static final AccountId PAYER = new AccountId(ASSET, "payer:0xbb");
  private static final AccountId REVENUE = new AccountId(ASSET, "revenue");

  @Parameter Store store;

  @TempDir Path home;

  private Location where;

  @BeforeEach
  void say() {
    where = store.in(home);
    try (Database database = Database.open(where, List.of())) {
      BigInteger dollar = BigInteger.TEN.pow(12);
      boolean unused =
          database.write(
              (c, log) -> {
                for (AccountId id : List.of(CUSTODY, PAYER, REVENUE)) {
                  log.ensureOpen(id, id.equals(PAYER), NOW);
                }
                log.apply(
                    new Entry.Transfer(Ids.derived("1"), NOW, CUSTODY, PAYER, dollar, "paid 0x1"));
                Entry.Hold hold =
                    new Entry.Hold(Ids.derived("2"), NOW, PAYER, REVENUE, BigInteger.TWO, "quote");
                log.apply(hold);
                log.apply(
                    new Entry.Post(
                        Ids.derived("3"),
                        NOW.plusSeconds(86_400),
                        hold.id(),
                        BigInteger.ONE,
                        "=1+1 \"quoted\" \\ line\nend"));
                Entry.Hold freed =
                    new Entry.Hold(Ids.derived("4"), NOW, PAYER, REVENUE, BigInteger.TEN, "quote");
                log.apply(freed);
                log.apply(new Entry.Release(Ids.derived("5"), NOW, freed.id(), "gone"));
                return true;
              });
    }
  }

  private String exported(Export format) {
    StringBuilder out = new StringBuilder();
    long count =
        Verifier.read(
            where,
            c -> {
              try {
                return format.write(c, out, ignored -> {});
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
    assertThat(count).isEqualTo(5);
    return out.toString();
  }

  @Test
  void commaSeparatedHasEveryMovementAndNoFormula() {
    String[] lines = exported(Export.CSV).split("\r\n", -1);
    assertThat(lines[0]).isEqualTo("entry,id,time,kind,debit,credit,asset,posted,pending,memo");
    assertThat(lines[1])
        .isEqualTo(
            "4,"
                + Ids.derived("1")
                + ",2027-01-15T08:00:00Z,transfer,\"custody:0xaa\",\"payer:0xbb\",\""
                + ASSET
                + "\",1.000000000000,0.000000000000,\"paid 0x1\"");
    assertThat(lines[2]).contains(",hold,", ",0.000000000000,0.000000000002,");
    assertThat(lines[3])
        .contains(",post,", ",0.000000000001,-0.000000000002,")
        .endsWith("\"'=1+1 \"\"quoted\"\" \\ line end\"");
    assertThat(lines[5]).contains(",release,", ",0.000000000000,-0.000000000010,");
    assertThat(lines).hasSize(7);
  }

  @Test
  void beancountHasWhatIsPosted() {
    String currency = Names.currency(ASSET);
    assertThat(currency).matches("USD\\.[0-9A-F]{10}");
    assertThat(exported(Export.BEANCOUNT))
        .isEqualTo(
            """
            option "title" "Gridtie"

            2027-01-15 commodity USD
              asset: "eip155:84532:0x036c"
            2027-01-15 open Assets:Custody:0xaa
            2027-01-15 open Income:Revenue
            2027-01-15 open Liabilities:Payer:0xbb

            2027-01-15 * "paid 0x1"
              entry: "ID1"
              Assets:Custody:0xaa  1.000000000000 USD
              Liabilities:Payer:0xbb  -1.000000000000 USD

            2027-01-16 * "=1+1  quoted    line end"
              entry: "ID3"
              Liabilities:Payer:0xbb  0.000000000001 USD
              Income:Revenue  -0.000000000001 USD
            """
                .replace("USD", currency)
                .replace("ID1", Ids.derived("1"))
                .replace("ID3", Ids.derived("3")));
  }

  @Test
  void ledgerHasTheSame() {
    String currency = "\"" + Names.currency(ASSET) + "\"";
    assertThat(exported(Export.LEDGER))
        .contains("commodity " + currency + "\naccount Assets:Custody:0xaa\n")
        .contains(
            "\n2027-01-16 * =1+1  quoted    line end\n    ; entry: "
                + Ids.derived("3")
                + "\n    Liabilities:Payer:0xbb  0.000000000001 "
                + currency
                + "\n    Income:Revenue  -0.000000000001 "
                + currency
                + "\n");
  }

  @Test
  void accountsHaveNamesThatTheseProgramsTake() {
    for (String owner :
        List.of(
            "payer:0xf39f",
            "payer:oQPnhXAbLbMuKHESaGrbXT17CyvWCpLyERSJA9HCYd7",
            "key:key-abc_def",
            "somebody:with.dots",
            "pool")) {
      assertThat(Names.account(new AccountId(ASSET, owner)))
          .matches("(Assets|Liabilities|Equity)(:[A-Z0-9][A-Za-z0-9-]*)+");
    }
  }
}
