package dev.gridtie.base;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class HashesTest {
  @Test
  void keccakIsEthereumsNotFips202() {
    assertThat(Hex.encode(Hashes.keccak256()))
        .isEqualTo("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  }

  @Test
  void sha256OfParts() {
    assertThat(Hashes.sha256("ab".getBytes(UTF_8), "c".getBytes(UTF_8)))
        .isEqualTo(
            Hex.decode("0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  }

  @Test
  void hexRefusesWhatIsNotHex() {
    assertThatThrownBy(() -> Hex.decode("ab")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> Hex.decode("0xabc")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> Hex.decode("0xzz")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> Hex.decode("0xab", 2)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void derivedIdsRepeat() {
    assertThat(Ids.derived("a"))
        .isEqualTo(Ids.derived("a"))
        .hasSize(32)
        .isNotEqualTo(Ids.derived("b"));
  }
}
