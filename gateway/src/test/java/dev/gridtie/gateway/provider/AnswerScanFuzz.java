package dev.gridtie.gateway.provider;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.wire.chat.Dialect;
import org.junit.jupiter.api.Test;

class AnswerScanFuzz {
  private static String read(AnswerScan scan, byte[] bytes) {
    StringBuilder found = new StringBuilder();
    scan.read(bytes, 0, bytes.length, found);
    return found.toString();
  }

  @Test
  void anyTextIsFoundAsItWasWrittenAndNothingBeside() {
    Seeded.check(
        1_000,
        s -> {
          String text = s.text(40);
          var chunk = Json.object().put("id", s.text(9)).put("model", "\"content\":\"no\"");
          var delta = chunk.putArray("choices").addObject().putObject("delta");
          delta.put("content", text).put("role", "content");
          delta.put("reasoning_content", "a").put("reasoning", "a");
          assertThat(read(AnswerScan.ofStream(Dialect.OPENAI), Json.writeBytes(chunk)))
              .isEqualTo(text + "a");
        });
    String escaped = "{\"delta\":{\"content\":\"h\\u00e9\\ud83d\\ude00\\\"\\n\\/\"}}";
    assertThat(read(AnswerScan.ofStream(Dialect.OPENAI), escaped.getBytes(UTF_8)))
        .isEqualTo("hé😀\"\n/");
    String call = "{\"parts\":[{\"functionCall\":{\"args\":{\"a\":\"}\"},\"name\":\"f\"}}]}";
    assertThat(read(AnswerScan.ofStream(Dialect.GEMINI), call.getBytes(UTF_8)))
        .isEqualTo("{\"a\":\"}\"}");
  }

  @Test
  void anyBytesAreTaken() {
    String alphabet = "\"\\{}[]:,u0 content args input text";
    Seeded.check(
        5_000,
        s -> {
          byte[] bytes = s.bytes(s.below(60));
          for (int i = 0; i < bytes.length && s.chance(0.9); i++) {
            bytes[i] = (byte) alphabet.charAt(s.below(alphabet.length()));
          }
          for (Dialect dialect : Dialect.values()) {
            assertThat(read(AnswerScan.ofStream(dialect), bytes)).isNotNull();
            assertThat(read(AnswerScan.ofWhole(dialect), bytes)).isNotNull();
          }
        });
  }

  @Test
  void aTextIsCountedInTimeThatGrowsWithItsLengthAlone() {
    assertThat(TokenCount.of("")).isZero();
    assertThat(TokenCount.of("What is a receipt?")).isEqualTo(5);
    // One long word would take a tokenizer the square of its length.
    assertThat(TokenCount.of("a".repeat(1_000_000))).isBetween(50_000L, 1_000_000L);
    assertThat(TokenCount.of("😀".repeat(100_000))).isPositive();
  }
}
