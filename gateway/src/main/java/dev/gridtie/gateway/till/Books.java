package dev.gridtie.gateway.till;

import dev.gridtie.base.Json;
import dev.gridtie.ledger.AccountId;
import dev.gridtie.ledger.Movement;
import dev.gridtie.ledger.export.Names;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.util.Map;
import java.util.TreeMap;
import tools.jackson.databind.node.ObjectNode;

/**
 * The operator's books over a part of the log: what each kind of account was debited and credited,
 * by asset, and what is open at the end.
 *
 * @param fromSeq the last entry before
 * @param untilSeq the last entry counted
 * @param givenFirst in 1e-12 dollars, what answers come to that were given before their payment,
 *     which is not on its chain yet
 * @param kinds by asset and kind of account: {@code payer}, {@code revenue}, {@code cost}…
 */
public record Books(
    long fromSeq, long untilSeq, Map<String, Map<String, Sums>> kinds, BigInteger givenFirst) {
  /**
   * Of all accounts of a kind.
   *
   * @param debits in these entries
   * @param credits in these entries
   * @param balance credits less debits, ever
   * @param held of their debits, at the end
   */
  public record Sums(BigInteger debits, BigInteger credits, BigInteger balance, BigInteger held) {
    static final Sums NONE =
        new Sums(BigInteger.ZERO, BigInteger.ZERO, BigInteger.ZERO, BigInteger.ZERO);

    Sums plus(BigInteger debited, BigInteger credited, BigInteger pending, boolean counts) {
      return new Sums(
          counts ? debits.add(debited) : debits,
          counts ? credits.add(credited) : credits,
          balance.add(credited).subtract(debited),
          held.add(pending));
    }
  }

  /** Ends the reading of the log early. */
  private static final class Over extends Exception {
    private static final long serialVersionUID = 1L;
  }

  private static String kind(AccountId id) {
    int colon = id.owner().indexOf(':');
    return colon < 0 ? id.owner() : id.owner().substring(0, colon);
  }

  /**
   * Counts the entries after one, up to another, as far as they are earlier than an instant.
   *
   * @param fromSeq those up to it are in the balances alone
   */
  public static Books of(Connection c, long fromSeq, long untilSeq, Instant before)
      throws SQLException {
    Map<String, Map<String, Sums>> kinds = new TreeMap<>();
    long[] last = {fromSeq};
    try {
      Movement.<Over>forEach(
          c,
          m -> {
            boolean counts = m.seq() > fromSeq;
            if (counts && (m.seq() > untilSeq || !m.entry().time().isBefore(before))) {
              throw new Over();
            }
            last[0] = Math.max(last[0], m.seq());
            Map<String, Sums> asset =
                kinds.computeIfAbsent(m.between().debit().asset(), a -> new TreeMap<>());
            asset.merge(
                kind(m.between().debit()),
                Sums.NONE.plus(m.posted(), BigInteger.ZERO, m.pending(), counts),
                Books::sum);
            asset.merge(
                kind(m.between().credit()),
                Sums.NONE.plus(BigInteger.ZERO, m.posted(), BigInteger.ZERO, counts),
                Books::sum);
          });
    } catch (Over e) {
      // What comes later is not counted.
    }
    return new Books(fromSeq, last[0], kinds, due(c));
  }

  private static BigInteger due(Connection c) throws SQLException {
    BigInteger sum = BigInteger.ZERO;
    try (PreparedStatement select = c.prepareStatement("SELECT due FROM draft");
        ResultSet row = select.executeQuery()) {
      while (row.next()) {
        sum = sum.add(new BigInteger(row.getString(1)));
      }
    }
    return sum;
  }

  private static Sums sum(Sums a, Sums b) {
    return new Sums(
        a.debits().add(b.debits()),
        a.credits().add(b.credits()),
        a.balance().add(b.balance()),
        a.held().add(b.held()));
  }

  /** Over all assets that are dollars, in 1e-12: what a kind earned, less what it gave back. */
  public BigInteger dollars(String kind) {
    BigInteger sum = BigInteger.ZERO;
    for (var asset : kinds.entrySet()) {
      if (isDollars(asset.getKey())) {
        Sums sums = asset.getValue().getOrDefault(kind, Sums.NONE);
        sum = sum.add(sums.credits()).subtract(sums.debits());
      }
    }
    return sum;
  }

  /** What is open at the end, over all dollars: balances of a kind. */
  public BigInteger open(String kind) {
    BigInteger sum = BigInteger.ZERO;
    for (var asset : kinds.entrySet()) {
      if (isDollars(asset.getKey())) {
        sum = sum.add(asset.getValue().getOrDefault(kind, Sums.NONE).balance());
      }
    }
    return sum;
  }

  private static boolean isDollars(String asset) {
    return !asset.equals(Credits.ASSET) && !asset.endsWith(Expenses.COIN_SUFFIX);
  }

  /** Revenue less what providers are owed for it, in 1e-12 dollars. */
  public BigInteger margin() {
    return dollars("revenue").add(dollars("cost")).add(dollars("losses"));
  }

  /** The margin, in per cent of revenue, with two decimals; 0 where there was none. */
  public BigDecimal marginPercent() {
    BigInteger revenue = dollars("revenue");
    return revenue.signum() == 0
        ? BigDecimal.ZERO
        : new BigDecimal(margin())
            .multiply(BigDecimal.valueOf(100))
            .divide(new BigDecimal(revenue), 2, RoundingMode.HALF_EVEN);
  }

  /**
   * What was given or promised and is not in custody yet: on channels, owed by keys, and answers
   * that were given before their payment.
   */
  public BigInteger unsettled() {
    return open("channels").add(open("key")).negate().add(givenFirst);
  }

  /** As a document, amounts in whole dollars, credits and coins, as texts. */
  public ObjectNode toJson() {
    ObjectNode json = Json.object();
    json.put("fromEntry", fromSeq + 1);
    json.put("untilEntry", untilSeq);
    ObjectNode assets = json.putObject("assets");
    kinds.forEach(
        (asset, accounts) -> {
          ObjectNode of = assets.putObject(asset);
          accounts.forEach(
              (kind, sums) -> {
                ObjectNode row = of.putObject(kind);
                row.put("debits", Names.amount(asset, sums.debits()));
                row.put("credits", Names.amount(asset, sums.credits()));
                row.put("balance", Names.amount(asset, sums.balance()));
                row.put("held", Names.amount(asset, sums.held()));
              });
        });
    ObjectNode dollars = json.putObject("dollars");
    dollars.put("revenue", Names.amount("usd", dollars("revenue")));
    dollars.put("providerCost", Names.amount("usd", dollars("cost").negate()));
    dollars.put("losses", Names.amount("usd", dollars("losses").negate()));
    dollars.put("margin", Names.amount("usd", margin()));
    dollars.put("marginPercent", marginPercent().toPlainString());
    dollars.put("unsettled", Names.amount("usd", unsettled()));
    dollars.put("payable", Names.amount("usd", open("payable")));
    dollars.put("owedToPayers", Names.amount("usd", open("payer")));
    return json;
  }
}
