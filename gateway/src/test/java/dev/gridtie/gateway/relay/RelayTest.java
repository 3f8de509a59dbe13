package dev.gridtie.gateway.relay;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.gateway.answer.AnswerSink;
import dev.gridtie.gateway.answer.AnswerSource;
import dev.gridtie.gateway.answer.Ending;
import dev.gridtie.gateway.answer.Failure;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.answer.Piece;
import dev.gridtie.gateway.catalog.Breaker;
import dev.gridtie.gateway.catalog.Channel;
import dev.gridtie.gateway.catalog.DataPolicy;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Health;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.catalog.Prices;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Usage;
import dev.gridtie.wire.openai.OpenAiTranslator;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class RelayTest {
  private final Vertx vertx = Vertx.vertx();
  private final Relay relay = new Relay(vertx, new SplittableRandom(1), new HedgeBudget(0));

  @AfterEach
  void close() {
    vertx.close();
  }

  private static Leg leg(String name, Consumer<AnswerSink> source) {
    return leg(name, (job, sink) -> source.accept(sink));
  }

  private static Leg leg(String name, BiConsumer<Job, AnswerSink> source) {
    AnswerSource answers =
        new AnswerSource() {
          @Override
          public Outcome<Integer> promptTokens(ChatRequest request) {
            return Outcome.ok(1);
          }

          @Override
          public Running start(Job job, AnswerSink sink) {
            source.accept(job, sink);
            return Running.NOTHING;
          }

          @Override
          public boolean isReady() {
            return true;
          }
        };
    Endpoint endpoint =
        new Endpoint(
            name,
            name,
            Optional.of(Dialect.OPENAI),
            Prices.FREE,
            100,
            100,
            "unknown",
            Set.of(),
            DataPolicy.OWN,
            Set.of(),
            "",
            List.of(new Channel(name, answers, new Breaker(InstantSource.system()))),
            new Health(InstantSource.system()));
    return new Leg(new Model("m", "m", "", 0, 10, List.of(endpoint)), endpoint);
  }

  private static void answer(AnswerSink sink) {
    sink.piece(new Piece(Buffer.buffer("hello"), "hello", 1));
    sink.ended(
        new Ending(FinishReason.STOP, new Usage(1, 0, 0, 1, 0), false, Buffer.buffer(), List.of()));
  }

  private static Failure failure(Failure.Kind kind) {
    return Failure.of(kind, ApiError.of(ApiError.Kind.BAD_GATEWAY, kind.name(), "no"));
  }

  /** What a client hears of a plan, in order. */
  private List<String> heard(Leg... legs) throws Exception {
    List<String> heard = new ArrayList<>();
    CompletableFuture<Boolean> over = new CompletableFuture<>();
    Job job =
        new Job(new OpenAiTranslator(false), new byte[0], Map.of(), false, Optional.empty(), true);
    AnswerSource.Running unused =
        relay.run(
            new Plan(List.of(legs), false, leg -> Optional.empty()),
            job,
            new RelaySink() {
              @Override
              public void committed(Leg leg) {
                heard.add("by " + leg.endpoint().id());
              }

              @Override
              public void piece(Piece piece) {
                heard.add(piece.said());
              }

              @Override
              public void ended(Ending ending) {
                heard.add("whole");
                over.complete(true);
              }

              @Override
              public void failed(Failure failure) {
                heard.add("failed " + failure.error().code());
                over.complete(true);
              }
            });
    assertThat(over.get(20, TimeUnit.SECONDS)).isTrue();
    return heard;
  }

  @Test
  void whatOneCannotExpressAnotherMay() throws Exception {
    assertThat(
            heard(
                leg("a", sink -> sink.failed(failure(Failure.Kind.UNFIT))),
                leg("b", RelayTest::answer)))
        .containsExactly("by b", "hello", "whole");
  }

  @Test
  void whoIsTooBusyIsAskedAgainWhereTheOthersFailAndThenWaits() throws Exception {
    List<Boolean> elsewhere = new ArrayList<>();
    assertThat(
            heard(
                leg(
                    "a",
                    (job, sink) -> {
                      elsewhere.add(job.place().elsewhere());
                      if (job.place().elsewhere()) {
                        sink.failed(failure(Failure.Kind.BUSY));
                      } else {
                        answer(sink);
                      }
                    }),
                leg("b", sink -> sink.failed(failure(Failure.Kind.KEY)))))
        .containsExactly("by a", "hello", "whole");
    assertThat(elsewhere).containsExactly(true, false);
  }

  @Test
  void theOnlyOneIsWaitedForAndWhoIsBusyTwiceIsLeft() throws Exception {
    List<Boolean> elsewhere = new ArrayList<>();
    BiConsumer<Job, AnswerSink> busy =
        (job, sink) -> {
          elsewhere.add(job.place().elsewhere());
          sink.failed(failure(Failure.Kind.BUSY));
        };
    assertThat(heard(leg("a", busy))).containsExactly("failed BUSY");
    assertThat(heard(leg("a", busy), leg("b", busy))).containsExactly("failed BUSY");
    assertThat(elsewhere).containsExactly(false, true, true, false, false);
  }

  @Test
  void aRequestAtFaultIsToldAtOnce() throws Exception {
    assertThat(
            heard(
                leg("a", sink -> sink.failed(failure(Failure.Kind.REQUEST))),
                leg("b", RelayTest::answer)))
        .containsExactly("failed REQUEST");
  }

  @Test
  void aBugOfOursIsAnErrorAndNobodyWaitsForEver() throws Exception {
    assertThat(
            heard(
                leg(
                    "a",
                    sink -> {
                      throw new IllegalStateException("a bug");
                    })))
        .containsExactly("failed internal_error");
  }

  @Test
  void nothingFollowsABreakAfterTheFirstByte() throws Exception {
    assertThat(
            heard(
                leg(
                    "a",
                    sink -> {
                      sink.piece(new Piece(Buffer.buffer("hel"), "hel", 1));
                      sink.failed(failure(Failure.Kind.TRANSIENT));
                      sink.piece(new Piece(Buffer.buffer("lo"), "lo", 2));
                    }),
                leg("b", RelayTest::answer)))
        .containsExactly("by a", "hel", "failed TRANSIENT");
  }

  @Test
  void oneAloneThatFailsForAMomentIsAskedAgain() throws Exception {
    int[] asked = {0};
    assertThat(
            heard(
                leg(
                    "a",
                    sink -> {
                      if (asked[0]++ == 0) {
                        sink.failed(failure(Failure.Kind.TRANSIENT));
                      } else {
                        answer(sink);
                      }
                    })))
        .containsExactly("by a", "hello", "whole");
  }
}
