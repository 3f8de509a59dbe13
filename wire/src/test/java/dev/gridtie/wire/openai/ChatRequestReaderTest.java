package dev.gridtie.wire.openai;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.testkit.Seeded;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ChatRequestReaderTest {
  private static final String HI = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";

  private static Outcome<ChatRequest> read(String json) {
    return ChatRequestReader.read(json.getBytes(UTF_8));
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
  void whatIsLeftOutHasOpenAisDefaults() {
    ChatRequest request = ok("{\"model\":\"m\"," + HI + "}");
    assertThat(request.temperature()).isEqualTo(1);
    assertThat(request.topP()).isEqualTo(1);
    assertThat(request.maxTokens()).isEmpty();
    assertThat(request.seed()).isEmpty();
    assertThat(request.stream()).isFalse();
    assertThat(request.stop()).isEmpty();
  }

  @Test
  void everythingThatIsSaidIsRead() {
    ChatRequest request =
        ok(
            """
            {"model":"m","messages":[{"role":"developer","content":[{"type":"text","text":"be "},{"type":"text","text":"kind"}]},
             {"role":"user","content":"hi","name":"eve"}],"max_completion_tokens":7,"max_tokens":9,"temperature":0.5,"top_p":0.9,
             "top_k":40,"min_p":0.1,"seed":-3,"stop":["a","b"],"stream":true,"stream_options":{"include_usage":true},
             "user":"u","metadata":{"x":"y"},"n":1,"tools":[],"frequency_penalty":0,"response_format":{"type":"text"}}""");
    assertThat(request.messages())
        .containsExactly(
            new ChatRequest.Message("system", "be kind"), new ChatRequest.Message("user", "hi"));
    assertThat(request.maxTokens()).hasValue(7);
    assertThat(request.seed()).hasValue(-3);
    assertThat(request.stop()).isEqualTo(List.of("a", "b"));
    assertThat(request.includeUsage()).isTrue();
    assertThat(request.topK()).isEqualTo(40);
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
        "seed | 99999999999999999999",
        "stop | [1]",
        "stop | [\"\"]",
        "stop | [\"a\",\"b\",\"c\",\"d\",\"e\"]",
        "stream | 1",
        "n | 2",
        "tools | [{\"type\":\"function\"}]",
        "logprobs | true",
        "response_format | {\"type\":\"json_object\"}",
        "logit_bias | {\"1\":2}",
        "presence_penalty | 0.5",
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
        "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]} | invalid_value",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]} | invalid_type",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]} | unsupported_content",
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
          assertThat(ChatRequestReader.read(bytes)).isNotNull();
        });
  }
}
