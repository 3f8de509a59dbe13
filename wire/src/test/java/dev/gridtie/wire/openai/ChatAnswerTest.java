package dev.gridtie.wire.openai;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

class ChatAnswerTest {
  /** Names that are also what a piece of text may be. */
  private final ChatAnswer chat = new ChatAnswer("text", 7, "text");

  private static JsonNode data(String event) throws Json.MalformedJsonException {
    assertThat(event).startsWith("data: ").endsWith("\n\n");
    return Json.parse(event.substring(6).getBytes(UTF_8));
  }

  @Test
  void anyTextComesThroughAPieceUnchanged() {
    Seeded.check(
        500,
        seeded -> {
          String text = seeded.text(30);
          try {
            JsonNode chunk = data(chat.piece(text));
            assertThat(chunk.path("choices").path(0).path("delta").path("content").asString())
                .isEqualTo(text);
            assertThat(chunk.path("choices").path(0).path("finish_reason").isNull()).isTrue();
            assertThat(chunk.path("object").asString()).isEqualTo("chat.completion.chunk");
            assertThat(chunk.path("id").asString()).isEqualTo("text");
            assertThat(chunk.path("model").asString()).isEqualTo("text");
          } catch (Json.MalformedJsonException e) {
            throw new AssertionError(e);
          }
        });
  }

  @Test
  void anEventIsOneLineWhateverTheTextHolds() {
    assertThat(chat.piece("a\nb\r\n\ndata: c").indexOf('\n'))
        .isEqualTo(chat.piece("a\nb\r\n\ndata: c").length() - 2);
  }

  @Test
  void aStreamOpensWithTheRoleAndClosesWithItsReasonAndUsage() throws Exception {
    assertThat(data(chat.opening()).path("choices").path(0).path("delta").path("role").asString())
        .isEqualTo("assistant");
    assertThat(
            data(chat.closing("length")).path("choices").path(0).path("finish_reason").asString())
        .isEqualTo("length");
    JsonNode usage = data(chat.usage(new ChatAnswer.Usage(3, 4)));
    assertThat(usage.path("choices").isEmpty()).isTrue();
    assertThat(usage.path("usage").path("total_tokens").asInt()).isEqualTo(7);
  }

  @Test
  void aWholeAnswerHasOpenAisShape() throws Exception {
    JsonNode whole = Json.parse(chat.whole("hi \"you\"", "stop", new ChatAnswer.Usage(1, 2)));
    assertThat(whole.path("object").asString()).isEqualTo("chat.completion");
    assertThat(whole.path("choices").path(0).path("message").path("content").asString())
        .isEqualTo("hi \"you\"");
    assertThat(whole.path("choices").path(0).path("message").path("role").asString())
        .isEqualTo("assistant");
    assertThat(whole.path("usage").path("completion_tokens").asInt()).isEqualTo(2);
  }
}
