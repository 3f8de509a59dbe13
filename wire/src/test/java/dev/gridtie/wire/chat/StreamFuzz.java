package dev.gridtie.wire.chat;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import dev.gridtie.wire.SseReader;
import dev.gridtie.wire.chat.Translator.MalformedStreamException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every dialect's stream reader against bytes from a server that has lost its mind. */
class StreamFuzz {
  private static final int CASES = Size.of(400, 20_000);

  private static String stream(Dialect dialect, Seeded s) {
    ChatAnswer answer = Conversations.answer(s, Seal.Origin.ANTHROPIC);
    Translator.StreamWriter writer =
        Conversations.TRANSLATORS
            .get(dialect)
            .streamWriter(
                new Translator.Head("id", "m", 1, Conversations.request(s, Dialect.OPENAI)));
    StringBuilder out = new StringBuilder();
    Collector.events(answer).forEach(e -> out.append(writer.write(e)));
    return out.toString();
  }

  /** Reads to the end; a stream that makes no sense is refused by the one exception for it. */
  private static List<StreamEvent> read(Dialect dialect, byte[] bytes, Seeded s) {
    Translator.StreamReader reader = Conversations.TRANSLATORS.get(dialect).streamReader();
    SseReader sse = new SseReader();
    List<StreamEvent> events = new ArrayList<>();
    try {
      for (int from = 0; from < bytes.length; ) {
        int to = Math.min(bytes.length, from + 1 + s.below(40));
        for (String data : sse.push(Arrays.copyOfRange(bytes, from, to))) {
          events.addAll(reader.read(data));
        }
        from = to;
      }
    } catch (MalformedStreamException | SseReader.TooLongException e) {
      return events;
    }
    events.addAll(reader.end());
    return events;
  }

  @ParameterizedTest
  @EnumSource(Dialect.class)
  void noBytesWhateverMakeAReaderThrowAndNothingFollowsTheEnd(Dialect dialect) {
    Seeded.check(
        CASES,
        s -> {
          byte[] bytes = stream(dialect, s).getBytes(UTF_8);
          for (int i = s.below(6); i > 0; i--) {
            bytes[s.below(bytes.length)] = (byte) s.below(256);
          }
          List<StreamEvent> events = read(dialect, bytes, s);
          long ends =
              events.stream()
                  .filter(e -> e instanceof StreamEvent.Ended || e instanceof StreamEvent.Failed)
                  .count();
          assertThat(ends).isLessThanOrEqualTo(1);
        });
  }

  @ParameterizedTest
  @EnumSource(Dialect.class)
  void aStreamCutAnywhereBeforeItsEndIsNeverTakenForWhole(Dialect dialect) {
    Seeded.check(
        CASES,
        s -> {
          String whole = stream(dialect, s);
          // Whatever comes after the reason is decoration in two dialects; before it, all is
          // missing.
          int reason =
              switch (dialect) {
                case OPENAI -> whole.lastIndexOf("\"finish_reason\":\"");
                case GEMINI -> whole.lastIndexOf("\"finishReason\"");
                case ANTHROPIC -> whole.lastIndexOf("event: message_delta");
                case RESPONSES -> whole.lastIndexOf("event: response.");
              };
          String cut = whole.substring(0, s.below(reason));
          List<StreamEvent> events = read(dialect, cut.getBytes(UTF_8), s);
          assertThat(events.getLast()).isInstanceOf(StreamEvent.Failed.class);
          assertThat(((StreamEvent.Failed) events.getLast()).error().isRetryable()).isTrue();
        });
  }
}
