package dev.gridtie.ledger.log;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MerkleTest {
  /** The leaves with which certificate transparency's implementations are tested, and the roots. */
  private static final List<String> LEAVES =
      List.of(
          "",
          "00",
          "10",
          "2021",
          "3031",
          "40414243",
          "5051525354555657",
          "606162636465666768696a6b6c6d6e6f");

  private static final List<String> ROOTS =
      List.of(
          "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
          "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
          "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
          "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
          "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
          "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
          "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");

  private static byte[] hex(String text) {
    return HexFormat.of().parseHex(text);
  }

  private static List<byte[]> hashes(int size) {
    List<byte[]> hashes = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      hashes.add(Merkle.leaf(new byte[] {(byte) i, (byte) (i >> 8)}));
    }
    return hashes;
  }

  private static Merkle.Subtrees tree(List<byte[]> leaves) {
    return new Merkle.Subtrees() {
      @Override
      public byte[] at(int level, long index) {
        return level == 0
            ? leaves.get((int) index)
            : Merkle.node(at(level - 1, 2 * index), at(level - 1, 2 * index + 1));
      }
    };
  }

  @Test
  void rootsAreThoseOfCertificateTransparency() {
    List<byte[]> leaves = LEAVES.stream().map(l -> Merkle.leaf(hex(l))).toList();
    Merkle.Frontier growing = new Merkle.Frontier();
    assertThat(growing.root())
        .isEqualTo(hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    for (int i = 0; i < leaves.size(); i++) {
      growing.add(leaves.get(i));
      assertThat(growing.root()).isEqualTo(hex(ROOTS.get(i)));
      assertThat(Merkle.root(i + 1, tree(leaves))).isEqualTo(hex(ROOTS.get(i)));
    }
  }

  @Test
  void everyLeafIsProvedAndNoOther() {
    for (int size = 1; size <= 40; size++) {
      List<byte[]> leaves = hashes(size);
      byte[] root = Merkle.root(size, tree(leaves));
      for (int i = 0; i < size; i++) {
        List<byte[]> proof = Merkle.inclusion(i, size, tree(leaves));
        assertThat(Merkle.isIncluded(leaves.get(i), i, size, proof, root)).isTrue();
        for (int other = 0; other < size; other++) {
          assertThat(Merkle.isIncluded(leaves.get(other), i, size, proof, root))
              .isEqualTo(other == i);
        }
        List<byte[]> longer = new ArrayList<>(proof);
        longer.add(root);
        assertThat(Merkle.isIncluded(leaves.get(i), i, size, longer, root)).isFalse();
        for (int k = 0; k < proof.size(); k++) {
          List<byte[]> changed = new ArrayList<>(proof);
          changed.set(k, flipped(proof.get(k)));
          assertThat(Merkle.isIncluded(leaves.get(i), i, size, changed, root)).isFalse();
          assertThat(Merkle.isIncluded(leaves.get(i), i, size, proof.subList(0, k), root))
              .isFalse();
        }
      }
      assertThat(Merkle.isIncluded(leaves.getFirst(), size, size, List.of(), root)).isFalse();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 5, 8, 13, 32, 40})
  void everyLargerTreeIsProvedToBeginWithEachSmallerAndWithNothingElse(int size) {
    byte[] root = Merkle.root(size, tree(hashes(size)));
    for (int before = 1; before <= size; before++) {
      byte[] old = Merkle.root(before, tree(hashes(before)));
      List<byte[]> proof = Merkle.consistency(before, size, tree(hashes(size)));
      assertThat(Merkle.isConsistent(before, old, size, root, proof)).isTrue();
      assertThat(Merkle.isConsistent(before, flipped(old), size, root, proof)).isFalse();
      assertThat(Merkle.isConsistent(before, old, size, flipped(root), proof)).isFalse();
      for (int k = 0; k < proof.size(); k++) {
        List<byte[]> changed = new ArrayList<>(proof);
        changed.set(k, flipped(proof.get(k)));
        assertThat(Merkle.isConsistent(before, old, size, root, changed)).isFalse();
        assertThat(Merkle.isConsistent(before, old, size, root, proof.subList(0, k))).isFalse();
      }
    }
    assertThat(Merkle.isConsistent(size + 1, root, size, root, List.of())).isFalse();
    assertThatThrownBy(() -> Merkle.consistency(size + 1, size, tree(hashes(size))))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static byte[] flipped(byte[] hash) {
    byte[] other = hash.clone();
    other[7] ^= 1;
    return other;
  }
}
