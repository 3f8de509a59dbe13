package dev.gridtie.wire.chat;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * A request for a turn of a conversation.
 *
 * @param model as the client named it
 * @param parallelTools whether several tools may be called in one turn; null where unsaid
 * @param verbosity OpenAI's {@code low}, {@code medium} or {@code high}
 * @param user an opaque name of the end user
 * @param stream whether the answer is to come in pieces
 * @param includeUsage whether an OpenAI chat stream is to end with its usage
 * @param source the dialect it was written in
 * @param others fields of that dialect that no other has
 */
public record ChatRequest(
    String model,
    List<Message> messages,
    Sampling sampling,
    List<ToolSpec> tools,
    ToolChoice toolChoice,
    @Nullable Boolean parallelTools,
    OutputFormat format,
    Thinking thinking,
    @Nullable String verbosity,
    @Nullable String user,
    boolean stream,
    boolean includeUsage,
    Dialect source,
    Map<String, JsonNode> others) {

  public ChatRequest {
    messages = List.copyOf(messages);
    tools = List.copyOf(tools);
    others = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(others));
  }

  /** Stands for a request that nobody read, where only its model and dialect matter. */
  public static ChatRequest unread(String model, Dialect source, boolean stream) {
    return new ChatRequest(
        model,
        List.of(),
        Sampling.UNSAID,
        List.of(),
        new ToolChoice.Auto(),
        null,
        new OutputFormat.Plain(),
        Thinking.UNSAID,
        null,
        null,
        stream,
        true,
        source,
        Map.of());
  }

  /** The same request, for a model by another name. */
  public ChatRequest withModel(String newModel) {
    return with(newModel, messages, sampling, includeUsage);
  }

  public ChatRequest withMessages(List<Message> newMessages) {
    return with(model, newMessages, sampling, includeUsage);
  }

  public ChatRequest withSampling(Sampling newSampling) {
    return with(model, messages, newSampling, includeUsage);
  }

  /** The same request, whose stream ends with its usage. */
  public ChatRequest withUsage() {
    return with(model, messages, sampling, true);
  }

  private ChatRequest with(
      String newModel, List<Message> newMessages, Sampling newSampling, boolean newUsage) {
    return new ChatRequest(
        newModel,
        newMessages,
        newSampling,
        tools,
        toolChoice,
        parallelTools,
        format,
        thinking,
        verbosity,
        user,
        stream,
        newUsage,
        source,
        others);
  }

  /** The most tokens of the answer that were asked for, null where unsaid. */
  public @Nullable Integer maxTokens() {
    return sampling.maxTokens();
  }

  /** Whether any message holds media of this kind. */
  public boolean has(Part.MediaKind kind) {
    return messages.stream()
        .flatMap(m -> m.parts().stream())
        .anyMatch(
            p ->
                (p instanceof Part.Media m && m.kind() == kind)
                    || (p instanceof Part.ToolResult r
                        && r.content().stream()
                            .anyMatch(c -> c instanceof Part.Media m && m.kind() == kind)));
  }
}
