package dev.gridtie.base;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_16;
import static java.nio.charset.StandardCharsets.UTF_16BE;
import static java.nio.charset.StandardCharsets.UTF_16LE;
import static java.nio.charset.StandardCharsets.UTF_32;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.Charset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "{\"a\":1}x",
        "{\"a\":1,\"a\":2}",
        "{'a':1}",
        "[1,]",
        "nul",
        "{\"a\":01}"
      })
  void anythingButOneValueIsRefused(String text) {
    assertThatThrownBy(() -> Json.parse(text.getBytes(UTF_8)))
        .isInstanceOf(Json.MalformedJsonException.class);
  }

  @Test
  void theErrorSaysWhereAndDoesNotRepeatTheInput() {
    assertThatThrownBy(() -> Json.parse("{\n \"secret\": zzz}".getBytes(UTF_8)))
        .hasMessageContaining("line 2")
        .hasMessageNotContaining("secret");
  }

  @Test
  void nestingIsBounded() {
    byte[] deep =
        ("[".repeat(Json.NESTING_MAX + 1) + "]".repeat(Json.NESTING_MAX + 1)).getBytes(UTF_8);
    assertThatThrownBy(() -> Json.parse(deep)).isInstanceOf(Json.MalformedJsonException.class);
  }

  @Test
  void canonicalFormSortsKeysAndKeepsArrays() throws Exception {
    var node =
        Json.parse(
            "{\"b\":[3,1],\"a\":{\"z\":null,\"y\":\"é\\n\"}, \"c\":{}, \"d\":[]}".getBytes(UTF_8));
    assertThat(Json.canonical(node))
        .isEqualTo("{\"a\":{\"y\":\"é\\n\",\"z\":null},\"b\":[3,1],\"c\":{},\"d\":[]}");
  }

  @Test
  void fractionsHaveNoCanonicalForm() throws Exception {
    var node = Json.parse("{\"a\":0.5}".getBytes(UTF_8));
    assertThatThrownBy(() -> Json.canonical(node)).isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"a\":1e999999999}",
        "{\"a\":1e-999999999}",
        "[-0.1e30000000]",
        "1e501",
        "1e99999999999999999999"
      })
  void aNumberWhoseExponentIsOutOfAllBoundsIsRefused(String text) {
    assertThatThrownBy(() -> Json.parse(text.getBytes(UTF_8)))
        .isInstanceOf(Json.MalformedJsonException.class);
  }

  @Test
  void everyDoubleIsReadAsItStands() throws Exception {
    for (double number : new double[] {Double.MAX_VALUE, Double.MIN_VALUE, -0.1, 1e-45, 5e300}) {
      assertThat(Json.parse(("" + number).getBytes(UTF_8)).doubleValue()).isEqualTo(number);
    }
  }

  @Test
  void anythingButUtf8IsRefused() {
    for (Charset other : new Charset[] {UTF_16, UTF_16BE, UTF_16LE, UTF_32, ISO_8859_1}) {
      byte[] bytes = "{\"a\":\"é\"}".getBytes(other);
      assertThatThrownBy(() -> Json.parse(bytes))
          .isInstanceOf(Json.MalformedJsonException.class)
          .hasMessageContaining("UTF-8");
    }
  }

  @Test
  void utf8IsReadWhereverItsLettersStand() throws Exception {
    for (int before = 0; before < 20; before++) {
      String text = "x".repeat(before) + "é€😀" + "y".repeat(before % 9);
      assertThat(Json.parse(Json.quote(text).getBytes(UTF_8)).stringValue()).isEqualTo(text);
    }
  }
}
