package dev.gridtie.wire;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.base.Numbers;
import dev.gridtie.base.PicoUsd;
import dev.gridtie.testkit.Size;
import dev.gridtie.testkit.WorstInput;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.CompletionsTranslator;
import dev.gridtie.wire.openai.OpenAiTranslator;
import dev.gridtie.wire.responses.ResponsesTranslator;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** No parser of this module is brought to a stand by any input that it takes. */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class WorstInputFuzz {
  /** A request's body may have 1 MiB. */
  private static final int BODY = Size.of(128 * 1024, 1024 * 1024);

  private static final Map<String, Translator> TRANSLATORS =
      Map.of(
          "openai", new OpenAiTranslator(true),
          "completions", new CompletionsTranslator(),
          "responses", new ResponsesTranslator(),
          "anthropic", new AnthropicTranslator(),
          "gemini", new GeminiTranslator(false));

  private static final List<String> REQUESTS =
      List.of(
          "{\"model\":\"m\",\"max_tokens\":1,\"messages\":@}",
          "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":@}]}",
          "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":@}",
          "{\"model\":\"m\",\"input\":@,\"prompt\":\"a\"}",
          "{\"model\":\"m\",\"prompt\":@}",
          "{\"contents\":@}",
          "{\"contents\":[{\"role\":\"user\",\"parts\":@}]}");

  private static final List<String> STREAMS =
      List.of(
          "@",
          "data: @",
          "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":@}}]}\n\n",
          "data: {\"candidates\":[{\"content\":{\"parts\":@}}]}\n\n");

  @Test
  void jsonAndNumbers() throws Exception {
    WorstInput.search("JSON", BODY, List.of("@", "{\"a\":@}"), Json::parse);
    WorstInput.search(
        "a body's scan",
        BODY,
        List.of("@", "{\"model\":@}", "{\"stream_options\":@,\"model\":\"m\"}"),
        bytes -> BodyScan.of(bytes).splice().model("other").includeUsage().apply());
    WorstInput.search(
        "dollars", BODY, List.of("@"), bytes -> PicoUsd.ofDollars(new String(bytes, UTF_8)));
    WorstInput.search(
        "a price's limit",
        BODY,
        List.of("@"),
        bytes -> PicoUsd.ofDollarsPerMillionRoundedDown(new String(bytes, UTF_8)));
    WorstInput.search(
        "uint256", BODY, List.of("@"), bytes -> Numbers.uint256(new String(bytes, UTF_8)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"openai", "completions", "responses", "anthropic", "gemini"})
  void requestsAndAnswers(String dialect) throws Exception {
    Translator translator = TRANSLATORS.get(dialect);
    Translator.Call call = new Translator.Call(dialect.equals("gemini") ? "m" : "", false);
    WorstInput.search(
        dialect + " requests",
        BODY,
        REQUESTS,
        bytes -> {
          if (translator.readRequest(Json.parse(bytes), call) instanceof Outcome.Ok<?> ok) {
            for (Translator other : TRANSLATORS.values()) {
              other.writeRequest((dev.gridtie.wire.chat.ChatRequest) ok.value());
            }
          }
        });
    WorstInput.search(
        dialect + " answers",
        BODY,
        List.of("@", "{\"choices\":@}", "{\"content\":@}", "{\"output\":@}", "{\"candidates\":@}"),
        bytes -> translator.readAnswer(Json.parse(bytes)));
    WorstInput.search(
        dialect + " errors",
        BODY,
        List.of("@", "{\"error\":{\"message\":@}}"),
        bytes -> translator.readError(400, bytes));
  }

  @ParameterizedTest
  @ValueSource(strings = {"openai", "responses", "anthropic", "gemini"})
  void streams(String dialect) {
    WorstInput.search(
        dialect + " streams",
        BODY,
        STREAMS,
        bytes -> {
          Translator.StreamReader reader = TRANSLATORS.get(dialect).streamReader();
          SseReader sse = new SseReader();
          for (int i = 0; i < bytes.length; i += 7) { // many small parts
            byte[] part = java.util.Arrays.copyOfRange(bytes, i, Math.min(bytes.length, i + 7));
            for (String data : sse.push(part)) {
              reader.read(data);
            }
          }
          reader.end();
        });
  }
}
