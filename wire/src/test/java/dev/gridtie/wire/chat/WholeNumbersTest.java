package dev.gridtie.wire.chat;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.CompletionsTranslator;
import dev.gridtie.wire.openai.OpenAiTranslator;
import dev.gridtie.wire.responses.ResponsesTranslator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WholeNumbersTest {
  private static Translator translator(String dialect) {
    return switch (dialect) {
      case "openai" -> new OpenAiTranslator(false);
      case "completions" -> new CompletionsTranslator();
      case "responses" -> new ResponsesTranslator();
      case "anthropic" -> new AnthropicTranslator();
      case "gemini" -> new GeminiTranslator(false);
      default -> throw new IllegalArgumentException(dialect);
    };
  }

  private static String body(String dialect, String fields) {
    return switch (dialect) {
      case "completions" -> "{\"model\":\"m\",\"prompt\":\"hi\"," + fields + "}";
      case "responses" -> "{\"model\":\"m\",\"input\":\"hi\"," + fields + "}";
      case "gemini" ->
          "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}],\"generationConfig\":{"
              + fields
              + "}}";
      default ->
          "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]," + fields + "}";
    };
  }

  @ParameterizedTest
  @CsvSource({
    "openai, max_tokens, 1",
    "openai, max_completion_tokens, 1",
    "openai, n, 1",
    "openai, top_k, 0",
    "completions, max_tokens, 1",
    "completions, n, 1",
    "completions, best_of, 1",
    "responses, max_output_tokens, 1",
    "responses, top_logprobs, 0",
    "anthropic, max_tokens, 1",
    "gemini, maxOutputTokens, 1",
    "gemini, topK, 0",
    "gemini, candidateCount, 1"
  })
  void aNumberBeyondItsBoundIsRefusedWithTheBound(String dialect, String field, int min)
      throws Exception {
    for (String beyond : new String[] {"2147483648", "1e12", "99999999999999999999999", "-7"}) {
      String json = body(dialect, "\"" + field + "\":" + beyond);
      Outcome<ChatRequest> read =
          translator(dialect)
              .readRequest(Json.parse(json.getBytes(UTF_8)), new Translator.Call("m", false));
      assertThat(read).as(json).isInstanceOf(Outcome.Refused.class);
      String message = ((Outcome.Refused<ChatRequest>) read).error().message();
      assertThat(message)
          .contains(field)
          .contains("must be a whole number from " + min + " to 2147483647");
    }
  }

  @ParameterizedTest
  @CsvSource({"openai, seed", "completions, seed", "gemini, seed"})
  void aSeedBeyondALongIsRefusedWithTheBound(String dialect, String field) throws Exception {
    String json = body(dialect, "\"" + field + "\":9223372036854775808");
    Outcome<ChatRequest> read =
        translator(dialect)
            .readRequest(Json.parse(json.getBytes(UTF_8)), new Translator.Call("m", false));
    assertThat(((Outcome.Refused<ChatRequest>) read).error().message())
        .contains(field)
        .contains("to 9223372036854775807");
  }
}
