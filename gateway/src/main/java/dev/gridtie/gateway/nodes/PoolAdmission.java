package dev.gridtie.gateway.nodes;

import dev.gridtie.grid.fleet.Admission;
import dev.gridtie.grid.link.Message.FromNode.Hello;
import dev.gridtie.ledger.StoreException;
import java.security.PublicKey;
import java.time.InstantSource;
import java.util.Optional;

/** Lets nodes into pools that have invited them, and others where the gateway is open to all. */
public final class PoolAdmission implements Admission {
  private final PoolStore pools;
  private final PublicKey key;
  private final boolean openToAll;
  private final InstantSource clock;

  /**
   * @param key that this gateway's invitations are signed with
   */
  public PoolAdmission(PoolStore pools, PublicKey key, boolean openToAll, InstantSource clock) {
    this.pools = pools;
    this.key = key;
    this.openToAll = openToAll;
    this.clock = clock;
  }

  @Override
  public Decision decide(Hello hello) {
    if (hello.invitation().isEmpty()) {
      return openToAll
          ? new Decision.Admitted("", false)
          : new Decision.Refused(
              "invitation_required",
              "this gateway takes invited nodes only; its operator makes invitations with gridtie"
                  + " pool invite");
    }
    Optional<Invitation> invitation = Invitation.verified(hello.invitation(), key);
    if (invitation.isEmpty()) {
      return new Decision.Refused(
          "invitation_invalid", "this invitation was not signed by this gateway");
    }
    try {
      return decide(invitation.get(), hello.address());
    } catch (StoreException e) {
      System.err.println("gridtie: " + e.getMessage());
      return new Decision.Refused("later", "the gateway cannot look at its pools now; try again");
    }
  }

  private Decision decide(Invitation invitation, String node) {
    Optional<Pool> pool = pools.find(invitation.pool()).filter(p -> !p.closed());
    if (pool.isEmpty()) {
      return new Decision.Refused("pool_closed", "the pool of this invitation is closed");
    }
    boolean member = pools.isMember(invitation.pool(), node);
    if (!member && clock.instant().isAfter(invitation.expires())) {
      return new Decision.Refused(
          "invitation_expired", "this invitation was not used in time; ask for another");
    }
    if (!pools.bind(invitation.id(), node)) {
      return new Decision.Refused(
          "invitation_used", "this invitation was revoked, or is another node's");
    }
    return new Decision.Admitted(pool.get().name(), pool.get().vouched());
  }

  @Override
  public boolean stillMember(String pool, String address) {
    try {
      return pool.isEmpty() ? openToAll : pools.isMember(pool, address);
    } catch (StoreException e) {
      return true; // not known now: whoever was let in stays in
    }
  }
}
