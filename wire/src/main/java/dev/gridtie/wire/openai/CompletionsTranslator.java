package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Sampling;
import dev.gridtie.wire.chat.StreamEvent;
import dev.gridtie.wire.chat.Thinking;
import dev.gridtie.wire.chat.ToolChoice;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Usage;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * OpenAI's older completions, for clients: the prompt becomes a user's turn, the answer's text the
 * completion. No server is spoken to in this form.
 */
public final class CompletionsTranslator implements Translator {
  private static final int STOPS_MAX = 4;

  @Override
  public Dialect dialect() {
    return Dialect.OPENAI;
  }

  @Override
  public Outcome<ChatRequest> readRequest(JsonNode body, Call call) {
    return Fields.outcome(() -> read(body));
  }

  private static ChatRequest read(JsonNode body) throws RefusedException {
    Fields in = Fields.root(body);
    String model = in.requiredText("model");
    List<String> prompts = in.texts("prompt", 1);
    if (prompts.isEmpty()) {
      throw new RefusedException(
          "missing_required_parameter", "'prompt' must be a text.", "prompt");
    }
    if (in.has("suffix")) {
      throw in.unsupported(
          "suffix", "cannot be honoured: models here answer, and fill nothing in.");
    }
    if (in.isTrue("echo")) {
      throw in.unsupported("echo", "is not taken: the answer holds the completion alone.");
    }
    if (in.has("logprobs")) {
      throw in.unsupported("logprobs", "is not taken here; chat completions have them.");
    }
    Integer bestOf = in.whole("best_of", 1);
    if (bestOf != null && bestOf > 1) {
      throw in.unsupported("best_of", "can only be 1.");
    }
    Integer choices = in.whole("n", 1);
    JsonNode bias = in.rawOrNull("logit_bias");
    Sampling sampling =
        new Sampling(
            in.whole("max_tokens", 1),
            in.number("temperature", 0, 2),
            in.number("top_p", 0, 1),
            in.whole("top_k", 0),
            in.number("min_p", 0, 1),
            null,
            in.number("frequency_penalty", -2, 2),
            in.number("presence_penalty", -2, 2),
            in.number("repetition_penalty", 0, 2),
            in.wholeLong("seed"),
            choices == null ? 1 : choices,
            in.texts("stop", STOPS_MAX),
            null,
            bias == null || bias.isEmpty() ? null : bias);
    Fields options = in.object("stream_options");
    return new ChatRequest(
        model,
        List.of(Message.text(Message.Role.USER, prompts.getFirst())),
        sampling,
        List.of(),
        new ToolChoice.Auto(),
        null,
        new OutputFormat.Plain(),
        Thinking.UNSAID,
        null,
        in.text("user"),
        in.isTrue("stream"),
        options != null && options.isTrue("include_usage"),
        Dialect.OPENAI,
        in.rest());
  }

  @Override
  public Outcome<Written> writeRequest(ChatRequest request) {
    throw new UnsupportedOperationException("no server is spoken to in this form");
  }

  @Override
  public Outcome<ChatAnswer> readAnswer(JsonNode body) {
    throw new UnsupportedOperationException("no server is spoken to in this form");
  }

  @Override
  public StreamReader streamReader() {
    throw new UnsupportedOperationException("no server is spoken to in this form");
  }

  @Override
  public ObjectNode writeAnswer(ChatAnswer answer, Head head) {
    ObjectNode json = shell(head);
    choice(json, answer.text(), OpenAiFinish.write(answer.finish()));
    json.set("usage", OpenAiUsage.write(answer.usage(), head.note()));
    return json;
  }

  private static ObjectNode shell(Head head) {
    ObjectNode json = Json.object();
    json.put("id", "cmpl-" + head.id());
    json.put("object", "text_completion");
    json.put("created", head.created());
    json.put("model", head.model());
    return json;
  }

  private static void choice(ObjectNode json, String text, @Nullable String finish) {
    ObjectNode choice = json.putArray("choices").addObject();
    choice.put("index", 0);
    choice.put("text", text);
    choice.putNull("logprobs");
    choice.put("finish_reason", finish);
  }

  @Override
  public StreamWriter streamWriter(Head head) {
    return new Writer(head);
  }

  private static final class Writer implements StreamWriter {
    private final Head head;
    private Usage usage = Usage.NONE;

    Writer(Head head) {
      this.head = head;
    }

    @Override
    public String write(StreamEvent event) {
      return switch (event) {
        case StreamEvent.TextDelta e -> chunk(e.text(), null);
        case StreamEvent.UsageReported e -> {
          usage = usage.merge(e.usage());
          yield "";
        }
        case StreamEvent.Finished e -> chunk("", OpenAiFinish.write(e.reason()));
        case StreamEvent.Ended e ->
            (head.request().includeUsage() ? counted() : "") + "data: [DONE]\n\n";
        case StreamEvent.Failed e -> "data: " + Json.write(ErrorEnvelope.of(e.error())) + "\n\n";
        default -> "";
      };
    }

    private String chunk(String text, @Nullable String finish) {
      ObjectNode json = shell(head);
      choice(json, text, finish);
      return "data: " + Json.write(json) + "\n\n";
    }

    private String counted() {
      ObjectNode json = shell(head);
      json.putArray("choices");
      json.set("usage", OpenAiUsage.write(usage, head.note()));
      return "data: " + Json.write(json) + "\n\n";
    }
  }

  @Override
  public ObjectNode writeError(ApiError error) {
    return ErrorEnvelope.of(error);
  }

  @Override
  public ApiError readError(int status, byte[] body) {
    return ErrorEnvelope.read(status, body);
  }
}
