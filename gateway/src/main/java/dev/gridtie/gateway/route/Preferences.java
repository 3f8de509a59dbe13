package dev.gridtie.gateway.route;

import dev.gridtie.base.PicoUsd;
import dev.gridtie.grid.model.Precision;
import dev.gridtie.wire.Fields;
import dev.gridtie.wire.Fields.RefusedException;
import dev.gridtie.wire.Outcome;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * What a client says of who may answer (OpenRouter's {@code provider} object).
 *
 * @param order providers to try first, in this order
 * @param only providers that may answer; all where empty
 * @param ignore providers that may not
 * @param allowFallbacks whether others than the first may be tried
 * @param requireParameters whether every parameter must be honoured (it always is here)
 * @param denyDataCollection whether only providers that keep no data may answer
 * @param zeroRetention whether only providers that have agreed to keep nothing may
 * @param quantizations that may be served; all where empty
 * @param regions that the request may reach; all where empty
 * @param sort empty balances by price
 * @param maxPrompt the most that a token sent may cost
 * @param maxCompletion the most that a token received may cost
 * @param maxRequest the most that a request may cost by itself
 * @param minThroughput tokens a second, at the median
 * @param maxLatencyMs to the first byte, at the median
 * @param minQuantization the coarsest that may be served; empty for any
 * @param pool of nodes that alone may answer; empty for whoever is not of a pool
 */
public record Preferences(
    List<String> order,
    Set<String> only,
    Set<String> ignore,
    boolean allowFallbacks,
    boolean requireParameters,
    boolean denyDataCollection,
    boolean zeroRetention,
    Set<String> quantizations,
    Set<String> regions,
    Optional<Sort> sort,
    Optional<PicoUsd> maxPrompt,
    Optional<PicoUsd> maxCompletion,
    Optional<PicoUsd> maxRequest,
    Optional<Double> minThroughput,
    Optional<Double> maxLatencyMs,
    String minQuantization,
    String pool) {

  /** By what to rank. */
  public enum Sort {
    PRICE,
    THROUGHPUT,
    LATENCY
  }

  public static final Preferences NONE =
      new Preferences(
          List.of(),
          Set.of(),
          Set.of(),
          true,
          false,
          false,
          false,
          Set.of(),
          Set.of(),
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          "",
          "");

  private static final int LIST_MAX = 64;

  /** The same, ranked otherwise. */
  public Preferences sortedBy(Sort newSort) {
    return with(Optional.of(newSort), pool);
  }

  /** The same, bound to a pool; to none where empty. */
  public Preferences within(String newPool) {
    return with(sort, newPool);
  }

  private Preferences with(Optional<Sort> newSort, String newPool) {
    return new Preferences(
        order,
        only,
        ignore,
        allowFallbacks,
        requireParameters,
        denyDataCollection,
        zeroRetention,
        quantizations,
        regions,
        newSort,
        maxPrompt,
        maxCompletion,
        maxRequest,
        minThroughput,
        maxLatencyMs,
        minQuantization,
        newPool);
  }

  /** Reads a {@code provider} object; what it asks for and is not known is refused. */
  public static Outcome<Preferences> read(@Nullable JsonNode json) {
    if (json == null || json.isMissingNode() || json.isNull()) {
      return Outcome.ok(NONE);
    }
    return Fields.outcome(() -> read(Fields.of(json, "provider")));
  }

  private static Preferences read(Fields in) throws RefusedException {
    Boolean fallbacks = in.flag("allow_fallbacks");
    String collection = in.text("data_collection");
    if (collection != null && !Set.of("allow", "deny").contains(collection)) {
      throw in.wrongValue("data_collection", "must be allow or deny.");
    }
    Fields most = in.object("max_price");
    Preferences read =
        new Preferences(
            in.texts("order", LIST_MAX).stream().map(Preferences::slug).toList(),
            slugs(in, "only"),
            slugs(in, "ignore"),
            fallbacks == null || fallbacks,
            in.isTrue("require_parameters"),
            "deny".equals(collection),
            in.isTrue("zdr"),
            slugs(in, "quantizations"),
            slugs(in, in.first("regions", "region")),
            sort(in),
            most == null ? Optional.empty() : price(most, "prompt", Each.MILLION_TOKENS),
            most == null ? Optional.empty() : price(most, "completion", Each.MILLION_TOKENS),
            most == null ? Optional.empty() : price(most, "request", Each.REQUEST),
            threshold(in, "preferred_min_throughput"),
            threshold(in, "preferred_max_latency").map(seconds -> seconds * 1000),
            quantization(in),
            "");
    in.refuseRest(
        Set.of("enforce_distillable_text"), key -> "is no provider preference that is known here.");
    return read;
  }

  private static String quantization(Fields in) throws RefusedException {
    String least = in.text("min_quantization");
    if (least != null && Precision.bits(least) == 0) {
      throw in.wrongValue("min_quantization", "must name its bits, such as q8_0, int4 or fp16.");
    }
    return least == null ? "" : least;
  }

  private static Optional<Sort> sort(Fields in) throws RefusedException {
    JsonNode sort = in.raw("sort");
    JsonNode by = sort.isObject() ? sort.path("by") : sort;
    if (by.isMissingNode() || by.isNull()) {
      return Optional.empty();
    }
    return switch (by.asString("")) {
      case "price" -> Optional.of(Sort.PRICE);
      case "throughput" -> Optional.of(Sort.THROUGHPUT);
      case "latency" -> Optional.of(Sort.LATENCY);
      default -> throw in.wrongValue("sort", "must be price, throughput or latency.");
    };
  }

  private static String slug(String name) {
    return name.toLowerCase(Locale.ROOT);
  }

  private static Set<String> slugs(Fields in, String key) throws RefusedException {
    return in.texts(key, LIST_MAX).stream()
        .map(Preferences::slug)
        .collect(Collectors.toUnmodifiableSet());
  }

  /** What a price is for. */
  private enum Each {
    MILLION_TOKENS("dollars for a million tokens, from 0 to 1e18"),
    REQUEST("dollars for a request, from 0 to 1e18");

    private final String expected;

    Each(String expected) {
      this.expected = expected;
    }
  }

  private static Optional<PicoUsd> price(Fields in, String key, Each each) throws RefusedException {
    JsonNode value = in.raw(key);
    if (value.isMissingNode()) {
      return Optional.empty();
    }
    try {
      String dollars = value.asString("").strip();
      return Optional.of(
          each == Each.MILLION_TOKENS
              ? PicoUsd.ofDollarsPerMillionRoundedDown(dollars)
              : PicoUsd.ofDollarsRoundedDown(dollars));
    } catch (IllegalArgumentException e) {
      throw in.wrongType(key, each.expected);
    }
  }

  /** A number, or the median of a percentile object. */
  private static Optional<Double> threshold(Fields in, String key) throws RefusedException {
    JsonNode value = in.raw(key);
    if (value.isMissingNode()) {
      return Optional.empty();
    }
    JsonNode number = value.isObject() ? value.path("p50") : value;
    if (value.isObject() && number.isMissingNode()) {
      return Optional.empty();
    }
    if (!number.isNumber()) {
      throw in.wrongType(key, "a number, or an object with p50");
    }
    return Optional.of(number.doubleValue());
  }
}
