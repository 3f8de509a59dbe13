package dev.gridtie.wire.gemini;

import static dev.gridtie.wire.openai.OpenAiUsage.count;

import dev.gridtie.base.Json;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.chat.ChatAnswer;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Usage;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Whole answers of Gemini, and what they share with the pieces of streamed ones. */
final class GeminiAnswers {
  private static final int CANDIDATES_MAX = 16;

  private GeminiAnswers() {}

  static ChatAnswer read(JsonNode json) throws RefusedException {
    Fields in = Fields.root(json);
    List<Part> parts = new ArrayList<>();
    FinishReason finish = FinishReason.STOP;
    List<Fields> candidates = in.objects("candidates", CANDIDATES_MAX);
    if (!candidates.isEmpty()) {
      Fields candidate = candidates.getFirst();
      Fields content = candidate.object("content");
      if (content != null) {
        parts.addAll(new GeminiParts(GeminiParts.idPrefix(json)).read(content));
      }
      String reason = candidate.text("finishReason");
      finish = finish(reason == null ? "STOP" : reason);
    } else if (json.path("promptFeedback").has("blockReason")) {
      finish = FinishReason.CONTENT_FILTER;
    } else {
      throw new RefusedException("upstream_malformed", "The answer has no candidate.", null);
    }
    return new ChatAnswer(
        json.path("responseId").asString(""),
        json.path("modelVersion").asString(""),
        0,
        parts,
        ChatAnswer.reconcile(finish, parts),
        null,
        usage(json.path("usageMetadata")));
  }

  /** Output leaves out what was thought; here it is added. */
  static Usage usage(JsonNode usage) {
    long thoughts = count(usage, "thoughtsTokenCount");
    return new Usage(
        count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount"),
        count(usage, "cachedContentTokenCount"),
        0,
        count(usage, "candidatesTokenCount") + thoughts,
        thoughts);
  }

  static ObjectNode usage(Usage usage, Head head) {
    ObjectNode json = Json.object();
    json.put("promptTokenCount", usage.input());
    json.put("candidatesTokenCount", Math.max(0, usage.output() - usage.reasoning()));
    json.put("totalTokenCount", usage.input() + usage.output());
    if (usage.cacheRead() > 0) {
      json.put("cachedContentTokenCount", usage.cacheRead());
    }
    if (usage.reasoning() > 0) {
      json.put("thoughtsTokenCount", usage.reasoning());
    }
    head.note().add(usage, json);
    return json;
  }

  static FinishReason finish(String reason) {
    return switch (reason) {
      case "MAX_TOKENS" -> FinishReason.LENGTH;
      case "SAFETY",
          "RECITATION",
          "BLOCKLIST",
          "PROHIBITED_CONTENT",
          "SPII",
          "LANGUAGE",
          "IMAGE_SAFETY" ->
          FinishReason.CONTENT_FILTER;
      case "MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS" ->
          FinishReason.ERROR;
      default -> FinishReason.STOP;
    };
  }

  static String finish(FinishReason reason) {
    return switch (reason) {
      case STOP, TOOL_CALLS, PAUSE -> "STOP";
      case LENGTH -> "MAX_TOKENS";
      case CONTENT_FILTER -> "SAFETY";
      case ERROR -> "OTHER";
    };
  }

  static ObjectNode write(ChatAnswer answer, Head head) {
    boolean shows = shows(head);
    ObjectNode json = Json.object();
    ObjectNode candidate = json.putArray("candidates").addObject();
    ObjectNode content = candidate.putObject("content").put("role", "model");
    ArrayNode parts = content.putArray("parts");
    answer.parts().forEach(p -> GeminiParts.addIfAny(parts, GeminiParts.write(p, shows)));
    candidate.put("finishReason", finish(answer.finish())).put("index", 0);
    json.set("usageMetadata", usage(answer.usage(), head));
    tail(json, head);
    return json;
  }

  static void tail(ObjectNode json, Head head) {
    json.put("modelVersion", head.model());
    json.put("responseId", head.id());
  }

  /** Gemini shows thoughts to those who ask for them. */
  static boolean shows(Head head) {
    return Boolean.TRUE.equals(head.request().thinking().show());
  }
}
