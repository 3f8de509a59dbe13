package dev.gridtie.wire;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.wire.chat.Dialect;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CostsTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "OPENAI |"
            + " {\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
            + " | false",
        "OPENAI |"
            + " {\"tools\":[{\"type\":\"function\",\"function\":{\"parameters\":{\"type\":\"object\"}}}]}"
            + " | false",
        "OPENAI | {\"messages\":[{\"content\":[{\"type\":\"image_url\"}]}]} | true",
        "OPENAI | {\"max_tokens\":1,\"max_completion_tokens\":1} | true",
        "OPENAI | {\"max_tokens\":\"5\"} | true",
        "OPENAI | {\"max_tokens\":0} | true",
        "OPENAI | {\"max_tokens\":99999999999} | true",
        "OPENAI | {\"service_tier\":\"auto\"} | true",
        "RESPONSES | {\"input\":[{\"type\":\"item_reference\"}]} | true",
        "ANTHROPIC | {\"system\":[{\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]} |"
            + " true",
        "ANTHROPIC | {\"system\":[{\"cache_control\":{\"type\":\"ephemeral\"}}]} | false",
      })
  void whatMayCostMoreThanItsWordsIsReadBeforeItPasses(Dialect dialect, String body, boolean read)
      throws Exception {
    assertThat(Costs.mayBe(dialect, BodyScan.of(body.getBytes(UTF_8)))).isEqualTo(read);
  }

  @Test
  void anyBodyIsTakenOrRefusedByName() {
    String[] fields = {
      "service_tier",
      "tools",
      "max_tokens",
      "max_completion_tokens",
      "thinking",
      "modalities",
      "prompt",
      "generationConfig",
      "generation_config",
      "cachedContent",
      "prediction",
      "plugins",
      "background"
    };
    Seeded.check(
        500,
        s -> {
          var json = Json.object();
          for (int i = 0; i < 4; i++) {
            String field = fields[s.below(fields.length)];
            switch (s.below(5)) {
              case 0 -> json.put(field, s.text(6));
              case 1 -> json.put(field, s.number());
              case 2 -> json.putNull(field);
              case 3 -> json.putArray(field).add(s.text(4)).addObject().put("type", s.text(5));
              default -> json.putObject(field).put(s.text(3) + "x", s.chance(0.5));
            }
          }
          for (Dialect dialect : Dialect.values()) {
            if (Costs.of(dialect, json) instanceof Outcome.Refused<Costs.Found> refused) {
              assertThat(refused.error().parameter()).isNotNull();
            }
          }
        });
  }
}
