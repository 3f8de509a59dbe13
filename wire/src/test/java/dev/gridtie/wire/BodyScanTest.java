package dev.gridtie.wire;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_16;
import static java.nio.charset.StandardCharsets.UTF_16BE;
import static java.nio.charset.StandardCharsets.UTF_16LE;
import static java.nio.charset.StandardCharsets.UTF_32;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import java.nio.charset.Charset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BodyScanTest {
  private static String spliced(String body, String model, boolean usage) throws Exception {
    BodyScan.Splice splice = BodyScan.of(body.getBytes(UTF_8)).splice().model(model);
    if (usage) {
      splice.includeUsage();
    }
    return new String(splice.apply(), UTF_8);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "{\"model\":\"a\"} | {\"stream_options\":{\"include_usage\":true},\"model\":\"b\"}",
        "{ \"stream_options\" : { } , \"model\":\"a\"} | { \"stream_options\" : {\"include_usage\":true } , \"model\":\"b\"}",
        "{\"stream_options\":{\"x\":1},\"model\":\"a\"} | {\"stream_options\":{\"include_usage\":true,\"x\":1},\"model\":\"b\"}",
        "{\"stream_options\":{\"include_usage\":false},\"model\":\"a\"} | {\"stream_options\":{\"include_usage\":true},\"model\":\"b\"}",
        "{\"stream_options\":null,\"model\":\"a\"} | {\"stream_options\":{\"include_usage\":true},\"model\":\"b\"}",
        "{\"stream_options\":{\"include_usage\":true},\"model\":\"a\"} | {\"stream_options\":{\"include_usage\":true},\"model\":\"b\"}",
      })
  void theModelAndTheUsageChangeAndNothingElse(String body, String expected) throws Exception {
    assertThat(spliced(body, "b", true)).isEqualTo(expected);
  }

  @Test
  void anyBodyKeepsItsMeaningButForTheModel() {
    Seeded.check(
        500,
        s -> {
          var json = Json.object().put(s.text(5) + "x", s.text(20));
          json.putObject("nested").put("model", s.text(9)).put("é€", s.number());
          json.put("model", s.text(8));
          json.putArray("list").add(s.text(5)).add(1.5);
          json.put("last", s.text(4));
          String text = Json.write(json);
          try {
            json.put("model", "other \"one\"");
            assertThat(Json.parse(spliced(text, "other \"one\"", false).getBytes(UTF_8)))
                .isEqualTo(Json.parse(Json.writeBytes(json)));
          } catch (Exception e) {
            throw new AssertionError(e);
          }
        });
  }

  @Test
  void whatIsNoObjectOrSaysAFieldTwiceIsRefused() {
    for (String body : new String[] {"", "[]", "{\"a\":1", "{\"model\":\"a\",\"model\":\"b\"}"}) {
      assertThatThrownBy(() -> BodyScan.of(body.getBytes(UTF_8)))
          .isInstanceOf(Json.MalformedJsonException.class);
    }
  }

  @Test
  void aBodyInAnotherEncodingIsRefused() {
    for (Charset other : new Charset[] {UTF_16, UTF_16BE, UTF_16LE, UTF_32, ISO_8859_1}) {
      byte[] body = "{\"model\":\"é\"}".getBytes(other);
      assertThatThrownBy(() -> BodyScan.of(body))
          .isInstanceOf(Json.MalformedJsonException.class)
          .hasMessageContaining("UTF-8");
    }
  }
}
