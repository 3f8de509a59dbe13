package dev.gridtie.grid.fleet;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.model.Variant;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

class OfferTest {
  private static Grid.Offered model(String id, String pool, int pieces) {
    List<String> each = Collections.nCopies(pieces, "a".repeat(64));
    Variant weights = new Variant("Q8_0", "c".repeat(64), (long) pieces << 22, 1 << 22, each);
    Manifest manifest =
        new Manifest(id, "mit", "b".repeat(64), 4096, 1000, 1000, 2, 64, 32, List.of(weights));
    return new Grid.Offered(pool, new FromGateway.Offer.Wanted(manifest, 1024, ""));
  }

  @Test
  void whatNoNodeCouldBeToldIsRefusedBeforeAnyJoins() {
    Grid.Offered large = model("large", "", 70_000);
    Grid.Offered also = model("also", "", 70_000);
    assertThatCode(() -> Grid.requireFits(List.of(large))).doesNotThrowAnyException();
    assertThatThrownBy(() -> Grid.requireFits(List.of(large, also)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("comes to 9 MiB, and it takes 8: offer fewer models");
    Grid.Offered pooled = model("also", "ward", 70_000);
    assertThatThrownBy(() -> Grid.requireFits(List.of(large, pooled)))
        .as("a pool's nodes are offered everybody's too")
        .isInstanceOf(IllegalArgumentException.class);
    assertThatCode(() -> Grid.requireFits(List.of(pooled, model("more", "clinic", 70_000))))
        .as("no node is told of two pools")
        .doesNotThrowAnyException();
  }
}
