package dev.gridtie.gateway.catalog;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.wire.chat.Usage;
import java.math.BigInteger;
import java.util.List;
import org.junit.jupiter.api.Test;

class CatalogTest {
  private static Model model(String id) {
    return new Model(id, id, "", 0, 256, List.of());
  }

  @Test
  void theNearestNameIsTheOneFewestEditsAway() {
    Catalog catalog = new Catalog(List.of(model("gridtie/tiny"), model("other/large")));
    assertThat(catalog.nearest("gridtie/tinny")).contains("gridtie/tiny");
    assertThat(catalog.nearest("LARGE")).contains("other/large");
    assertThat(catalog.nearest("x".repeat(1_000_000))).isPresent();
    assertThat(new Catalog(List.of()).nearest("x")).isEmpty();
  }

  @Test
  void aModelOfferedTwiceIsRefusedAndTheOldOnesStay() {
    assertThatThrownBy(() -> new Catalog(List.of(model("a"), model("a"))))
        .hasMessageContaining("twice");
    Catalog catalog = new Catalog(List.of(model("a")));
    assertThatThrownBy(() -> catalog.replace(List.of(model("b"), model("b"))))
        .hasMessageContaining("twice");
    assertThat(catalog.find("a")).isPresent();
    assertThat(catalog.find("b")).isEmpty();
  }

  @Test
  void eachKindOfTokenCostsItsOwnPriceExactly() {
    Prices prices =
        new Prices(
            PicoUsd.of(1000), PicoUsd.of(4000), PicoUsd.of(100), PicoUsd.of(1250), PicoUsd.of(7));
    assertThat(prices.cost(new Usage(100, 60, 10, 5, 3)))
        .isEqualTo(PicoUsd.of(30 * 1000 + 60 * 100 + 10 * 1250 + 5 * 4000 + 7));
    assertThat(prices.bound(100, 5)).isEqualTo(PicoUsd.of(100 * 1250 + 5 * 4000 + 7));
    assertThat(prices.bound(100, 5))
        .isGreaterThanOrEqualTo(prices.cost(new Usage(100, 0, 0, 5, 0)));
  }

  @Test
  void aQuoteIsTheUpperBoundRoundedUpToTheCoinsUnit() {
    Prices prices = Prices.of(PicoUsd.ofDollars("0.0000001"), PicoUsd.ofDollars("0.0000004"));
    assertThat(prices.bound(10, 20).toAtomicRoundedUp(6)).isEqualTo(BigInteger.valueOf(9));
    assertThat(prices.bound(1, 0).toAtomicRoundedUp(6)).isEqualTo(BigInteger.ONE);
    assertThat(prices.cost(new Usage(3, 0, 0, 2, 0))).isEqualTo(PicoUsd.of(1_100_000));
  }
}
