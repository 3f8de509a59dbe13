package dev.gridtie.gateway.answer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Usage;
import io.vertx.core.buffer.Buffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;

class AnswerTest {
  private static Piece piece(String text, long tokens) {
    return new Piece(Buffer.buffer(text), text, tokens);
  }

  private static Ending end(FinishReason reason, long tokens) {
    return new Ending(reason, new Usage(3, 0, 0, tokens, 0), false, Buffer.buffer(), List.of());
  }

  private static String readAll(Answer answer) throws InterruptedException {
    StringBuilder text = new StringBuilder();
    int index = 0;
    while (true) {
      switch (answer.await(index)) {
        case Answer.Next.Text next -> {
          next.pieces().forEach(p -> text.append(p.said()));
          index += next.pieces().size();
        }
        case Answer.Next.Ended ended -> {
          return text.toString();
        }
      }
    }
  }

  @Test
  void everyReaderSeesTheWholeAnswerFromItsBeginningWheneverItComes() throws Exception {
    Answer answer = new Answer();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<java.util.concurrent.Future<String>> readers = new ArrayList<>();
      StringBuilder expected = new StringBuilder();
      for (int i = 1; i <= 500; i++) {
        if (i % 50 == 0) {
          Callable<String> reader = () -> readAll(answer);
          readers.add(threads.submit(reader));
        }
        answer.piece(piece("w" + i + " ", i));
        expected.append("w").append(i).append(" ");
      }
      answer.ended(end(FinishReason.STOP, 500));
      readers.add(threads.submit(() -> readAll(answer)));
      for (var reader : readers) {
        assertThat(reader.get()).isEqualTo(expected.toString());
      }
    }
  }

  @Test
  void nothingFollowsTheEnd() throws Exception {
    Answer answer = new Answer();
    answer.piece(piece("a", 1));
    answer.ended(end(FinishReason.LENGTH, 1));
    answer.piece(piece("b", 2));
    answer.failed(
        Failure.of(Failure.Kind.TRANSIENT, ApiError.of(ApiError.Kind.INTERNAL, "x", "x")));
    assertThat(readAll(answer)).isEqualTo("a");
    assertThat(answer.awaitEnd()).isEqualTo(new Answer.End.Whole(end(FinishReason.LENGTH, 1)));
  }

  @Test
  void aSourceThatFallsSilentHasBroken() throws Exception {
    Answer answer = new Answer(Duration.ofMillis(50));
    answer.piece(piece("a", 1));
    assertThat(answer.awaitEnd())
        .isInstanceOfSatisfying(
            Answer.End.Broken.class,
            broken -> assertThat(broken.failure().error().code()).isEqualTo("engine_stalled"));
    assertThat(readAll(answer)).isEqualTo("a");
  }

  @Test
  void theTextUpToATokenIsThatAndNoMore() {
    Answer answer = new Answer();
    answer.piece(piece("one ", 1));
    answer.piece(piece("two ", 3));
    answer.piece(piece("three", 4));
    assertThat(answer.text(3)).isEqualTo("one two ");
    assertThat(answer.text(2)).isEqualTo("one ");
    assertThat(answer.text(0)).isEmpty();
  }
}
