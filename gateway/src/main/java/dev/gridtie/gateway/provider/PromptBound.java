package dev.gridtie.gateway.provider;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.OutputFormat;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.ToolSpec;
import dev.gridtie.wire.chat.Translator;
import java.util.List;

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

  /** For the form around a message or a tool, as it usually is. */
  private static final int FORM_TOKENS_USUAL = 4;

  /** What an image usually counts as. */
  private static final int IMAGE_TOKENS_USUAL = 1024;

  /** How much of a document or a recording, in Base64, usually counts as a token. */
  private static final int MEDIA_CHARACTERS_A_TOKEN = 64;

  private PromptBound() {}

  /**
   * The most tokens a prompt can have; {@link Integer#MAX_VALUE} where it holds a document, or
   * refers to something elsewhere but an image, of which nothing tells how long it is.
   *
   * @param imageTokensMax what an image may count as
   */
  public static int of(ChatRequest request, int imageTokensMax) {
    boolean unknown =
        request.messages().stream()
            .flatMap(m -> m.parts().stream())
            .anyMatch(PromptBound::isUnknown);
    if (unknown) {
      return Integer.MAX_VALUE;
    }
    long tokens = text(request, imageTokensMax) + FORM_TOKENS;
    boolean form = !request.tools().isEmpty() || !(request.format() instanceof OutputFormat.Plain);
    return (int) Math.min(Integer.MAX_VALUE, tokens + (form ? PREAMBLE_TOKENS : 0));
  }

  /** Whether nothing tells how many tokens a part is: a document's pages, and what is elsewhere. */
  private static boolean isUnknown(Part part) {
    return switch (part) {
      case Part.Media p ->
          p.kind() == Part.MediaKind.DOCUMENT
              || (p.kind() != Part.MediaKind.IMAGE && p.data() == null);
      case Part.ToolResult p -> p.content().stream().anyMatch(PromptBound::isUnknown);
      default -> false;
    };
  }

  /** The most tokens texts can have: a byte is at most one, and each may begin and end with one. */
  public static long of(List<String> texts) {
    return texts.stream().mapToLong(t -> length(t) + 2).sum();
  }

  /**
   * What a job's prompt probably has, by our own count: where its server did not say.
   *
   * @param imageTokensMax what an image may count as, at most
   */
  static long estimate(Job job, int imageTokensMax) {
    Outcome<ChatRequest> read =
        job.request().isPresent() ? Outcome.ok(job.request().get()) : read(job);
    return switch (read) {
      case Outcome.Ok<ChatRequest> ok ->
          counted(ok.value(), Math.min(imageTokensMax, IMAGE_TOKENS_USUAL));
      case Outcome.Refused<ChatRequest> refused -> Math.ceilDiv(job.body().length, BYTES_A_TOKEN);
    };
  }

  private static Outcome<ChatRequest> read(Job job) {
    try {
      return job.client().readRequest(Json.parse(job.body()), Translator.Call.NONE);
    } catch (Json.MalformedJsonException e) {
      return Outcome.refused(ApiError.invalid("invalid_json", "", null));
    }
  }

  /** Every text by the tokenizer, and what is no text by its form. */
  private static long counted(ChatRequest request, int image) {
    StringBuilder words = new StringBuilder();
    long form = FORM_TOKENS_USUAL;
    for (Message message : request.messages()) {
      form += FORM_TOKENS_USUAL;
      for (Part part : message.parts()) {
        form += counted(part, image, words);
      }
    }
    for (ToolSpec tool : request.tools()) {
      form += FORM_TOKENS_USUAL;
      words.append(tool.name()).append(' ').append(Json.write(tool.parameters())).append('\n');
      words.append(tool.description() == null ? "" : tool.description()).append('\n');
    }
    if (request.format() instanceof OutputFormat.JsonSchema schema) {
      words.append(Json.write(schema.schema()));
    }
    return form + TokenCount.of(words);
  }

  private static long counted(Part part, int image, StringBuilder words) {
    switch (part) {
      case Part.Text p -> words.append(p.text()).append('\n');
      case Part.Refusal p -> words.append(p.text()).append('\n');
      case Part.Reasoning p -> words.append(p.text()).append('\n');
      case Part.ToolCall p -> words.append(p.name()).append(' ').append(p.arguments()).append('\n');
      case Part.ToolResult p -> {
        return p.content().stream().mapToLong(c -> counted(c, image, words)).sum();
      }
      case Part.Media p -> {
        return p.kind() == Part.MediaKind.IMAGE || p.data() == null
            ? image
            : Math.max(image, p.data().length() / MEDIA_CHARACTERS_A_TOKEN);
      }
    }
    return 0;
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
          p.kind() == Part.MediaKind.IMAGE || p.data() == null
              ? image
              : Math.max(image, p.data().length());
    };
  }

  private static long length(String text) {
    return text.getBytes(UTF_8).length;
  }
}
