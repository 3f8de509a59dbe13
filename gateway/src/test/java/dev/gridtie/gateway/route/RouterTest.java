package dev.gridtie.gateway.route;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.AnswerSource;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.catalog.Breaker;
import dev.gridtie.gateway.catalog.Channel;
import dev.gridtie.gateway.catalog.DataPolicy;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Feature;
import dev.gridtie.gateway.catalog.Health;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.catalog.Prices;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RouterTest {
  private static final Need NOTHING = new Need(Set.of(), 10, 10, Optional.empty());
  private Instant now = Instant.ofEpochSecond(1_700_000_000);
  private final Router router = new Router(new SplittableRandom(402));

  private Endpoint endpoint(String provider, long price, Feature... features) {
    return new Endpoint(
        provider,
        provider,
        Optional.of(Dialect.OPENAI),
        new Prices(
            PicoUsd.of(price),
            PicoUsd.of(price),
            PicoUsd.of(price / 10),
            PicoUsd.of(price),
            PicoUsd.ZERO),
        1000,
        500,
        "fp8",
        Set.of("eu"),
        new DataPolicy(false, false),
        Set.of(features),
        "",
        List.of(),
        new Health(() -> now));
  }

  private static Model model(Endpoint... endpoints) {
    return new Model("m", "m", "", 0, 100, List.of(endpoints));
  }

  private List<String> ranked(Model model, Need need, Preferences p, Optional<String> sticky) {
    return switch (router.rank(model, need, p, sticky)) {
      case Outcome.Ok<List<Endpoint>> ok -> ok.value().stream().map(Endpoint::id).toList();
      case Outcome.Refused<List<Endpoint>> refused ->
          throw new AssertionError(refused.error().message());
    };
  }

  private static Preferences preferences(String json) throws Exception {
    return switch (Preferences.read(Json.parse(json.replace('\'', '"').getBytes()))) {
      case Outcome.Ok<Preferences> ok -> ok.value();
      case Outcome.Refused<Preferences> refused -> throw new AssertionError(refused.error());
    };
  }

  /** An endpoint of the grid. */
  private Endpoint nodes(String id, String pool, String quantization, long capacity) {
    AnswerSource source =
        new AnswerSource() {
          @Override
          public Outcome<Integer> promptTokens(ChatRequest request) {
            return Outcome.ok(1);
          }

          @Override
          public Running start(Job job, AnswerSink sink) {
            return Running.NOTHING;
          }

          @Override
          public boolean isReady() {
            return true;
          }

          @Override
          public long capacity() {
            return capacity;
          }
        };
    return new Endpoint(
        id,
        "grid",
        Optional.empty(),
        Prices.of(PicoUsd.of(100), PicoUsd.of(100)),
        Prices.FREE,
        1000,
        500,
        quantization,
        Set.of(),
        new DataPolicy(true, false),
        Set.of(),
        "",
        List.of(new Channel(id, source, new Breaker(() -> now))),
        new Health(() -> now),
        pool);
  }

  private String refusal(Model model, Preferences p) {
    return switch (router.rank(model, NOTHING, p, Optional.empty())) {
      case Outcome.Ok<List<Endpoint>> ok -> throw new AssertionError(ok.value().toString());
      case Outcome.Refused<List<Endpoint>> refused -> refused.error().message();
    };
  }

  @Test
  void aPoolIsLeftByNothingAndEnteredByNobodyElse() {
    Model model =
        model(endpoint("hosted", 1), nodes("own", "ward", "q8_0", 5), nodes("all", "", "q8_0", 5));
    Preferences within = Preferences.NONE.within("ward");
    assertThat(ranked(model, NOTHING, within, Optional.of("hosted"))).containsExactly("own");
    assertThat(ranked(model, NOTHING, Preferences.NONE, Optional.of("own")))
        .containsExactlyInAnyOrder("hosted", "all");
    assertThat(refusal(model, Preferences.NONE.within("other"))).contains("outside the pool");
  }

  @Test
  void theCoarsestQuantisationIsADemand() throws Exception {
    Model model = model(nodes("four", "", "q4_k_m", 5), nodes("eight", "", "q8_0", 5));
    assertThat(ranked(model, NOTHING, preferences("{'min_quantization':'int8'}"), Optional.empty()))
        .containsExactly("eight");
    assertThat(refusal(model, preferences("{'min_quantization':'fp16'}"))).contains("fine enough");
  }

  @Test
  void theGridIsOneProviderWhoseEndpointsShareByWhatTheyCanDo() {
    Model model =
        model(
            endpoint("hosted", 100), nodes("many", "", "q8_0", 900), nodes("few", "", "q4_0", 100));
    Map<String, Integer> drawn = new HashMap<>();
    for (int i = 0; i < 20_000; i++) {
      drawn.merge(
          ranked(model, NOTHING, Preferences.NONE, Optional.empty()).getFirst(), 1, Integer::sum);
    }
    assertThat(drawn.get("hosted") / 20_000.0).isBetween(0.48, 0.52);
    assertThat(drawn.get("many") / 20_000.0).isBetween(0.43, 0.47);
    assertThat(drawn.get("few") / 20_000.0).isBetween(0.04, 0.06);
  }

  @Test
  void oneIsDrawnByTheInverseSquareOfItsPriceAndTheRestStandByPrice() {
    Model model = model(endpoint("dear", 300), endpoint("cheap", 100), endpoint("middle", 200));
    int cheap = 0;
    int draws = 20_000;
    for (int i = 0; i < draws; i++) {
      List<String> ids = ranked(model, NOTHING, Preferences.NONE, Optional.empty());
      assertThat(ids).hasSize(3);
      cheap += ids.getFirst().equals("cheap") ? 1 : 0;
    }
    // 1 / (1 + 1/4 + 1/9)
    assertThat((double) cheap / draws).isBetween(0.71, 0.76);
  }

  @Test
  void whoFailsLatelyStandsLastUntilThatIsAWhileAgo() {
    Endpoint unwell = endpoint("unwell", 1);
    Model model = model(unwell, endpoint("well", 100));
    for (int i = 0; i < 3; i++) {
      unwell.health().ended(false, Duration.ZERO, 0, Duration.ZERO);
    }
    for (int i = 0; i < 50; i++) {
      assertThat(ranked(model, NOTHING, Preferences.NONE, Optional.empty()))
          .containsExactly("well", "unwell");
    }
    now = now.plusSeconds(31);
    assertThat(unwell.health().hasOutage()).isFalse();
  }

  @Test
  void aConversationReturnsToWhereItWasUnlessTheClientSaysAnOrder() throws Exception {
    Model model = model(endpoint("a", 1), endpoint("b", 1000));
    assertThat(ranked(model, NOTHING, Preferences.NONE, Optional.of("b")).getFirst())
        .isEqualTo("b");
    assertThat(ranked(model, NOTHING, preferences("{'order':['a']}"), Optional.of("b")).getFirst())
        .isEqualTo("a");
  }

  @Test
  void sortingRanksByWhatWasSeen() throws Exception {
    Endpoint slow = endpoint("slow", 1);
    Endpoint quick = endpoint("quick", 1000);
    for (int i = 0; i < 5; i++) {
      slow.health().ended(true, Duration.ofMillis(900), 10, Duration.ofSeconds(1));
      quick.health().ended(true, Duration.ofMillis(100), 100, Duration.ofSeconds(1));
    }
    Model model = model(slow, quick);
    assertThat(ranked(model, NOTHING, preferences("{'sort':'latency'}"), Optional.empty()))
        .containsExactly("quick", "slow");
    assertThat(
            ranked(model, NOTHING, preferences("{'sort':{'by':'throughput'}}"), Optional.empty()))
        .containsExactly("quick", "slow");
    assertThat(ranked(model, NOTHING, preferences("{'sort':'price'}"), Optional.empty()))
        .containsExactly("slow", "quick");
    assertThat(
            ranked(
                model,
                NOTHING,
                preferences("{'sort':'price','preferred_max_latency':0.5}"),
                Optional.empty()))
        .containsExactly("quick", "slow");
  }

  @Test
  void whoCannotTakeARequestIsLeftOutAndTheRefusalSaysWhy() {
    Model model = model(endpoint("plain", 1), endpoint("able", 100, Feature.TOOLS));
    Need tools = new Need(Set.of(Feature.TOOLS), 10, 10, Optional.empty());
    assertThat(ranked(model, tools, Preferences.NONE, Optional.empty())).containsExactly("able");
    Need huge = new Need(Set.of(), 10_000, 10, Optional.empty());
    Outcome<List<Endpoint>> refused = router.rank(model, huge, Preferences.NONE, Optional.empty());
    ApiError error = ((Outcome.Refused<List<Endpoint>>) refused).error();
    assertThat(error.kind().status()).isEqualTo(404);
    assertThat(error.message()).contains("context of 1000 tokens");
  }

  @Test
  void withoutFallbacksOnlyTheFirstMayAnswer() throws Exception {
    Model model = model(endpoint("a", 1), endpoint("b", 2));
    assertThat(ranked(model, NOTHING, preferences("{'allow_fallbacks':false}"), Optional.empty()))
        .hasSize(1);
  }

  @Test
  void affinityLastsWhereACacheMakesItCheaperAndNotForEver() {
    Affinity affinity = new Affinity(() -> now);
    affinity.served("conversation", endpoint("a", 100));
    assertThat(affinity.find("conversation")).contains("a");
    now = now.plus(Affinity.IDLE_MAX).plusSeconds(1);
    assertThat(affinity.find("conversation")).isEmpty();
    for (int i = 0; i < Affinity.KEPT_MAX + 10; i++) {
      affinity.served("c" + i, endpoint("a", 100));
    }
    assertThat(affinity.find("c0")).isEmpty();
    assertThat(affinity.find("c" + (Affinity.KEPT_MAX + 9))).contains("a");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "'1e30000000'",
        "'1e999999999'",
        "'-1e30000000'",
        "'1e-999999999'",
        "1e300",
        "-1",
        "true"
      })
  void aMostThatIsNoAmountIsRefusedByItsName(String most) throws Exception {
    for (String key : List.of("prompt", "completion", "request")) {
      String json = "{'max_price':{'" + key + "':" + most + "}}";
      Outcome<Preferences> read =
          Preferences.read(Json.parse(json.replace('\'', '"').getBytes(UTF_8)));
      assertThat(read).isInstanceOf(Outcome.Refused.class);
      assertThat(((Outcome.Refused<Preferences>) read).error().message())
          .contains("provider.max_price." + key)
          .contains("from 0 to 1e18");
    }
  }
}
