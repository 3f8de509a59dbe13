package dev.gridtie.testkit;

/**
 * How large a test is: the same code runs small in every build, and large with {@code ./gridtie
 * test --long}.
 */
public final class Size {
  private Size() {}

  /**
   * The first number, or the second where the long suite was asked for ({@code
   * -Dgridtie.long=true}).
   */
  public static int of(int usually, int inTheLongSuite) {
    return Boolean.getBoolean("gridtie.long") ? inTheLongSuite : usually;
  }
}
