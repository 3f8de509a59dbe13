package dev.gridtie.gateway.nodes;

import java.time.Instant;

/**
 * A private pool of nodes.
 *
 * @param shared whether what its nodes earn is the pool's, rather than each node's own
 * @param vouched whether its operator vouches for its members, so that they are paid at once
 * @param closed whether nobody may join or work for it any more
 */
public record Pool(String name, boolean shared, boolean vouched, Instant created, boolean closed) {
  public Pool {
    if (!name.matches("[a-z0-9][a-z0-9-]{0,31}")) {
      throw new IllegalArgumentException(
          "a pool's name has 1 to 32 of a-z, 0-9 and -, not at its beginning: " + name);
    }
  }

  /** Whose credits a shared pool's are. */
  public String holder() {
    return "pool:" + name;
  }
}
