package dev.gridtie.wire.openai;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.Sampling;
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.Translator;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OpenAiRequestReaderTest {
  private static final String HI = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";

  private static final Translator OPENAI = new OpenAiTranslator(false);

  private static Outcome<ChatRequest> read(byte[] json) {
    try {
      return OPENAI.readRequest(Json.parse(json), Translator.Call.NONE);
    } catch (Json.MalformedJsonException e) {
      return Outcome.refused(ApiError.invalid("invalid_json", "not JSON", null));
    }
  }

  private static Outcome<ChatRequest> read(String json) {
    return read(json.getBytes(UTF_8));
  }

  private static ChatRequest ok(String json) {
    return switch (read(json)) {
      case Outcome.Ok<ChatRequest> ok -> ok.value();
      case Outcome.Refused<ChatRequest> refused -> throw new AssertionError(refused.error());
    };
  }

  private static ApiError error(String json) {
    return switch (read(json)) {
      case Outcome.Ok<ChatRequest> ok -> throw new AssertionError(ok.value());
      case Outcome.Refused<ChatRequest> refused -> refused.error();
    };
  }

  @Test
  void whatIsLeftOutStaysUnsaid() {
    ChatRequest request = ok("{\"model\":\"m\"," + HI + "}");
    assertThat(request.sampling()).isEqualTo(Sampling.UNSAID);
    assertThat(request.stream()).isFalse();
    assertThat(request.thinking()).isEqualTo(Thinking.UNSAID);
  }

  @Test
  void everythingThatIsSaidIsRead() {
    ChatRequest request =
        ok(
            """
            {"model":"m","messages":[{"role":"developer","content":[{"type":"text","text":"be "},{"type":"text","text":"kind"}]},
             {"role":"user","content":"hi","name":"eve"}],"max_completion_tokens":7,"max_tokens":7,"temperature":0.5,"top_p":0.9,
             "top_k":40,"min_p":0.1,"seed":-3,"stop":["a","b"],"stream":true,"stream_options":{"include_usage":true},
             "user":"u","metadata":{"x":"y"},"n":1,"tools":[],"frequency_penalty":0,"response_format":{"type":"text"}}""");
    assertThat(request.messages().get(0).text()).isEqualTo("be kind");
    assertThat(request.messages().get(0).role()).isEqualTo(Message.Role.SYSTEM);
    assertThat(request.messages().get(1).name()).isEqualTo("eve");
    assertThat(request.sampling().maxTokens()).isEqualTo(7);
    assertThat(request.sampling().seed()).isEqualTo(-3);
    assertThat(request.sampling().stop()).isEqualTo(List.of("a", "b"));
    assertThat(request.includeUsage()).isTrue();
    assertThat(request.sampling().topK()).isEqualTo(40);
    assertThat(request.others()).containsOnlyKeys("metadata");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "max_tokens | 0",
        "max_tokens | -1",
        "max_tokens | 1.5",
        "max_tokens | \"7\"",
        "max_completion_tokens | 0",
        "max_tokens | 99999999999",
        "temperature | -0.1",
        "temperature | 2.1",
        "temperature | \"hot\"",
        "top_p | 1.1",
        "top_k | -1",
        "min_p | 2",
        "seed | 1.5",
        "n | 0",
        "logprobs | 3",
        "presence_penalty | 3",
        "seed | 99999999999999999999",
        "stop | [1]",
        "stop | [\"\"]",
        "stop | [\"a\",\"b\",\"c\",\"d\",\"e\"]",
        "stream | 1",
      })
  void aValueThatCannotBeHonouredIsRefusedByName(String field, String value) {
    ApiError error = error("{\"model\":\"m\"," + HI + ",\"" + field + "\":" + value + "}");
    assertThat(error.kind().status()).isEqualTo(400);
    assertThat(error.parameter()).isEqualTo(field);
    assertThat(error.message()).contains(field);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "[] | invalid_json",
        "{\"model\":\"m\" | invalid_json",
        "{\"model\":\"m\"} | missing_required_parameter",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]} | missing_required_parameter",
        "{\"model\":\"m\",\"messages\":[]} | missing_required_parameter",
        "{\"model\":\"m\",\"messages\":[3]} | invalid_type",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]} | missing_required_parameter",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]} | invalid_type",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]} | invalid_type",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"hologram\"}]}]} | unsupported_content",
      })
  void aBrokenRequestIsRefusedWithItsCode(String json, String code) {
    assertThat(error(json).code()).isEqualTo(code);
  }

  @Test
  void noBytesWhateverMakeTheReaderThrow() {
    String valid =
        "{\"model\":\"m\","
            + HI
            + ",\"stop\":[\"a\"],\"seed\":1,\"stream_options\":{\"include_usage\":true}}";
    Seeded.check(
        3000,
        seeded -> {
          byte[] bytes = valid.getBytes(UTF_8);
          for (int i = 1 + seeded.below(4); i > 0; i--) {
            bytes[seeded.below(bytes.length)] = (byte) seeded.below(256);
          }
          assertThat(read(bytes)).isNotNull();
        });
  }
}
