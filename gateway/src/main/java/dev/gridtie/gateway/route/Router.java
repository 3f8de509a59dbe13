package dev.gridtie.gateway.route;

import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.grid.model.Precision;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.Outcome;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;

/**
 * Filters and ranks a model's endpoints, as OpenRouter documents it: those with an outage go last;
 * among the rest one is drawn by the inverse square of its price, unless the client says how to
 * rank; a conversation stays where its prompt is cached.
 */
public final class Router {
  private final RandomGenerator random;

  public Router(RandomGenerator random) {
    this.random = random;
  }

  /**
   * The endpoints that may answer, best first.
   *
   * @param sticky the endpoint that served this conversation before
   */
  public Outcome<List<Endpoint>> rank(
      Model model, Need need, Preferences preferences, Optional<String> sticky) {
    Set<String> reasons = new LinkedHashSet<>();
    List<Endpoint> fit = new ArrayList<>();
    for (Endpoint endpoint : model.endpoints()) {
      Optional<String> unfit = unfit(endpoint, need, preferences);
      if (unfit.isPresent()) {
        reasons.add(unfit.get());
      } else {
        fit.add(endpoint);
      }
    }
    if (fit.isEmpty()) {
      return Outcome.refused(
          ApiError.of(
              ApiError.Kind.NOT_FOUND,
              "no_endpoint",
              "No endpoints found for '"
                  + model.id()
                  + "' that can take this request: "
                  + String.join("; ", reasons)
                  + "."));
    }
    List<Endpoint> ranked = ranked(fit, preferences, sticky);
    return Outcome.ok(preferences.allowFallbacks() ? ranked : ranked.subList(0, 1));
  }

  /** Why an endpoint must not or cannot answer. */
  private static Optional<String> unfit(Endpoint e, Need need, Preferences p) {
    if (!e.pool().equals(p.pool())) {
      return Optional.of(
          slug(e) + (p.pool().isEmpty() ? " is a pool's own" : " is outside the pool"));
    }
    Predicate<Set<String>> named = names -> names.contains(slug(e)) || names.contains(e.id());
    if (!p.only().isEmpty() && !named.test(p.only())) {
      return Optional.of("'only' leaves out " + slug(e));
    }
    if (named.test(p.ignore())) {
      return Optional.of("'ignore' names " + slug(e));
    }
    if (p.denyDataCollection() && e.data().collects()) {
      return Optional.of(slug(e) + " collects data");
    }
    if (p.zeroRetention() && !e.data().zeroRetention()) {
      return Optional.of(slug(e) + " does not promise zero data retention");
    }
    if (!p.regions().isEmpty()
        && (e.regions().isEmpty() || !p.regions().containsAll(e.regions()))) {
      return Optional.of(slug(e) + " is not, or not only, in the regions allowed");
    }
    if (!p.quantizations().isEmpty() && !p.quantizations().contains(e.quantization())) {
      return Optional.of(slug(e) + " serves " + e.quantization());
    }
    if (!p.minQuantization().isEmpty()
        && !Precision.isAtLeast(e.quantization(), p.minQuantization())) {
      return Optional.of(
          slug(e) + " serves " + e.quantization() + ", which is not known to be fine enough");
    }
    return tooDear(e, p).or(() -> unable(e, need));
  }

  private static Optional<String> tooDear(Endpoint e, Preferences p) {
    boolean dear =
        p.maxPrompt().filter(max -> e.prices().prompt().compareTo(max) > 0).isPresent()
            || p.maxCompletion()
                .filter(max -> e.prices().completion().compareTo(max) > 0)
                .isPresent()
            || p.maxRequest().filter(max -> e.prices().request().compareTo(max) > 0).isPresent();
    return dear ? Optional.of(slug(e) + " costs more than 'max_price'") : Optional.empty();
  }

