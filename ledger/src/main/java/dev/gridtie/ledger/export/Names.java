package dev.gridtie.ledger.export;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.ledger.AccountId;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.Locale;
import java.util.Map;

/** How plain-text accounting names our accounts and assets, and writes our amounts. */
public final class Names {
  /** Dollars are counted in 1e-12; what is no dollar, in units of its own. */
  private static final int DOLLAR_DECIMALS = 12;

  /** Credits are counted in millionths. */
  private static final String CREDIT = "credit";

  private static final int CREDIT_DECIMALS = 6;

  /** A chain's own coin is counted in 1e-18, Solana's in 1e-9. */
  private static final String COIN_SUFFIX = ":coin";

  private static final int COIN_DECIMALS = 18;

  private static final int SOLANA_DECIMALS = 9;

  /** Which of the five kinds an account is of, by the kind of its owner. */
  private static final Map<String, String> ROOTS =
      Map.of(
          "custody", "Assets:Custody",
          "channels", "Assets:Channels",
          "payer", "Liabilities:Payer",
          "key", "Assets:Key",
          "revenue", "Income:Revenue",
          "losses", "Expenses:Losses",
          "cost", "Expenses:Cost",
          "payable", "Liabilities:Payable",
          "gas", "Expenses:Gas",
          "wallet", "Assets:Wallet");

  private Names() {}

  /** The same for the same account always; another for every other within an asset. */
  static String account(AccountId id) {
    String[] parts = id.owner().split(":", 2);
    String root = ROOTS.getOrDefault(parts[0], "Equity:X" + component(parts[0]));
    return parts.length == 1 ? root : root + ":" + component(parts[1]);
  }

  /** Letters, digits and dashes, the first a capital or a digit. */
  private static String component(String text) {
    String plain = text.replaceAll("[^A-Za-z0-9-]", "-");
    return plain.matches("[A-Z0-9].*") ? plain : "X" + plain;
  }

  /** A currency for each asset: what it is stands beside its declaration. */
  static String currency(String asset) {
    String hash = Hex.encode(Hashes.sha256(asset.getBytes(UTF_8))).substring(2, 12);
    String kind = asset.equals(CREDIT) ? "CREDIT." : asset.endsWith(COIN_SUFFIX) ? "COIN." : "USD.";
    return kind + hash.toUpperCase(Locale.ROOT);
  }

  /** An amount of an asset, in whole ones of it. */
  public static String amount(String asset, BigInteger amount) {
    return new BigDecimal(amount, decimals(asset)).toPlainString();
  }

  private static int decimals(String asset) {
    if (asset.equals(CREDIT)) {
      return CREDIT_DECIMALS;
    }
    if (!asset.endsWith(COIN_SUFFIX)) {
      return DOLLAR_DECIMALS;
    }
    return asset.startsWith("solana:") ? SOLANA_DECIMALS : COIN_DECIMALS;
  }

  /** One line, without what would end a quoted text. */
  static String narration(String memo) {
    return memo.replaceAll("[\\p{Cntrl}\"\\\\]", " ");
  }
}
