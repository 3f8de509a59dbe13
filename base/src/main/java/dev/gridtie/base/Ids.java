package dev.gridtie.base;

import java.util.Arrays;
import java.util.HexFormat;
import java.util.random.RandomGenerator;

/** Identifiers of 128 bits: drawn from an injected source, or derived from a name. */
public final class Ids {
  private Ids() {}

  /** {@code prefix} and 32 hexadecimal digits. */
  public static String random(String prefix, RandomGenerator random) {
    return prefix
        + HexFormat.of().toHexDigits(random.nextLong())
        + HexFormat.of().toHexDigits(random.nextLong());
  }

  /** The first 128 bits of the SHA-256 of the name: the same name always gives the same id. */
  public static String derived(String name) {
    byte[] hash = Hashes.sha256(name.getBytes(java.nio.charset.StandardCharsets.UTF_8));
    return HexFormat.of().formatHex(Arrays.copyOf(hash, 16));
  }
}