  private static Optional<String> unable(Endpoint e, Need need) {
    if (need.onlyDialect().isPresent() && !e.dialect().equals(need.onlyDialect())) {
      return Optional.of(slug(e) + " speaks another API");
    }
    if (!e.features().containsAll(need.features())) {
      var missing = new ArrayList<>(need.features());
      missing.removeAll(e.features());
      return Optional.of(slug(e) + " has no " + missing.getFirst().label());
    }
    if (need.promptTokens() + need.maxTokens() > e.contextTokens() && !e.isLocal()) {
      return Optional.of(
          slug(e) + " has a context of " + e.contextTokens() + " tokens, answer included");
    }
    if (need.maxTokens() > e.maxCompletionTokens() && !e.isLocal()) {
      return Optional.of(slug(e) + " answers with at most " + e.maxCompletionTokens() + " tokens");
    }
    return Optional.empty();
  }

  private static String slug(Endpoint e) {
    return e.provider().toLowerCase(Locale.ROOT);
  }

  private List<Endpoint> ranked(
      List<Endpoint> fit, Preferences preferences, Optional<String> sticky) {
    List<Endpoint> ranked =
        new ArrayList<>(
            preferences.sort().map(sort -> sorted(fit, sort)).orElseGet(() -> balanced(fit)));
    if (preferences.order().isEmpty()) {
      ranked.sort(Comparator.comparing(e -> e.health().hasOutage()));
      sticky.ifPresent(id -> ranked.sort(Comparator.comparing(e -> !e.id().equals(id))));
    } else {
      ranked.sort(Comparator.comparingInt(e -> place(e, preferences.order())));
    }
    // Below a threshold is not out of the question, only later.
    preferences
        .minThroughput()
        .ifPresent(
            min ->
                ranked.sort(
                    Comparator.comparing(
                        e -> e.health().requests() > 0 && e.health().tokensPerSecond(50) < min)));
    preferences
        .maxLatencyMs()
        .ifPresent(
            max ->
                ranked.sort(Comparator.comparing(e -> e.health().firstByte(50).toMillis() > max)));
    return ranked;
  }

  private static int place(Endpoint e, List<String> order) {
    int byProvider = order.indexOf(slug(e));
    int at = byProvider < 0 ? order.indexOf(e.id()) : byProvider;
    return at < 0 ? Integer.MAX_VALUE : at;
  }

  private static List<Endpoint> sorted(List<Endpoint> fit, Preferences.Sort sort) {
    Comparator<Endpoint> by =
        switch (sort) {
          case PRICE -> Comparator.comparingDouble(Router::price);
          case THROUGHPUT ->
              Comparator.comparingInt((Endpoint e) -> e.health().tokensPerSecond(50)).reversed();
          case LATENCY ->
              // What nobody has tried yet is tried: unknown counts as fast.
              Comparator.comparing((Endpoint e) -> e.health().firstByte(50));
        };
    return fit.stream().sorted(by).toList();
  }

  /** One drawn by the inverse square of its price; the rest by price. */
  private List<Endpoint> balanced(List<Endpoint> fit) {
    List<Endpoint> byPrice = sorted(fit, Preferences.Sort.PRICE);
    List<Endpoint> well = byPrice.stream().filter(e -> !e.health().hasOutage()).toList();
    if (well.size() < 2) {
      return byPrice;
    }
    double grid = well.stream().mapToDouble(Endpoint::capacity).sum();
    double all = well.stream().mapToDouble(e -> weight(e, grid)).sum();
    double drawn = random.nextDouble() * all;
    Endpoint first = well.getLast();
    for (Endpoint endpoint : well) {
      drawn -= weight(endpoint, grid);
      if (drawn < 0) {
        first = endpoint;
        break;
      }
    }
    List<Endpoint> ranked = new ArrayList<>(byPrice);
    ranked.remove(first);
    ranked.addFirst(first);
    return ranked;
  }

  /**
   * The grid counts as one provider: its endpoints share its weight by what they can do.
   *
   * @param grid what all of them together can
   */
  private static double weight(Endpoint e, double grid) {
    double price = price(e);
    long capacity = e.capacity();
    double share = capacity == 0 ? 1 : capacity / grid;
    return share / Math.max(price * price, Double.MIN_NORMAL);
  }

  /** For ranking alone: what a token sent and one received cost together, in pico-dollars. */
  private static double price(Endpoint e) {
    return Math.max(1, e.prices().prompt().plus(e.prices().completion()).pico().doubleValue());
  }
}
