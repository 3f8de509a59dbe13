package dev.gridtie.gateway.nodes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Secret;
import dev.gridtie.grid.fleet.Admission.Decision;
import dev.gridtie.grid.link.Message.FromNode.Hello;
import dev.gridtie.ledger.Location;
import dev.gridtie.testkit.LocalPostgres;
import dev.gridtie.testkit.Seeded;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;

@ParameterizedClass
@ValueSource(booleans = {false, true})
class PoolsTest {
  private static final String ADA = "0x" + "aa".repeat(20);
  private static final String EVE = "0x" + "ee".repeat(20);

  @Parameter boolean onPostgres;
  @TempDir Path home;
  private Instant now = Instant.parse("2027-01-15T08:00:00Z");
  private KeyPair key;
  private PoolStore pools;
  private PoolAdmission admission;

  @BeforeEach
  void open() throws Exception {
    Location where =
        onPostgres
            ? new Location.OnPostgres(
                LocalPostgres.url(LocalPostgres.newDatabase()),
                LocalPostgres.USER,
                new Secret(LocalPostgres.PASSWORD),
                home.resolve("head"))
            : Location.in(home);
    key = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
    pools = PoolStore.open(where);
    admission = new PoolAdmission(pools, key.getPublic(), false, Set.of(ADA), () -> now);
    assertThat(pools.add(new Pool("ward", false, true, now, false))).isTrue();
  }

  @AfterEach
  void close() {
    pools.close();
  }

  private String invite(String id) {
    Instant expires = now.plus(Duration.ofDays(7));
    pools.add(new PoolStore.Kept(id, "ward", "for " + id, "", expires, false), now);
    return new Invitation(id, "ward", "https://gateway.example", expires)
        .signedBy(key.getPrivate());
  }

  private String decide(String node, String invitation) {
    Hello hello = new Hello(1, node, "0x" + "00".repeat(65), "", "", invitation, "", 1, 1, 1, 0);
    return switch (admission.decide(hello)) {
      case Decision.Admitted a -> "into " + a.pool() + (a.vouched() ? ", vouched" : "");
      case Decision.Refused r -> r.code();
    };
  }

  @Test
  void anInvitationIsForTheFirstWhoShowsIt() {
    String invitation = invite("inv-1");
    assertThat(decide(ADA, invitation)).isEqualTo("into ward, vouched");
    assertThat(decide(EVE, invitation)).isEqualTo("invitation_used");
    assertThat(decide(ADA, invitation)).isEqualTo("into ward, vouched");
    assertThat(admission.stillMember("ward", ADA)).isTrue();
    assertThat(admission.stillMember("ward", EVE)).isFalse();
  }

  @Test
  void itMustBeUsedInTimeButAMemberStaysOne() {
    String used = invite("inv-1");
    String late = invite("inv-2");
    assertThat(decide(ADA, used)).startsWith("into");
    now = now.plus(Duration.ofDays(8));
    assertThat(decide(EVE, late)).isEqualTo("invitation_expired");
    assertThat(decide(ADA, used)).startsWith("into");
  }

  @Test
  void whatWasRevokedOpensNothingAnyMore() {
    String invitation = invite("inv-1");
    assertThat(decide(ADA, invitation)).startsWith("into");
    assertThat(pools.revoke("ward", "for inv-1")).isEqualTo(1);
    assertThat(decide(ADA, invitation)).isEqualTo("invitation_used");
    assertThat(admission.stillMember("ward", ADA)).isFalse();
    assertThat(pools.revoke("ward", "for inv-1")).isZero();
  }

  @Test
  void aClosedPoolTakesNobodyAndKeepsNobody() {
    String invitation = invite("inv-1");
    assertThat(decide(ADA, invitation)).startsWith("into");
    assertThat(pools.close("ward")).isTrue();
    assertThat(decide(ADA, invitation)).isEqualTo("pool_closed");
    assertThat(admission.stillMember("ward", ADA)).isFalse();
  }

  @Test
  void whoeverIsNotInvitedIsTakenWhereTheGatewayIsOpenToAll() {
    assertThat(decide(EVE, "")).isEqualTo("invitation_required");
    assertThat(admission.stillMember("", EVE)).isFalse();
    admission = new PoolAdmission(pools, key.getPublic(), true, Set.of(), () -> now);
    assertThat(decide(EVE, "")).isEqualTo("into ");
    assertThat(admission.stillMember("", EVE)).isTrue();
  }

  @Test
  void theNodeOfTheGatewaysOwnHomeNeedsNoInvitation() {
    assertThat(decide(ADA, "")).isEqualTo("into ");
    assertThat(admission.stillMember("", ADA)).isTrue();
  }

  @Test
  void anInvitationThatWasBentOrSignedByAnotherIsNone() throws Exception {
    String invitation = invite("inv-1");
    KeyPair other = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
    String forged =
        new Invitation("inv-1", "ward", "https://gateway.example", now.plusSeconds(1))
            .signedBy(other.getPrivate());
    assertThat(decide(EVE, forged)).isEqualTo("invitation_invalid");
    Seeded.check(
        300,
        seeded -> {
          char[] bent = invitation.toCharArray();
          int at = seeded.below(bent.length - 1); // the last letter has bits that say nothing
          bent[at] = bent[at] == 'A' ? 'B' : 'A';
          assertThat(decide(EVE, new String(bent))).isEqualTo("invitation_invalid");
        });
    assertThat(Invitation.read(invitation).orElseThrow().gateway())
        .isEqualTo("https://gateway.example");
    for (String wrong : List.of("", "gtinv_", "gtinv_.", "gtinv_e30.e30", "x".repeat(5_000))) {
      assertThat(Invitation.read(wrong)).isEmpty();
    }
  }

  @Test
  void namesArePlain() {
    for (String wrong : List.of("", "-a", "A", "a b", "a".repeat(33), "ä")) {
      assertThatThrownBy(() -> new Pool(wrong, false, true, now, false))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }
}
