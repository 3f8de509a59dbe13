package dev.gridtie.wire.chat;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.testkit.Size;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.SseReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** All pairs of dialects: what both can say survives the way there and back. */
class TranslationProperties {
  private static final int CASES = Size.of(200, 20_000);

  record Pair(Dialect a, Dialect b) {}

  static List<Pair> pairs() {
    List<Pair> pairs = new ArrayList<>();
    for (Dialect a : Dialect.values()) {
      for (Dialect b : Dialect.values()) {
        pairs.add(new Pair(a, b));
      }
    }
    return pairs;
  }

  static <T> T ok(Outcome<T> outcome) {
    return switch (outcome) {
      case Outcome.Ok<T> ok -> ok.value();
      case Outcome.Refused<T> refused -> throw new AssertionError(refused.error().toString());
    };
  }

  private static ChatRequest through(ChatRequest request, Dialect dialect) {
    Translator translator = Conversations.TRANSLATORS.get(dialect);
    var json = ok(translator.writeRequest(request)).body();
    // Over bytes, so that nothing is shared but what is written.
    var parsed = parse(Json.writeBytes(json));
    return ok(
        translator.readRequest(
            parsed,
            dialect == Dialect.GEMINI
                ? new Translator.Call(request.model(), request.stream())
                : Translator.Call.NONE));
  }

  private static tools.jackson.databind.JsonNode parse(byte[] bytes) {
    try {
      return Json.parse(bytes);
    } catch (Json.MalformedJsonException e) {
      throw new AssertionError(e);
    }
  }

  @ParameterizedTest
  @MethodSource("pairs")
  void aConversationSurvivesTheWayThereAndBack(Pair pair) {
    Seeded.check(
        CASES,
        s -> {
          ChatRequest first = through(Conversations.request(s, pair.a()), pair.a());
          ChatRequest back = through(through(first, pair.b()), pair.a());
          assertThat(Normal.messages(back)).isEqualTo(Normal.messages(first));
          assertThat(back.tools()).isEqualTo(first.tools());
          assertThat(back.toolChoice()).isEqualTo(first.toolChoice());
          assertThat(back.format()).isEqualTo(first.format());
          assertThat(back.thinking().effort()).isEqualTo(first.thinking().effort());
          assertThat(back.stream()).isEqualTo(first.stream());
          assertThat(back.model()).isEqualTo(first.model());
          assertThat(back.sampling()).isEqualTo(first.sampling());
        });
  }

  private static Translator.Head head(ChatAnswer answer) {
    ChatRequest request =
        new ChatRequest(
            "model",
            List.of(Message.text(Message.Role.USER, "x")),
            Sampling.UNSAID,
            List.of(),
            new ToolChoice.Auto(),
            null,
            new OutputFormat.Plain(),
            new Thinking(null, null, true),
            null,
            null,
            true,
            true,
            Dialect.OPENAI,
            java.util.Map.of());
    return new Translator.Head(answer.id(), answer.model(), answer.created(), request);
  }

  private static ChatAnswer whole(ChatAnswer answer, Dialect dialect) {
    Translator translator = Conversations.TRANSLATORS.get(dialect);
    var json = translator.writeAnswer(answer, head(answer));
    return ok(translator.readAnswer(parse(Json.writeBytes(json))));
  }

  /** As a stream: written, cut into pieces anywhere, and read again. */
  private static ChatAnswer streamed(ChatAnswer answer, Dialect dialect, Seeded s) {
    Translator translator = Conversations.TRANSLATORS.get(dialect);
    Translator.StreamWriter writer = translator.streamWriter(head(answer));
    StringBuilder stream = new StringBuilder();
    Collector.events(answer).forEach(event -> stream.append(writer.write(event)));
    Collector collector = new Collector();
    List<StreamEvent> events = new ArrayList<>();
    Translator.StreamReader reader = translator.streamReader();
    SseReader sse = new SseReader();
    byte[] bytes = stream.toString().getBytes(UTF_8);
    try {
      for (int from = 0; from < bytes.length; ) {
        int to = Math.min(bytes.length, from + 1 + s.below(60));
        for (String data : sse.push(Arrays.copyOfRange(bytes, from, to))) {
          events.addAll(reader.read(data));
        }
        from = to;
      }
    } catch (Exception e) {
      throw new AssertionError(e);
    }
    events.addAll(reader.end());
    events.forEach(collector::add);
    assertThat(events.getLast()).isInstanceOf(StreamEvent.Ended.class);
    return collector.answer(answer.created());
  }

