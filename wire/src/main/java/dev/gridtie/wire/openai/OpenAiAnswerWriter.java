package dev.gridtie.wire.openai;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Translator.Head;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Writes a whole chat completion. */
final class OpenAiAnswerWriter {
  private OpenAiAnswerWriter() {}

  static ObjectNode write(ChatAnswer answer, Head head) {
    ObjectNode json = Json.object();
    json.put("id", OpenAiTranslator.answerId(head));
    json.put("object", "chat.completion");
    json.put("created", head.created());
    json.put("model", head.model());
    json.putNull("system_fingerprint");
    ObjectNode choice = json.putArray("choices").addObject();
    choice.put("index", 0);
    choice.set("message", message(answer, shows(head)));
    choice.putNull("logprobs");
    FinishReason finish = ChatAnswer.reconcile(answer.finish(), answer.parts());
    choice.put("finish_reason", OpenAiFinish.write(finish));
    json.set("usage", OpenAiUsage.write(answer.usage(), head.note()));
    return json;
  }

  /** Whether thoughts are wanted: unless the request says not. */
  static boolean shows(Head head) {
    return !Boolean.FALSE.equals(head.request().thinking().show());
  }

  private static ObjectNode message(ChatAnswer answer, boolean shows) {
    ObjectNode message = Json.object();
    message.put("role", "assistant");
    StringBuilder reasoning = new StringBuilder();
    StringBuilder text = new StringBuilder();
    StringBuilder refusal = new StringBuilder();
    ArrayNode details = Json.array();
    ArrayNode calls = Json.array();
    int thoughts = 0;
    boolean said = false;
    for (Part part : answer.parts()) {
      switch (part) {
        case Part.Text p -> {
          said = true;
          text.append(p.text());
          if (p.seal() != null) {
            OpenAiRequestWriter.google(message, p.seal());
          }
        }
        case Part.Refusal p -> refusal.append(p.text());
        case Part.Reasoning p -> {
          reasoning.append(p.text());
          details.addAll(ReasoningDetails.write(p, thoughts++));
        }
        case Part.ToolCall p -> {
          ObjectNode call = calls.addObject().put("id", p.id()).put("type", "function");
          call.putObject("function").put("name", p.name()).put("arguments", p.arguments());
          if (p.seal() != null) {
            OpenAiRequestWriter.google(call, p.seal());
          }
        }
        case Part.Media p -> {}
        case Part.ToolResult p -> {}
      }
    }
    if (said || (calls.isEmpty() && refusal.isEmpty())) {
      message.put("content", text.toString());
    } else {
      message.putNull("content");
    }
    if (refusal.isEmpty()) {
      message.putNull("refusal");
    } else {
      message.put("refusal", refusal.toString());
    }
    if (!reasoning.isEmpty() && shows) {
      message.put("reasoning", reasoning.toString());
    }
    if (!details.isEmpty() && shows) {
      message.set("reasoning_details", details);
    }
    if (!calls.isEmpty()) {
      message.set("tool_calls", calls);
    }
    return message;
  }
}
