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
final class Names {
  /** Amounts are in 1e-12 dollars. */
  private static final int DECIMALS = 12;

  /** Which of the five kinds an account is of, by the kind of its owner. */
  private static final Map<String, String> ROOTS =
      Map.of(
          "custody", "Assets:Custody",
          "channels", "Assets:Channels",
          "payer", "Liabilities:Payer",
          "key", "Assets:Key",
          "revenue", "Income:Revenue",
          "losses", "Expenses:Losses");

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
    return "USD." + hash.toUpperCase(Locale.ROOT);
  }

  static String amount(BigInteger amount) {
    return new BigDecimal(amount, DECIMALS).toPlainString();
  }

  /** One line, without what would end a quoted text. */
  static String narration(String memo) {
    return memo.replaceAll("[\\p{Cntrl}\"\\\\]", " ");
  }
}
