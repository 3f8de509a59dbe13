package dev.gridtie.base;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
}
