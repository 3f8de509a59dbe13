package dev.gridtie.wire.chat;

import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** A piece of a message. */
public sealed interface Part {
  /**
   * Plain text.
   *
   * @param seal a Gemini thought signature that came with it
   * @param cacheControl Anthropic's mark that a prompt may be cached up to here
   */
  record Text(String text, @Nullable Seal seal, @Nullable JsonNode cacheControl) implements Part {
    public Text(String text) {
      this(text, null, null);
    }
  }

  /** Something to look at, listen to or read. */
  enum MediaKind {
    IMAGE,
    AUDIO,
    DOCUMENT
  }

  /**
   * Media, by value or by reference; one of {@code data} and {@code url} is there.
   *
   * @param mimeType such as {@code image/png}; may be unknown of a URL
   * @param data Base64
   * @param name of the file
   * @param detail OpenAI's {@code low}, {@code high} or {@code auto}
   */
  record Media(
      MediaKind kind,
      @Nullable String mimeType,
      @Nullable String data,
      @Nullable String url,
      @Nullable String name,
      @Nullable String detail)
      implements Part {}

  /**
   * The model wants a tool to be run.
   *
   * @param id that the result names
   * @param arguments a JSON object, as the model wrote it
   * @param seal a Gemini thought signature that came with it
   */
  record ToolCall(String id, String name, String arguments, @Nullable Seal seal) implements Part {}

  /**
   * What a tool said.
   *
   * @param callId of the call it answers
   * @param name of the tool; empty where the dialect does not say
   * @param content texts and media
   */
  record ToolResult(String callId, String name, List<Part> content, boolean isError)
      implements Part {
    public ToolResult {
      content = List.copyOf(content);
    }
  }

  /**
   * What the model thought, as far as it is shown, and its sealed state.
   *
   * @param text may be empty, where only the state is there
   */
  record Reasoning(String text, @Nullable Seal seal) implements Part {}

  /** The model declines. */
  record Refusal(String text) implements Part {}
}
