package dev.gridtie.gateway.answer;

import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Translator;
import dev.gridtie.wire.chat.Translator.Head;
import java.util.Map;
import java.util.Optional;

/**
 * A request to be answered.
 *
 * @param client the dialect the client speaks
 * @param body as the client sent it
 * @param headers of the client's that its own dialect's servers understand
 * @param stream whether the answer is to come in pieces
 * @param request as it was read; empty where it could not be, and only a server of the same dialect
 *     may know what to do with it
 * @param head what the answer says of itself, where it is written here
 * @param maxTokens that the answer may have, if somebody must set a limit the client has not; 0 for
 *     none
 * @param seed of the sampler
 * @param verbatim whether bytes may pass untouched where the server speaks the client's dialect
 */
public record Job(
    Translator client,
    byte[] body,
    Map<String, String> headers,
    boolean stream,
    Optional<ChatRequest> request,
    Optional<Head> head,
    int maxTokens,
    long seed,
    boolean verbatim) {

  public Dialect dialect() {
    return client.dialect();
  }

  public Job withLimit(int newMaxTokens) {
    return new Job(client, body, headers, stream, request, head, newMaxTokens, seed, verbatim);
  }

  public Job withHead(Head newHead) {
    return new Job(
        client, body, headers, stream, request, Optional.of(newHead), maxTokens, seed, verbatim);
  }

  public Job withSeed(long newSeed) {
    return new Job(client, body, headers, stream, request, head, maxTokens, newSeed, verbatim);
  }
}
