package dev.gridtie.gateway.gate;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.relay.Plan;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Translator.Head;

/**
 * A request that could be served once it is paid.
 *
 * @param fingerprint of method, path and body: two requests with the same are the same request
 * @param requestSha256 of the body, hexadecimal
 * @param job to be done, its limit set
 * @param plan who may do it
 * @param promptTokens counted, or at most
 * @param maxTokens of the answer
 * @param quote the upper bound of the price
 */
public record Order(
    String fingerprint,
    String requestSha256,
    Job job,
    Plan plan,
    int promptTokens,
    int maxTokens,
    PicoUsd quote) {

  /** The same, with a request in which lost state was put back; its bytes are not the client's. */
  public Order withRequest(ChatRequest request) {
    return new Order(
        fingerprint, requestSha256, job.withRequest(request), plan, promptTokens, maxTokens, quote);
  }

  /** The plan, with answers that say who they are. */
  Plan planFor(String answerId, long created) {
    return plan.withHeads(
        leg ->
            plan.heads()
                .head(leg)
                .map(h -> new Head(answerId, h.model(), created, h.request(), h.note())));
  }
}
