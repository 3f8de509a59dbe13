package dev.gridtie.x402.facilitator;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetAddress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whom a facilitator may ask about a resource. */
class OriginProofTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.8",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "fe80::1",
        "fc00::1",
        "fd12:3456::1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:a00:1::",
        "2001:db8::1",
        "ff02::1"
      })
  void anAddressThatIsNotPublicIsNotAsked(String address) throws Exception {
    assertThat(OriginProof.isPublic(InetAddress.getByName(address))).isFalse();
  }

  @ParameterizedTest
  @ValueSource(strings = {"1.1.1.1", "93.184.216.34", "100.63.0.1", "2606:4700::1111"})
  void aPublicAddressIsAsked(String address) throws Exception {
    assertThat(OriginProof.isPublic(InetAddress.getByName(address))).isTrue();
  }

  @Test
  void onlyWholeUrlsByHttpsAreAsked() {
    OriginProof proof = new OriginProof(false);
    assertThat(proof.url("https://api.example.com/v1/answer?x=1")).isPresent();
    for (String wrong :
        new String[] {
          "http://api.example.com/",
          "https://user:word@api.example.com/",
          "https://api.example.com/#part",
          "https:///answer",
          "file:///etc/passwd",
          "/answer",
          "https://api.example.com/a b",
          "https://api.example.com/" + "a".repeat(2048)
        }) {
      assertThat(proof.url(wrong)).as(wrong).isEmpty();
    }
    assertThat(new OriginProof(true).url("http://127.0.0.1:8080/answer")).isPresent();
  }
}
