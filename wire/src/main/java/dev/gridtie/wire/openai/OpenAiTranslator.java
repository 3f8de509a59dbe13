package dev.gridtie.wire.openai;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Translator;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** OpenAI chat completions. */
public final class OpenAiTranslator implements Translator {
  private final boolean extended;

  /**
   * @param extended whether requests may be written with OpenRouter's additions, which OpenAI's own
   *     servers refuse
   */
  public OpenAiTranslator(boolean extended) {
    this.extended = extended;
  }

  /** Ids of answers begin as OpenAI's do, or as OpenRouter's where they come so. */
  static String answerId(Head head) {
    return head.id().startsWith("gen-") ? head.id() : "chatcmpl-" + head.id();
  }

  @Override
  public Dialect dialect() {
    return Dialect.OPENAI;
  }

  @Override
  public Outcome<ChatRequest> readRequest(JsonNode body, Call call) {
    return Fields.outcome(() -> OpenAiRequestReader.read(body));
  }

  @Override
  public Outcome<Written> writeRequest(ChatRequest request) {
    return Fields.outcome(() -> new OpenAiRequestWriter(extended).write(request));
  }

  @Override
  public Outcome<ChatAnswer> readAnswer(JsonNode body) {
    return Fields.outcome(() -> OpenAiAnswerReader.read(body));
  }

  @Override
  public ObjectNode writeAnswer(ChatAnswer answer, Head head) {
    return OpenAiAnswerWriter.write(answer, head);
  }

  @Override
  public StreamReader streamReader() {
    return new OpenAiStreamReader();
  }

  @Override
  public StreamWriter streamWriter(Head head) {
    return new OpenAiStreamWriter(head);
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
