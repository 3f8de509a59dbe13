package dev.gridtie.wire.chat;

import dev.gridtie.wire.Fields.RefusedException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * What a request says and the dialect it is to be written in cannot: what changes the answer is
 * refused by name, the rest is dropped and listed.
 */
public final class Expressible {
  /** Fields that steer how a vendor stores, bills or labels a request, and not what it answers. */
  private static final Set<String> HARMLESS =
      Set.of(
          "cache_control",
          "cachedContentTtl",
          "debug",
          "diagnostics",
          "include",
          "inference_geo",
          "labels",
          "metadata",
          "prompt_cache_key",
          "prompt_cache_options",
          "prompt_cache_retention",
          "safety_identifier",
          "service_tier",
          "serviceTier",
          "session_id",
          "speed",
          "store",
          "stream_options",
          "trace",
          "truncation",
          "usage",
          "user_profile_id",
          "workspace_id");

  /** What the gateway itself acts on, and no server gets to see. */
  private static final Set<String> ROUTING =
      Set.of("models", "provider", "route", "transforms", "plugins");

  private final Dialect target;
  private final List<String> dropped = new ArrayList<>();

  public Expressible(Dialect target) {
    this.target = target;
  }

  /** A field that has no place and does not change the answer. */
  public void drop(String field) {
    if (!dropped.contains(field)) {
      dropped.add(field);
    }
  }

  public void dropIf(boolean present, String field) {
    if (present) {
      drop(field);
    }
  }

  /** Refuses a field that has no place and changes the answer. */
  public void refuseIf(boolean present, String field) throws RefusedException {
    if (present) {
      throw refusal(field);
    }
  }

  public RefusedException refusal(String field) {
    return new RefusedException(
        "unsupported_parameter",
        "'"
            + field
            + "' changes the answer, and the model's own API ("
            + target.label()
            + ") has no place for it. Leave it out, or choose another model.",
        field);
  }

  /** For a target that chooses tokens by temperature and top_p, and in no other way it tells of. */
  public void plainSampling(Sampling s) throws RefusedException {
    refuseIf(s.minP() != null && s.minP() != 0, "min_p");
    refuseIf(s.topA() != null && s.topA() != 0, "top_a");
    refuseIf(s.frequencyPenalty() != null && s.frequencyPenalty() != 0, "frequency_penalty");
    refuseIf(s.presencePenalty() != null && s.presencePenalty() != 0, "presence_penalty");
    refuseIf(s.repetitionPenalty() != null && s.repetitionPenalty() != 1, "repetition_penalty");
    refuseIf(s.choices() > 1, "n");
    refuseIf(s.logprobs() != null, "logprobs");
    refuseIf(s.logitBias() != null, "logit_bias");
    // Which answers are likely is the same without it.
    dropIf(s.seed() != null, "seed");
  }

  /** Sees to the fields of one dialect that no other has. */
  public void others(ChatRequest request) throws RefusedException {
    if (request.source() == target) {
      return;
    }
    for (var other : request.others().entrySet()) {
      if (HARMLESS.contains(other.getKey())) {
        drop(other.getKey());
      } else if (!ROUTING.contains(other.getKey()) && !saysNothing(other.getValue())) {
        throw refusal(other.getKey());
      }
    }
  }

  private static boolean saysNothing(tools.jackson.databind.JsonNode value) {
    return (value.isContainer() && value.isEmpty()) || (value.isBoolean() && !value.booleanValue());
  }

  /** Whether a field is the gateway's own business. */
  public static boolean isRouting(String field) {
    return ROUTING.contains(field);
  }

  public List<String> dropped() {
    return dropped;
  }
}
