package dev.gridtie.gateway.account;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Ids;
import dev.gridtie.base.Secret;
import java.time.Instant;
import java.util.HexFormat;
import java.util.random.RandomGenerator;

/**
 * A key as it is kept: its hash, and enough of it to tell it from others.
 *
 * @param id of the key, which is no secret
 * @param hash SHA-256 of the key, hexadecimal: 256 random bits need no salt
 * @param label its beginning and end
 * @param revoked whether it opens nothing any more
 */
public record ApiKey(
    String id,
    String name,
    String hash,
    String label,
    KeyLimits limits,
    Instant created,
    boolean revoked) {

  /** How every key begins. */
  public static final String PREFIX = "gt-";

  private static final int RANDOM_BYTES = 32;

  /** A key and the one copy of its secret. */
  public record Fresh(ApiKey key, Secret secret) {}

  /** Makes a key. */
  public static Fresh create(String name, KeyLimits limits, Instant now, RandomGenerator random) {
    byte[] bytes = new byte[RANDOM_BYTES];
    random.nextBytes(bytes);
    String secret = PREFIX + HexFormat.of().formatHex(bytes);
    String label = secret.substring(0, 7) + "…" + secret.substring(secret.length() - 4);
    ApiKey key =
        new ApiKey(Ids.random("key-", random), name, hash(secret), label, limits, now, false);
    return new Fresh(key, new Secret(secret));
  }

  /** The hash under which a key is kept. */
  public static String hash(String secret) {
    return HexFormat.of().formatHex(Hashes.sha256(secret.getBytes(US_ASCII)));
  }
}
