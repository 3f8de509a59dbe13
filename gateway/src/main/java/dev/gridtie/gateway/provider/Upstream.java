package dev.gridtie.gateway.provider;

import dev.gridtie.base.Secret;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.OpenAiTranslator;
import dev.gridtie.wire.responses.ResponsesTranslator;
import java.net.URI;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A model on a server elsewhere: where it is, what it speaks, and with which key.
 *
 * @param extended whether an OpenAI-compatible server knows OpenRouter's additions
 * @param base the server's base URL, version included: {@code https://api.openai.com/v1}
 * @param model what the server calls it
 * @param key empty where the server wants none
 * @param imageTokensMax what an image may count as, at most
 */
public record Upstream(
    Dialect dialect, boolean extended, URI base, String model, Secret key, int imageTokensMax) {
  private static final String ANTHROPIC_VERSION = "2023-06-01";

  /** Headers of a client's that a server of the same dialect acts on. */
  public static final java.util.Set<String> CLIENT_HEADERS =
      java.util.Set.of(
          "anthropic-version",
          "anthropic-beta",
          "openai-beta",
          "x-goog-api-client",
          "idempotency-key");

  public Translator translator() {
    return switch (dialect) {
      case OPENAI -> new OpenAiTranslator(extended);
      case RESPONSES -> new ResponsesTranslator();
      case ANTHROPIC -> new AnthropicTranslator();
      case GEMINI -> new GeminiTranslator(false);
    };
  }

  /** The path and query of a request for an answer. */
  public String path(boolean stream) {
    String at = base.getPath().replaceAll("/+$", "");
    return switch (dialect) {
      case OPENAI -> at + "/chat/completions";
      case RESPONSES -> at + "/responses";
      case ANTHROPIC -> at + "/messages";
      case GEMINI ->
          at
              + "/models/"
              + model
              + (stream ? ":streamGenerateContent?alt=sse" : ":generateContent");
    };
  }

  public int port() {
    return base.getPort() > 0 ? base.getPort() : isSecure() ? 443 : 80;
  }

  public boolean isSecure() {
    return "https".equals(base.getScheme());
  }

  /**
   * The headers of a request.
   *
   * @param clients what a client of the same dialect sent besides; nothing where it speaks another
   */
  public Map<String, String> headers(Map<String, String> clients) {
    Map<String, String> headers = new LinkedHashMap<>();
    headers.put("content-type", "application/json");
    if (dialect == Dialect.ANTHROPIC) {
      headers.put("anthropic-version", ANTHROPIC_VERSION);
    }
    headers.putAll(clients);
    if (!key.isEmpty()) {
      switch (dialect) {
        case OPENAI, RESPONSES -> headers.put("authorization", "Bearer " + key.reveal());
        case ANTHROPIC -> headers.put("x-api-key", key.reveal());
        case GEMINI -> headers.put("x-goog-api-key", key.reveal());
      }
    }
    return headers;
  }
}
