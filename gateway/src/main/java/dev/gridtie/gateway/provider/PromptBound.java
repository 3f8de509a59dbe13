package dev.gridtie.gateway.provider;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.ToolSpec;

/**
 * An upper bound of a prompt's tokens where nobody can count them: every token stands for at least
 * one byte of text, and the form around a message and a tool is short.
 */
public final class PromptBound {
  /** For the form around a message, a call, a tool. */
  private static final int FORM_TOKENS = 16;

  /** For a vendor's own words about tools and formats. */
  private static final int PREAMBLE_TOKENS = 1024;

  /** How many bytes a token stands for, usually: for estimates, never for bounds. */
  public static final int BYTES_A_TOKEN = 4;

  private PromptBound() {}

  /**
   * The most tokens a prompt can have.
   *
   * @param imageTokensMax what an image may count as
   */
  public static int of(ChatRequest request, int imageTokensMax) {
    long tokens = text(request, imageTokensMax) + FORM_TOKENS;
    boolean form = !request.tools().isEmpty() || !(request.format() instanceof OutputFormat.Plain);
    return (int) Math.min(Integer.MAX_VALUE, tokens + (form ? PREAMBLE_TOKENS : 0));
  }

  /** What a prompt probably has: where a server did not get to say. */
  public static long estimate(ChatRequest request) {
    return Math.ceilDiv(text(request, BYTES_A_TOKEN), BYTES_A_TOKEN);
  }

  /** What so many characters of an answer probably are. */
  public static long estimateOfText(long characters) {
    return Math.ceilDiv(characters, BYTES_A_TOKEN);
  }

  private static long text(ChatRequest request, int image) {
    long bytes = 0;
    for (Message message : request.messages()) {
      bytes += FORM_TOKENS;
      for (Part part : message.parts()) {
        bytes += part(part, image);
      }
    }
    for (ToolSpec tool : request.tools()) {
      bytes += FORM_TOKENS + length(tool.name()) + length(Json.write(tool.parameters()));
      bytes += tool.description() == null ? 0 : length(tool.description());
    }
    if (request.format() instanceof OutputFormat.JsonSchema schema) {
      bytes += length(Json.write(schema.schema()));
    }
    return bytes;
  }

  private static long part(Part part, int image) {
    return switch (part) {
      case Part.Text p -> length(p.text());
      case Part.Refusal p -> length(p.text());
      case Part.Reasoning p -> length(p.text()) + (p.seal() == null ? 0 : p.seal().data().length());
      case Part.ToolCall p -> FORM_TOKENS + length(p.name()) + length(p.arguments());
      case Part.ToolResult p ->
          FORM_TOKENS + p.content().stream().mapToLong(c -> part(c, image)).sum();
      case Part.Media p ->
          p.kind() == Part.MediaKind.IMAGE
              ? image
              : p.data() == null ? image : Math.max(image, p.data().length());
    };
  }

  private static long length(String text) {
    return text.getBytes(UTF_8).length;
  }
}
