package dev.gridtie.grid.fleet;

import dev.gridtie.grid.link.Message.FromNode.Hello;

/** Says whether a node that has proven its address may join, and what for. May block. */
public interface Admission {
  /** What comes of it. */
  sealed interface Decision {
    /**
     * It may.
     *
     * @param pool empty for the public one
     * @param vouched whether the pool's operator vouches for its members' work
     */
    record Admitted(String pool, boolean vouched) implements Decision {}

    /** It may not. */
    record Refused(String code, String message) implements Decision {}
  }

  Decision decide(Hello hello);

  /** Whether a member that was admitted still is one. */
  boolean stillMember(String pool, String address);
}
