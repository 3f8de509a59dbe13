package dev.gridtie.wire;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.testkit.Seeded;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class SseReaderFuzz {
  private static List<String> split(String stream, Seeded seeded) throws Exception {
    byte[] bytes = stream.getBytes(UTF_8);
    SseReader reader = new SseReader();
    List<String> events = new ArrayList<>();
    for (int from = 0; from < bytes.length; ) {
      int to = Math.min(bytes.length, from + 1 + seeded.below(7));
      events.addAll(reader.push(Arrays.copyOfRange(bytes, from, to)));
      from = to;
    }
    return events;
  }

  @Test
  void anySplitOfTheBytesGivesTheSameEvents() {
    String stream =
        ": hello\n\ndata: {\"a\":\"é€😀\"}\n\nevent: x\r\ndata:one\r\ndata: two\r\n\r\ndata\n\n\n\ndata: [DONE]\r\rdata: cut";
    Seeded.check(
        500,
        seeded -> {
          try {
            assertThat(split(stream, seeded))
                .containsExactly("{\"a\":\"é€😀\"}", "one\ntwo", "", "[DONE]");
          } catch (Exception e) {
            throw new AssertionError(e);
          }
        });
  }

  @Test
  void garbageNeverHangsAndNeverGrowsWithoutBound() {
    Seeded seeded = new Seeded(1);
    SseReader reader = new SseReader();
    assertThatThrownBy(
            () -> {
              for (int i = 0; i < 3000; i++) {
                byte[] bytes = seeded.bytes(1000);
                for (int j = 0; j < bytes.length; j++) {
                  bytes[j] = bytes[j] == '\n' || bytes[j] == '\r' ? (byte) 'x' : bytes[j];
                }
                reader.push(bytes);
              }
            })
        .isInstanceOf(SseReader.TooLongException.class);
  }
}
