package dev.gridtie.ledger;

/**
 * Names an account: whose it is and in which asset. Written {@code asset/owner}, such as {@code
 * eip155:84532:0x036c…/payer:0xf39f…}.
 *
 * @param asset what is counted; amounts of different assets never meet
 * @param owner whose account, with its kind in front
 */
public record AccountId(String asset, String owner) implements Comparable<AccountId> {
  /** The longest name, in characters. */
  public static final int LENGTH_MAX = 256;

  public AccountId {
    if (!asset.matches("[!-.0-~]+") || !owner.matches("[!-.0-~]+")) {
      throw new IllegalArgumentException(
          "asset and owner are visible ASCII without a slash: " + asset + " " + owner);
    }
    if (asset.length() + 1 + owner.length() > LENGTH_MAX) {
      throw new IllegalArgumentException(
          "an account's name has at most " + LENGTH_MAX + " characters");
    }
  }

  /** Reads the written form. */
  public static AccountId of(String written) {
    int slash = written.indexOf('/');
    if (slash < 0) {
      throw new IllegalArgumentException("an account is written asset/owner: " + written);
    }
    return new AccountId(written.substring(0, slash), written.substring(slash + 1));
  }

  @Override
  public int compareTo(AccountId other) {
    return toString().compareTo(other.toString());
  }

  @Override
  public String toString() {
    return asset + "/" + owner;
  }
}
