package dev.gridtie.wire.chat;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.testkit.Seeded;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.UpstreamErrors;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.OpenAiTranslator;
import dev.gridtie.wire.responses.ResponsesTranslator;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/** What goes wrong in gateways elsewhere, each by name. */
class PainsTest {
  private static JsonNode json(String text) throws Exception {
    return Json.parse(text.replace('\'', '"').getBytes(UTF_8));
  }

  private static Translator.Head head() {
    return new Translator.Head("id", "m", 1, Conversations.request(new Seeded(1), Dialect.OPENAI));
  }

  private static String write(Translator translator, List<StreamEvent> events) {
    Translator.StreamWriter writer = translator.streamWriter(head());
    StringBuilder out = new StringBuilder();
    events.forEach(e -> out.append(writer.write(e)));
    return out.toString();
  }

  private static List<StreamEvent> read(Translator translator, String... data) throws Exception {
    Translator.StreamReader reader = translator.streamReader();
    List<StreamEvent> events = new ArrayList<>();
    for (String each : data) {
      events.addAll(reader.read(each.replace('\'', '"')));
    }
    events.addAll(reader.end());
    return events;
  }

  @Test
  void aReasonOfStopBesideToolCallsIsToolCallsInEveryDialect() throws Exception {
    ChatAnswer answer =
        TranslationProperties.ok(
            new OpenAiTranslator(false)
                .readAnswer(
                    json(
                        "{'id':'x','model':'m','choices':[{'finish_reason':'stop','message':{'role':'assistant','content':'Let me look.',"
                            + "'tool_calls':[{'id':'c1','type':'function','function':{'name':'f','arguments':'{}'}}]}}]}")));
    assertThat(answer.finish()).isEqualTo(FinishReason.TOOL_CALLS);
    assertThat(new AnthropicTranslator().writeAnswer(answer, head()).path("stop_reason").asString())
        .isEqualTo("tool_use");
    ChatAnswer gemini =
        TranslationProperties.ok(
            new GeminiTranslator(false)
                .readAnswer(
                    json(
                        "{'candidates':[{'finishReason':'STOP','content':{'role':'model','parts':[{'text':'Let me look.'},"
                            + "{'functionCall':{'name':'f','args':{}}}]}}]}")));
    assertThat(
            new OpenAiTranslator(false)
                .writeAnswer(gemini, head())
                .path("choices")
                .path(0)
                .path("finish_reason")
                .asString())
        .isEqualTo("tool_calls");
  }

  @Test
  void anthropicsBlocksNeverOverlapThoughTheFragmentsOfCallsComeMixed() throws Exception {
    String stream =
        write(
            new AnthropicTranslator(),
            List.of(
                new StreamEvent.Started("i", "m", Usage.NONE),
                new StreamEvent.ToolCallStarted(0, "a", "f", null),
                new StreamEvent.ToolCallStarted(1, "b", "g", null),
                new StreamEvent.ToolArgumentsDelta(1, "{\"y\":"),
                new StreamEvent.ToolArgumentsDelta(0, "{\"x\":"),
                new StreamEvent.ToolArgumentsDelta(1, "2}"),
                new StreamEvent.ToolArgumentsDelta(0, "1}"),
                new StreamEvent.Finished(FinishReason.STOP, null),
                new StreamEvent.Ended()));
    int open = 0;
    for (String line : stream.split("\n")) {
      if (line.startsWith("data: ")) {
        String type = Json.parse(line.substring(6).getBytes(UTF_8)).path("type").asString();
        open += type.equals("content_block_start") ? 1 : type.equals("content_block_stop") ? -1 : 0;
        assertThat(open).isBetween(0, 1);
      }
    }
    assertThat(stream).contains("\"stop_reason\":\"tool_use\"");
    assertThat(stream.indexOf("{\\\"x\\\":")).isLessThan(stream.indexOf("{\\\"y\\\":"));
  }

  @Test
  void theFirstOfSeveralCallsGoesOutAsItComesAndTheSecondWhenTheFirstIsWhole() throws Exception {
    Translator.StreamReader reader = new OpenAiTranslator(false).streamReader();
    Translator.StreamWriter writer = new AnthropicTranslator().streamWriter(head());
    StringBuilder out = new StringBuilder();
    String chunk =
        "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':%d,'id':'c%d','function':{'name':'f','arguments':'%s'}}]}}]}";
    reader
        .read(chunk.formatted(0, 0, "{}").replace('\'', '"'))
        .forEach(e -> out.append(writer.write(e)));
    assertThat(out.toString()).contains("\"id\":\"c0\"").contains("input_json_delta");
    reader
        .read(chunk.formatted(1, 1, "{").replace('\'', '"'))
        .forEach(e -> out.append(writer.write(e)));
    assertThat(out.toString()).contains("\"id\":\"c1\"");
  }

