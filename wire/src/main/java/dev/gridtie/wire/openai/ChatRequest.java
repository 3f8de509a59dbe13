package dev.gridtie.wire.openai;

import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * A chat completion that is asked for (OpenAI, {@code POST /v1/chat/completions}), as far as an
 * engine of ours can do it.
 *
 * @param maxTokens the most tokens of the answer; empty leaves it to the gateway
 * @param temperature 0 to 2
 * @param topP above 0, to 1
 * @param topK 0 for all; an extension that open-weight servers share
 * @param minP 0 for all; likewise
 * @param seed empty lets the gateway draw one
 * @param stop at most four texts
 * @param stream whether the answer is to come in pieces
 * @param includeUsage whether a stream ends with a chunk of usage
 */
public record ChatRequest(
    String model,
    List<Message> messages,
    OptionalInt maxTokens,
    double temperature,
    double topP,
    int topK,
    double minP,
    OptionalLong seed,
    List<String> stop,
    boolean stream,
    boolean includeUsage) {

  /** One message; {@code developer} is read as {@code system}. */
  public record Message(String role, String content) {}

  public ChatRequest {
    messages = List.copyOf(messages);
    stop = List.copyOf(stop);
  }
}
