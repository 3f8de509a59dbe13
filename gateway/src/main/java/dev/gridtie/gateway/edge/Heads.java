package dev.gridtie.gateway.edge;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.Plan;
import dev.gridtie.wire.chat.Translator.Head;
import dev.gridtie.wire.chat.Usage;
import java.math.BigDecimal;
import tools.jackson.databind.node.ObjectNode;

/** What answers say of themselves. */
final class Heads {
  private Heads() {}

  /**
   * @param id of the answer, without a dialect's prefix
   * @param created Unix seconds
   */
  static Plan.Heads of(Inbound inbound, Job job, String id, long created) {
    return leg ->
        job.request()
            .map(
                request ->
                    inbound.openRouter()
                        ? new Head(
                            "gen-" + id,
                            leg.model().id(),
                            created,
                            request.withUsage(),
                            (usage, json) -> cost(leg, usage, json))
                        : new Head(id, leg.model().id(), created, request));
  }

  /** OpenRouter's {@code usage.cost}, in dollars. */
  private static void cost(Leg leg, Usage usage, ObjectNode json) {
    PicoUsd cost = leg.endpoint().prices().cost(usage);
    json.put("cost", new BigDecimal(cost.dollars()));
    json.put("is_byok", false);
  }
}