  @Test
  void cachedTokensAreCountedOnceWhicheverWayTheyAreWritten() throws Exception {
    Usage anthropic =
        TranslationProperties.ok(
                new AnthropicTranslator()
                    .readAnswer(
                        json(
                            "{'id':'i','model':'m','content':[{'type':'text','text':'x'}],'stop_reason':'end_turn','usage':"
                                + "{'input_tokens':10,'cache_read_input_tokens':9000,'cache_creation_input_tokens':90,'output_tokens':7}}")))
            .usage();
    assertThat(anthropic).isEqualTo(new Usage(9100, 9000, 90, 7, 0));
    JsonNode chat =
        new OpenAiTranslator(false)
            .writeAnswer(
                new ChatAnswer(
                    "i", "m", 1, List.of(new Part.Text("x")), FinishReason.STOP, null, anthropic),
                head());
    assertThat(chat.path("usage").path("prompt_tokens").asInt()).isEqualTo(9100);
    assertThat(chat.path("usage").path("prompt_tokens_details").path("cached_tokens").asInt())
        .isEqualTo(9000);
  }

  @Test
  void anthropicsTwoReportsOfOneStreamAreMergedAndNotAdded() throws Exception {
    List<StreamEvent> events =
        read(
            new AnthropicTranslator(),
            "{'type':'message_start','message':{'id':'i','model':'m','usage':{'input_tokens':10,'cache_read_input_tokens':90,'output_tokens':1}}}",
            "{'type':'message_delta','delta':{'stop_reason':'end_turn'},'usage':{'input_tokens':10,'cache_read_input_tokens':90,'output_tokens':25}}",
            "{'type':'message_stop'}");
    Collector collector = new Collector();
    events.forEach(collector::add);
    assertThat(collector.usage()).isEqualTo(new Usage(100, 90, 0, 25, 0));
  }

  @Test
  void geminisThoughtsAreAddedToItsOutput() throws Exception {
    Usage usage =
        TranslationProperties.ok(
                new GeminiTranslator(false)
                    .readAnswer(
                        json(
                            "{'candidates':[{'finishReason':'STOP','content':{'parts':[{'text':'x'}]}}],'usageMetadata':"
                                + "{'promptTokenCount':5,'candidatesTokenCount':3,'thoughtsTokenCount':40}}")))
            .usage();
    assertThat(usage).isEqualTo(new Usage(5, 0, 0, 43, 40));
  }

  @ParameterizedTest
  @CsvSource({"OPENAI", "RESPONSES", "ANTHROPIC", "GEMINI"})
  void aStreamThatJustEndsIsARetryableErrorAndNotA400(Dialect dialect) throws Exception {
    Translator translator = Conversations.TRANSLATORS.get(dialect);
    StreamEvent end = translator.streamReader().end().getFirst();
    ApiError error = ((StreamEvent.Failed) end).error();
    assertThat(error.kind().status()).isGreaterThanOrEqualTo(500);
    assertThat(error.isRetryable()).isTrue();
    assertThat(write(translator, List.of(end))).contains("broke off").doesNotContain("[DONE]");
  }

  @Test
  void aProvidersKeyInItsErrorGoesNoFurther() {
    for (String secret :
        List.of("sk-proj-abcdefghijklmnop1234567890", "AIzaSyD-1234567890abcdefghijklmnop")) {
      byte[] body = ("{\"error\":{\"message\":\"bad key " + secret + " given\"}}").getBytes(UTF_8);
      for (Translator translator : Conversations.TRANSLATORS.values()) {
        assertThat(translator.readError(400, body).message()).doesNotContain(secret);
        assertThat(translator.readError(401, body).message()).doesNotContain(secret);
      }
      assertThat(UpstreamErrors.streamed("x " + secret).message()).doesNotContain(secret);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ANTHROPIC | 'frequency_penalty':0.5 | frequency_penalty",
        "ANTHROPIC | 'n':2 | n",
        "ANTHROPIC | 'logit_bias':{'1':5} | logit_bias",
        "ANTHROPIC | 'temperature':1.5 | temperature",
        "ANTHROPIC | 'response_format':{'type':'json_object'} | response_format",
        "ANTHROPIC | 'web_search_options':{'a':1} | web_search_options",
        "GEMINI | 'parallel_tool_calls':false | parallel_tool_calls",
        "GEMINI | 'verbosity':'low' | verbosity",
        "RESPONSES | 'stop':'x' | stop",
        "RESPONSES | 'top_k':4 | top_k",
        "GEMINI | 'something_new':'x' | something_new",
      })
  void whatATargetCannotExpressAndWouldChangeTheAnswerIsRefusedByName(
      Dialect target, String field, String name) throws Exception {
    ChatRequest request =
        TranslationProperties.ok(
            new OpenAiTranslator(true)
                .readRequest(
                    json("{'model':'m','messages':[{'role':'user','content':'x'}]," + field + "}"),
                    Translator.Call.NONE));
    Outcome<Translator.Written> written =
        Conversations.TRANSLATORS.get(target).writeRequest(request);
    assertThat(written).isInstanceOf(Outcome.Refused.class);
    ApiError error = ((Outcome.Refused<Translator.Written>) written).error();
    assertThat(error.kind().status()).isEqualTo(400);
    assertThat(error.parameter()).isEqualTo(name);
  }

