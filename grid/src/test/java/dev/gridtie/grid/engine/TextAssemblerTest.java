package dev.gridtie.grid.engine;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.testkit.Seeded;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class TextAssemblerTest {
  private static String all(TextAssembler assembler, String... pieces) {
    StringBuilder out = new StringBuilder();
    for (String piece : pieces) {
      out.append(assembler.push(piece.getBytes(UTF_8)));
    }
    return out + assembler.finish();
  }

  @Test
  void anySplitOfTheBytesGivesTheSameText() {
    Seeded.check(
        500,
        seeded -> {
          String text = seeded.text(40);
          byte[] bytes = text.getBytes(UTF_8);
          TextAssembler assembler = new TextAssembler(List.of());
          StringBuilder out = new StringBuilder();
          for (int from = 0; from < bytes.length; ) {
            int to = Math.min(bytes.length, from + 1 + seeded.below(5));
            out.append(assembler.push(Arrays.copyOfRange(bytes, from, to)));
            from = to;
          }
          assertThat(out + assembler.finish()).isEqualTo(text);
        });
  }

  @Test
  void aStopTextEndsTheAnswerAndIsNotPartOfItHoweverItIsSplit() {
    for (String[] pieces :
        List.of(
            new String[] {"one END two"},
            new String[] {"one ", "E", "N", "D two"},
            new String[] {"one EN", "D", " two"})) {
      TextAssembler assembler = new TextAssembler(List.of("END"));
      assertThat(all(assembler, pieces)).isEqualTo("one ");
      assertThat(assembler.stopped()).isTrue();
    }
  }

  @Test
  void whatOnlyBeginsLikeAStopTextIsGivenInTheEnd() {
    TextAssembler assembler = new TextAssembler(List.of("END", "\n\n"));
    assertThat(all(assembler, "one EN", "X\n", "b E")).isEqualTo("one ENX\nb E");
    assertThat(assembler.stopped()).isFalse();
  }

  @Test
  void theEarliestOfSeveralStopTextsCounts() {
    assertThat(all(new TextAssembler(List.of("b", "a")), "xxaxb")).isEqualTo("xx");
  }

  @Test
  void bytesThatAreNoTextBecomeReplacementCharactersAndNeverPileUp() {
    TextAssembler assembler = new TextAssembler(List.of());
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < 1000; i++) {
      out.append(assembler.push(new byte[] {(byte) 0x80}));
    }
    assertThat(out.length()).isGreaterThan(990);
    out.append(assembler.push(new byte[] {(byte) 0xf0, (byte) 0x9f}));
    assertThat(assembler.finish()).isEqualTo("\uFFFD");
  }
}
