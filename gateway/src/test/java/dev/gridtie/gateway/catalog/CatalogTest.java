package dev.gridtie.gateway.catalog;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.relay.AnswerSource;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.openai.ChatRequest;
import java.math.BigInteger;
import java.util.List;
import org.junit.jupiter.api.Test;

class CatalogTest {
  private static final AnswerSource NOWHERE =
      new AnswerSource() {
        @Override
        public Outcome<Integer> countPrompt(ChatRequest request) {
          return Outcome.ok(0);
        }

        @Override
        public Outcome<Cancellation> answer(
            ChatRequest request, int maxTokens, long seed, Sink sink) {
          return Outcome.ok(() -> {});
        }

        @Override
        public boolean isReady() {
          return true;
        }
      };

  private static ModelOffer offer(String id, String prompt, String completion) {
    return new ModelOffer(
        id,
        PicoUsd.ofDollars(prompt),
        PicoUsd.ofDollars(completion),
        1024,
        256,
        "F16",
        "",
        0,
        NOWHERE);
  }

  @Test
  void theNearestNameIsTheOneFewestEditsAway() {
    Catalog catalog =
        new Catalog(List.of(offer("gridtie/tiny", "0", "0"), offer("other/large", "0", "0")));
    assertThat(catalog.nearest("gridtie/tinny")).contains("gridtie/tiny");
    assertThat(catalog.nearest("LARGE")).contains("other/large");
    assertThat(catalog.nearest("x".repeat(1_000_000))).isPresent();
    assertThat(new Catalog(List.of()).nearest("x")).isEmpty();
  }

  @Test
  void aModelOfferedTwiceIsRefused() {
    assertThatThrownBy(() -> new Catalog(List.of(offer("a", "0", "0"), offer("a", "0", "0"))))
        .hasMessageContaining("twice");
  }

  @Test
  void aQuoteIsTheUpperBoundRoundedUpToTheCoinsUnit() {
    ModelOffer offer = offer("a", "0.0000001", "0.0000004");
    assertThat(offer.price(10, 5)).isEqualTo(PicoUsd.ofDollars("0.000003"));
    assertThat(offer.quote(10, 5, 6)).isEqualTo(BigInteger.valueOf(3));
    assertThat(offer.quote(11, 5, 6)).isEqualTo(BigInteger.valueOf(4));
    assertThat(offer.quote(1, 0, 6)).isEqualTo(BigInteger.ONE);
    assertThat(offer.isFree()).isFalse();
  }
}