  @Test
  void whatDoesNotChangeTheAnswerIsDroppedAndListed() throws Exception {
    ChatRequest request =
        TranslationProperties.ok(
            new OpenAiTranslator(true)
                .readRequest(
                    json(
                        "{'model':'m','messages':[{'role':'user','content':'x'}],'seed':7,'store':true,'metadata':{'a':'b'},"
                            + "'service_tier':'auto','user':'u','max_tokens':9,'parallel_tool_calls':true}"),
                    Translator.Call.NONE));
    Translator.Written written =
        TranslationProperties.ok(new AnthropicTranslator().writeRequest(request));
    assertThat(written.dropped()).contains("seed", "store", "metadata", "service_tier");
    assertThat(written.body().path("max_tokens").asInt()).isEqualTo(9);
    assertThat(written.body().path("metadata").path("user_id").asString()).isEqualTo("u");
  }

  @Test
  void parallelResultsComeFirstAndTogetherInOneTurnForAnthropic() throws Exception {
    ChatRequest request =
        TranslationProperties.ok(
            new OpenAiTranslator(true)
                .readRequest(
                    json(
                        "{'model':'m','messages':[{'role':'user','content':'x'},{'role':'assistant','tool_calls':["
                            + "{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}},"
                            + "{'id':'b','type':'function','function':{'name':'f','arguments':'{}'}}]},"
                            + "{'role':'tool','tool_call_id':'a','content':'1'},{'role':'tool','tool_call_id':'b','content':'2'},"
                            + "{'role':'user','content':'go on'}]}"),
                    Translator.Call.NONE));
    JsonNode messages =
        TranslationProperties.ok(new AnthropicTranslator().writeRequest(request))
            .body()
            .path("messages");
    assertThat(messages.size()).isEqualTo(3);
    List<String> types = new ArrayList<>();
    messages.path(2).path("content").forEach(b -> types.add(b.path("type").asString()));
    assertThat(types).containsExactly("tool_result", "tool_result", "text");
  }

  @Test
  void aToolWithoutArgumentsStillEndsItsBlock() throws Exception {
    List<StreamEvent> events =
        read(
            new OpenAiTranslator(false),
            "{'choices':[{'delta':{'tool_calls':[{'index':0,'id':'c','function':{'name':'f','arguments':''}}]}}]}",
            "{'choices':[{'delta':{},'finish_reason':'tool_calls'}]}",
            "[DONE]");
    String stream = write(new AnthropicTranslator(), events);
    assertThat(stream).contains("content_block_stop").contains("message_stop");
    Collector collector = new Collector();
    events.forEach(collector::add);
    assertThat(((Part.ToolCall) collector.parts().getFirst()).arguments()).isEqualTo("{}");
  }

  @Test
  void commentsInAStreamAreNoEvents() throws Exception {
    var sse = new dev.gridtie.wire.SseReader();
    assertThat(sse.push(": OPENROUTER PROCESSING\n\ndata: {}\n\n".getBytes(UTF_8)))
        .containsExactly("{}");
  }

  @Test
  void aResponseThatEndsWithoutItsLastEventIsCut() throws Exception {
    List<StreamEvent> events =
        read(
            new ResponsesTranslator(),
            "{'type':'response.created','response':{'id':'r','model':'m'}}",
            "{'type':'response.output_text.delta','output_index':0,'delta':'x'}");
    assertThat(events.getLast()).isInstanceOf(StreamEvent.Failed.class);
  }
}
