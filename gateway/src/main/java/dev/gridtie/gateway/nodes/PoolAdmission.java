package dev.gridtie.gateway.nodes;

import dev.gridtie.grid.fleet.Admission;
import dev.gridtie.grid.link.Message.FromNode.Hello;
import dev.gridtie.ledger.StoreException;
import java.security.PublicKey;
import java.time.InstantSource;
import java.util.Optional;
import java.util.Set;

/**
 * Lets nodes into pools that have invited them; besides them the operator's own, and others only
 * where the gateway is open to all.
 */
public final class PoolAdmission implements Admission {
  private final PoolStore pools;
  private final PublicKey key;
  private final boolean openToAll;
  private final Set<String> own;
  private final InstantSource clock;

  /**
   * @param key that this gateway's invitations are signed with
   * @param own addresses of nodes whose keys lie in this gateway's home: who runs them runs it
   */
  public PoolAdmission(
      PoolStore pools, PublicKey key, boolean openToAll, Set<String> own, InstantSource clock) {
    this.pools = pools;
    this.key = key;
    this.openToAll = openToAll;
    this.own = Set.copyOf(own);
    this.clock = clock;
  }

  @Override
  public Decision decide(Hello hello) {
    if (hello.invitation().isEmpty()) {
      return isOpenTo(hello.address())
          ? new Decision.Admitted("", false)
          : new Decision.Refused(
              "invitation_required",
              "this gateway takes only nodes that its operator has invited: ask for an invitation"
                  + " (the operator makes one with gridtie pool invite POOL) and start with gridtie"
                  + " node --invitation gtinv_…; the operator's own node on the gateway's machine"
                  + " needs none if it uses the gateway's home (--home)");
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

  private boolean isOpenTo(String node) {
    return openToAll || own.contains(node);
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
      return pool.isEmpty() ? isOpenTo(address) : pools.isMember(pool, address);
    } catch (StoreException e) {
      return true; // not known now: whoever was let in stays in
    }
  }
}
