package dev.gridtie.wire.responses;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.openai.ErrorEnvelope;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** OpenAI responses. */
public final class ResponsesTranslator implements Translator {
  @Override
  public Dialect dialect() {
    return Dialect.RESPONSES;
  }

  @Override
  public Outcome<ChatRequest> readRequest(JsonNode body, Call call) {
    return Fields.outcome(() -> ResponsesRequestReader.read(body));
  }

  @Override
  public Outcome<Written> writeRequest(ChatRequest request) {
    return Fields.outcome(() -> new ResponsesRequestWriter().write(request));
  }

  @Override
  public Outcome<ChatAnswer> readAnswer(JsonNode body) {
    return Fields.outcome(() -> ResponsesAnswerReader.read(body));
  }

  @Override
  public ObjectNode writeAnswer(ChatAnswer answer, Head head) {
    return ResponseObject.write(answer, head);
  }

  @Override
  public StreamReader streamReader() {
    return new ResponsesStreamReader();
  }

  @Override
  public StreamWriter streamWriter(Head head) {
    return new ResponsesStreamWriter(head);
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