  @ParameterizedTest
  @MethodSource("pairs")
  void anAnswerSurvivesTheWayThereAndBackWholeAndStreamed(Pair pair) {
    Seeded.check(
        CASES,
        s -> {
          Seal.Origin vendor =
              s.of(List.of(Seal.Origin.ANTHROPIC, Seal.Origin.OPENAI, Seal.Origin.GEMINI));
          ChatAnswer answer = Conversations.answer(s, vendor);
          ChatAnswer plain = whole(whole(answer, pair.b()), pair.a());
          assertThat(Normal.parts(plain.parts())).isEqualTo(Normal.parts(answer.parts()));
          assertThat(plain.finish()).isEqualTo(answer.finish());
          assertThat(plain.usage()).isEqualTo(answer.usage());
          ChatAnswer pieces = streamed(streamed(answer, pair.b(), s), pair.a(), s);
          assertThat(Normal.parts(pieces.parts())).isEqualTo(Normal.parts(answer.parts()));
          assertThat(pieces.finish()).isEqualTo(answer.finish());
          assertThat(pieces.usage()).isEqualTo(answer.usage());
        });
  }

  /** A tool loop: the state that came with an answer returns with the next request, unchanged. */
  @ParameterizedTest
  @MethodSource("pairs")
  void sealedStateComesBackToItsVendorThroughAnyClient(Pair pair) {
    Seal.Origin vendor =
        switch (pair.b()) {
          case ANTHROPIC -> Seal.Origin.ANTHROPIC;
          case RESPONSES -> Seal.Origin.OPENAI;
          case GEMINI -> Seal.Origin.GEMINI;
          case OPENAI -> Seal.Origin.ANTHROPIC;
        };
    Seeded.check(
        CASES,
        s -> {
          ChatAnswer answer = Conversations.answer(s, vendor);
          // What a client of dialect a got, it sends back in its next request.
          ChatAnswer got = s.chance(0.5) ? whole(answer, pair.a()) : streamed(answer, pair.a(), s);
          ChatRequest next =
              Conversations.request(s, pair.a())
                  .withMessages(
                      List.of(
                          Message.text(Message.Role.USER, "go"),
                          new Message(Message.Role.ASSISTANT, got.parts()),
                          results(got.parts())));
          Translator client = Conversations.TRANSLATORS.get(pair.a());
          var asSent = clientsOwn(client, next);
          ChatRequest read =
              ok(client.readRequest(asSent, new Translator.Call(next.model(), false)));
          Translator upstream = Conversations.TRANSLATORS.get(pair.b());
          ChatRequest arrived =
              ok(
                  upstream.readRequest(
                      parse(Json.writeBytes(ok(upstream.writeRequest(read)).body())),
                      new Translator.Call(next.model(), false)));
          List<Part> turn =
              arrived.messages().stream()
                  .filter(m -> m.role() == Message.Role.ASSISTANT)
                  .findFirst()
                  .orElseThrow()
                  .parts();
          assertThat(Normal.seals(turn)).isEqualTo(Normal.seals(answer.parts()));
        });
  }

  private static Message results(List<Part> parts) {
    List<Part> results = new ArrayList<>();
    parts.forEach(
        p -> {
          if (p instanceof Part.ToolCall call) {
            results.add(
                new Part.ToolResult(call.id(), call.name(), List.of(new Part.Text("done")), false));
          }
        });
    results.add(new Part.Text("go on"));
    return new Message(Message.Role.USER, results);
  }

  /**
   * The request as a client of this dialect writes it, who gives back what it was given without a
   * thought for whose it is: the answer's own JSON, put where the dialect has it.
   */
  private static tools.jackson.databind.JsonNode clientsOwn(Translator client, ChatRequest next) {
    ChatAnswer said =
        new ChatAnswer(
            "id", "m", 1, next.messages().get(1).parts(), FinishReason.STOP, null, Usage.NONE);
    var answer = client.writeAnswer(said, head(said));
    var body =
        ok(client.writeRequest(
                next.withMessages(
                    List.of(
                        next.messages().get(0),
                        new Message(
                            Message.Role.ASSISTANT,
                            next.messages().get(1).parts().stream()
                                .map(TranslationProperties::unsealed)
                                .filter(java.util.Objects::nonNull)
                                .toList()),
                        next.messages().get(2)))))
            .body();
    return Clients.replaceAssistant(client.dialect(), body, answer);
  }

  private static Part unsealed(Part part) {
    return switch (part) {
      case Part.ToolCall c -> new Part.ToolCall(c.id(), c.name(), c.arguments(), null);
      case Part.Text t -> new Part.Text(t.text());
      case Part.Reasoning r -> null;
      default -> part;
    };
  }
}
