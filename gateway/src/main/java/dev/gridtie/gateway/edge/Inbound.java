package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.anthropic.AnthropicTranslator;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Translator.Call;
import dev.gridtie.wire.gemini.GeminiTranslator;
import dev.gridtie.wire.openai.CompletionsTranslator;
import dev.gridtie.wire.openai.OpenAiTranslator;
import dev.gridtie.wire.responses.ResponsesTranslator;
import java.net.URLDecoder;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/**
 * A door through which requests for answers come in: a path, and the dialect spoken behind it.
 *
 * @param path as the client asked for it, without its query
 * @param call what the URL says, which matters to Gemini alone
 * @param verbatim whether bytes may pass untouched to a server of the same dialect
 * @param openRouter whether answers look as OpenRouter's do: their ids, their cost
 * @param texts the form of requests for embeddings, where those come in here
 */
record Inbound(
    String path,
    Translator translator,
    Call call,
    boolean verbatim,
    boolean openRouter,
    Optional<EmbeddingsForm> texts) {

  private static final Translator OPENAI = new OpenAiTranslator(true);
  private static final Translator COMPLETIONS = new CompletionsTranslator();
  private static final Translator RESPONSES = new ResponsesTranslator();
  private static final Translator ANTHROPIC = new AnthropicTranslator();
  private static final Translator GEMINI = new GeminiTranslator(false);
  private static final Translator GEMINI_ARRAY = new GeminiTranslator(true);
  private static final List<String> GEMINI_MODELS =
      List.of("/v1beta/models/", "/v1/models/", "/v1alpha/models/");
  private static final String OPEN_ROUTER = "/api";

  /** The same door, at another path. */
  Inbound at(String newPath) {
    return new Inbound(newPath, translator, call, false, openRouter, texts);
  }

  /** The door at a path, where requests for answers come in there. */
  static Optional<Inbound> at(String path, @Nullable String query) {
    boolean openRouter = path.startsWith(OPEN_ROUTER + "/v1/");
    String plain = openRouter ? path.substring(OPEN_ROUTER.length()) : path;
    Translator translator =
        switch (plain) {
          case "/v1/chat/completions" -> OPENAI;
          case "/v1/completions" -> openRouter ? null : COMPLETIONS;
          case "/v1/responses" -> RESPONSES;
          case "/v1/messages" -> ANTHROPIC;
          default -> null;
        };
    if (translator != null) {
      boolean verbatim = !openRouter && translator != COMPLETIONS;
      return Optional.of(
          new Inbound(path, translator, Call.NONE, verbatim, openRouter, Optional.empty()));
    }
    if (plain.equals("/v1/embeddings")) {
      return Optional.of(
          new Inbound(
              path, OPENAI, Call.NONE, false, openRouter, Optional.of(EmbeddingsForm.OPENAI)));
    }
    return gemini(path, query);
  }

  private static Optional<Inbound> gemini(String path, @Nullable String query) {
    Optional<GeminiPath> asked = GeminiPath.of(path);
    if (asked.isEmpty()) {
      return Optional.empty();
    }
    Call whole = new Call(asked.get().model(), false);
    switch (asked.get().action()) {
      case "embedContent" -> {
        return Optional.of(
            new Inbound(path, GEMINI, whole, false, false, Optional.of(EmbeddingsForm.GEMINI_ONE)));
      }
      case "batchEmbedContents" -> {
        return Optional.of(
            new Inbound(
                path, GEMINI, whole, false, false, Optional.of(EmbeddingsForm.GEMINI_MANY)));
      }
      case "countTokens" -> {
        return Optional.empty();
      }
      default -> {}
    }
    boolean stream = asked.get().action().equals("streamGenerateContent");
    boolean events = query != null && query.contains("alt=sse");
    return Optional.of(
        new Inbound(
            path,
            stream && !events ? GEMINI_ARRAY : GEMINI,
            new Call(asked.get().model(), stream),
            !stream || events,
            false,
            Optional.empty()));
  }

  /**
   * {@code /v1beta/models/MODEL:ACTION}, in whichever version; a model's name may hold slashes, and
   * is followed by one of Gemini's actions.
   */
  record GeminiPath(String model, String action) {
    private static final Set<String> ACTIONS =
        Set.of(
            "generateContent",
            "streamGenerateContent",
            "countTokens",
            "embedContent",
            "batchEmbedContents");

    static Optional<GeminiPath> of(String path) {
      int colon = path.lastIndexOf(':');
      Optional<String> prefix = GEMINI_MODELS.stream().filter(path::startsWith).findFirst();
      if (prefix.isEmpty()
          || colon < prefix.get().length()
          || !ACTIONS.contains(path.substring(colon + 1))) {
        return Optional.empty();
      }
      String model = path.substring(prefix.get().length(), colon);
      try {
        return Optional.of(
            new GeminiPath(URLDecoder.decode(model, UTF_8), path.substring(colon + 1)));
      } catch (IllegalArgumentException e) {
        return Optional.empty();
      }
    }
  }

  /** How errors look behind this door. */
  Function<ApiError, ObjectNode> errorForm() {
    return openRouter ? OpenRouterErrors::of : translator::writeError;
  }

  /** The media type of a stream through this door. */
  String streamType() {
    return translator == GEMINI_ARRAY ? "application/json" : "text/event-stream; charset=utf-8";
  }
}
