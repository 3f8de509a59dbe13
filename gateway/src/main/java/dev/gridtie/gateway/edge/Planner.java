package dev.gridtie.gateway.edge;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import dev.gridtie.gateway.account.ApiKey;
import dev.gridtie.gateway.answer.Job;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Feature;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.provider.PromptBound;
import dev.gridtie.gateway.relay.Leg;
import dev.gridtie.gateway.relay.Plan;
import dev.gridtie.gateway.route.Affinity;
import dev.gridtie.gateway.route.Need;
import dev.gridtie.gateway.route.Preferences;
import dev.gridtie.gateway.route.Router;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.BodyScan;
import dev.gridtie.wire.Costs;
import dev.gridtie.wire.Outcome;
import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Expressible;
import dev.gridtie.wire.chat.Message;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Reads a request and finds out who may answer it. Pure but for what it looks up; may be slow. */
final class Planner {
  /** How much of a client's own words an error repeats, in characters. */
  private static final int SHOWN_MAX = 80;

  /** How many models one request may name. */
  private static final int MODELS_MAX = 8;

  private final Catalog catalog;
  private final Router router;
  private final Affinity affinity;
  private final SealMemory memory;

  Planner(Catalog catalog, Router router, Affinity affinity, SealMemory memory) {
    this.catalog = catalog;
    this.router = router;
    this.affinity = affinity;
    this.memory = memory;
  }

  /**
   * A request that was read, and who may answer it.
   *
   * @param conversation names the conversation, for whoever has its prompt cached
   * @param promptBound the most tokens its prompt can have, where nobody counts them
   * @param promptEstimate and what it probably has
   * @param maxTokens of each answer; 0 where unsaid
   * @param choices how many answers are wanted
   * @param promptUnknown whether part of its prompt is stored elsewhere
   * @param answerMore tokens that may be billed as the answers' beside their limit
   */
  record Planned(
      Job job,
      Plan plan,
      String conversation,
      long promptBound,
      long promptEstimate,
      int maxTokens,
      int choices,
      boolean promptUnknown,
      long answerMore) {

    /** The most tokens that may be billed for all answers, where each has at most so many. */
    long answerBound(int limit) {
      return (long) limit * choices + answerMore;
    }
  }

  /**
   * Who asks.
   *
   * @param account empty for nobody in particular
   * @param pool that the request is bound to; empty for none
   */
  record Asker(String account, String pool) {
    static final Asker NOBODY = new Asker("", "");

    static Asker of(ApiKey key) {
      return new Asker(key.id(), key.limits().pool().orElse(""));
    }
  }

  /** The most answers to one request. */
  private static final int CHOICES_MAX = 128;

  /**
   * Plans a request without reading more of it than its outermost fields: where every byte will
   * pass untouched to a server of the same dialect, and only one can answer.
   *
   * @return empty where it has to be read
   */
  Optional<Planned> planUntouched(Inbound inbound, byte[] body, Map<String, String> headers) {
    if (!inbound.verbatim()) {
      return Optional.empty();
    }
    BodyScan scan;
    try {
      scan = BodyScan.of(body);
    } catch (Json.MalformedJsonException e) {
      return Optional.empty(); // reading it says why
    }
    String name = inbound.call().model().isEmpty() ? scan.model() : inbound.call().model();
    Optional<Model> model = catalog.findOpen(name);
    if (model.isEmpty()
        || model.get().endpoints().size() != 1
        || scan.fields().contains("n")
        || scan.fields().stream().anyMatch(Expressible::isRouting)) {
      return Optional.empty();
    }
    Endpoint endpoint = model.get().endpoints().getFirst();
    Dialect dialect = inbound.translator().dialect();
    if (endpoint.dialect().filter(d -> d == dialect).isEmpty()
        || scan.maxTokens(dialect) > endpoint.maxCompletionTokens()
        || dialect == Dialect.GEMINI
        || Costs.mayBe(dialect, scan)) {
      return Optional.empty();
    }
    boolean stream = scan.stream();
    Job job = new Job(inbound.translator(), body, headers, stream, Optional.empty(), true);
    Plan plan = new Plan(List.of(new Leg(model.get(), endpoint)), false, leg -> Optional.empty());
    return Optional.of(
        new Planned(
            job,
            plan,
            "",
            body.length,
            Math.ceilDiv(body.length, PromptBound.BYTES_A_TOKEN),
            scan.maxTokens(dialect),
            1,
            false,
            0));
  }

  /**
   * Reads a body.
   *
   * @param asker whose memory and affinity to use, and what the request is bound to
   * @param headers of the client's that its own dialect's servers understand
   */
  Outcome<Planned> plan(Inbound inbound, byte[] body, Map<String, String> headers, Asker asker) {
    JsonNode json;
    try {
      json = Json.parse(body);
    } catch (Json.MalformedJsonException e) {
      return Outcome.refused(
          ApiError.invalid(
              "invalid_json", "The body could not be read: " + e.getMessage() + ".", null));
    }
    if (inbound.texts().isPresent()) {
      return texts(inbound, inbound.texts().get(), body, json, asker);
    }
    Outcome<ChatRequest> read = inbound.translator().readRequest(json, inbound.call());
    return switch (read) {
      case Outcome.Ok<ChatRequest> ok -> {
        ChatRequest request = memory.restore(asker.account(), ok.value());
        // Where state that the client lost was put back, the client's own bytes will not do.
        boolean restored = request != ok.value();
        yield planned(inbound, body, headers, asker, json, Optional.of(request), null, restored);
      }
      case Outcome.Refused<ChatRequest> refused ->
          planned(inbound, body, headers, asker, json, Optional.empty(), refused.error(), false);
    };
  }

  private Outcome<Planned> texts(
      Inbound inbound, EmbeddingsForm form, byte[] body, JsonNode json, Asker asker) {
    return form.read(inbound.call().model(), json)
        .then(
            wanted -> {
              long bound = PromptBound.of(wanted.request().texts());
              Need need = new Need(Set.of(Feature.EMBEDDINGS), 0, 0, Optional.empty());
              Job job =
                  new Job(
                      inbound.translator(),
                      body,
                      new Job.Texts(wanted.request(), given -> form.write(wanted, given)));
              return Preferences.read(json.path("provider"))
                  .then(p -> legs(List.of(wanted.model()), need, p.within(asker.pool()), ""))
                  .then(
                      legs ->
                          Outcome.ok(
                              new Planned(
                                  job,
                                  new Plan(legs, true, leg -> Optional.empty()),
                                  "",
                                  bound,
                                  bound / PromptBound.BYTES_A_TOKEN,
                                  0,
                                  1,
                                  false,
                                  0)));
            });
  }

  private Outcome<Planned> planned(
      Inbound inbound,
      byte[] body,
      Map<String, String> headers,
      Asker asker,
      JsonNode json,
      Optional<ChatRequest> request,
      @Nullable ApiError unread,
      boolean restored) {
    List<String> names = names(inbound, json);
    if (names.isEmpty()) {
      return Outcome.refused(
          unread != null
              ? unread
              : ApiError.invalid("missing_required_parameter", "'model' must be a text.", "model"));
    }
    boolean stream = request.map(ChatRequest::stream).orElse(isStream(inbound, json));
    Need need =
        request
            .map(r -> Need.of(r, PromptBound.estimate(r)))
            .orElseGet(() -> Need.unread(inbound.translator().dialect(), 0));
    if (unread != null && (!inbound.verbatim() || isOfCost(unread))) {
      return Outcome.refused(unread);
    }
    int choices = request.map(r -> r.sampling().choices()).orElse(choices(json));
    if (choices < 1 || choices > CHOICES_MAX) {
      return Outcome.refused(
          ApiError.invalid("invalid_value", "'n' must be from 1 to " + CHOICES_MAX + ".", "n"));
    }
    String conversation = conversation(asker.account(), names.getFirst(), json, request);
    Outcome<List<Leg>> found =
        Preferences.read(json.path("provider"))
            .then(p -> legs(names, need, p.within(asker.pool()), conversation));
    boolean nobody =
        found instanceof Outcome.Refused<List<Leg>> refused
            && refused.error().code().equals("no_endpoint");
    if (unread != null && nobody) {
      return Outcome.refused(unread); // says more than that nobody will take it
    }
    Dialect dialect = inbound.translator().dialect();
    Outcome<Costs.Found> costs = Costs.of(dialect, json);
    return found
        .then(all -> priced(all, dialect, costs))
        .then(
            legs -> {
              boolean seen = legs.stream().anyMatch(l -> sees(l, dialect));
              Costs.Found cost =
                  seen && costs instanceof Outcome.Ok<Costs.Found> ok
                      ? ok.value()
                      : new Costs.Found(false, 0, false);
              Job job =
                  new Job(
                      inbound.translator(),
                      body,
                      headers,
                      stream,
                      request,
                      inbound.verbatim() && !restored);
              Plan plan = new Plan(legs, true, leg -> Optional.empty());
              return Outcome.ok(
                  new Planned(
                      job,
                      plan,
                      conversation,
                      promptBound(request, cost.promptUnknown(), legs, body),
                      need.promptTokens(),
                      need.maxTokens(),
                      choices,
                      cost.promptUnknown(),
                      cost.answerTokens()));
            });
  }

  /** The most tokens of a prompt; where nothing tells how long it is, as many as a model takes. */
  private static long promptBound(
      Optional<ChatRequest> request, boolean unknown, List<Leg> legs, byte[] body) {
    int image =
        legs.stream()
            .flatMap(l -> l.endpoint().channels().stream())
            .mapToInt(c -> c.source().imageTokensMax())
            .max()
            .orElse(0);
    long bound = request.map(r -> (long) PromptBound.of(r, image)).orElse((long) Integer.MAX_VALUE);
    long context = legs.stream().mapToLong(l -> l.endpoint().contextTokens()).max().orElse(0);
    return unknown || bound == Integer.MAX_VALUE ? Math.max(context, body.length) : bound;
  }

  /** Whether an endpoint's server sees the fields of a request that only its dialect has. */
  private static boolean sees(Leg leg, Dialect dialect) {
    return leg.endpoint().dialect().filter(d -> d == dialect).isPresent();
  }

  /** Those who would bill nothing that has no price here; refused where none would. */
  private static Outcome<List<Leg>> priced(
      List<Leg> legs, Dialect dialect, Outcome<Costs.Found> costs) {
    Optional<ApiError> unpriced =
        costs instanceof Outcome.Refused<Costs.Found> refused
            ? Optional.of(refused.error())
            : Optional.empty();
    boolean keepsLong = costs instanceof Outcome.Ok<Costs.Found> ok && ok.value().keepsLong();
    List<Leg> priced =
        legs.stream()
            .filter(
                l ->
                    !sees(l, dialect)
                        || (unpriced.isEmpty()
                            && (!keepsLong || l.endpoint().prices().coversLongCache())))
            .toList();
    return priced.isEmpty() && !legs.isEmpty()
        ? Outcome.refused(unpriced.orElseGet(Planner::unpricedCache))
        : Outcome.ok(priced);
  }

  private static ApiError unpricedCache() {
    return ApiError.invalid(
        "unpriced_parameter",
        "'cache_control.ttl' is '1h', which is billed at twice the prompt's price, and this"
            + " gateway's price of writing to a cache does not cover it. Leave 'ttl' out; nothing"
            + " was charged.",
        "cache_control.ttl");
  }

  /** What bounds what a request can cost: a server of its dialect must not read it otherwise. */
  private static final Set<String> COSTS =
      Set.of(
          "max_tokens",
          "max_completion_tokens",
          "max_output_tokens",
          "n",
          "best_of",
          "generationConfig.maxOutputTokens",
          "generationConfig.candidateCount");

  /** Whether a request could not be read because a number that bounds its cost is none. */
  private static boolean isOfCost(ApiError unread) {
    return Set.of("invalid_value", "invalid_type").contains(unread.code())
        && COSTS.contains(String.valueOf(unread.parameter()));
  }

  /** How many answers a request wants that could not be read: every one of them costs. */
  private static int choices(JsonNode json) {
    JsonNode config =
        json.path("generationConfig").isMissingNode()
            ? json.path("generation_config")
            : json.path("generationConfig");
    return json.path("n")
        .asInt(config.path("candidateCount").asInt(config.path("candidate_count").asInt(1)));
  }

  private static boolean isStream(Inbound inbound, JsonNode json) {
    return inbound.call().model().isEmpty()
        ? json.path("stream").asBoolean(false)
        : inbound.call().stream();
  }

  /** The models that are asked for, the first first. */
  private static List<String> names(Inbound inbound, JsonNode json) {
    Set<String> names = new LinkedHashSet<>();
    String named =
        inbound.call().model().isEmpty() ? Json.text(json, "model") : inbound.call().model();
    if (named != null && !named.isEmpty()) {
      names.add(named);
    }
    for (JsonNode other : json.path("models")) {
      if (other.isString() && names.size() < MODELS_MAX) {
        names.add(other.stringValue());
      }
    }
    return List.copyOf(names);
  }

  /** All models' endpoints, in the order of the models; refused where none of them has any. */
  private Outcome<List<Leg>> legs(
      List<String> names, Need need, Preferences preferences, String conversation) {
    List<Leg> legs = new ArrayList<>();
    ApiError first = null;
    Optional<String> sticky = affinity.find(conversation);
    for (String name : names) {
      Variant variant = Variant.of(name, catalog);
      Preferences own = variant.sort().map(preferences::sortedBy).orElse(preferences);
      Outcome<List<Leg>> found =
          model(variant.model(), own.pool())
              .then(
                  model ->
                      router.rank(model, need, own, sticky).then(e -> Outcome.ok(legs(model, e))));
      switch (found) {
        case Outcome.Ok<List<Leg>> ok -> legs.addAll(ok.value());
        case Outcome.Refused<List<Leg>> refused -> first = first == null ? refused.error() : first;
      }
    }
    return legs.isEmpty() && first != null ? Outcome.refused(first) : Outcome.ok(legs);
  }

  private static List<Leg> legs(Model model, List<Endpoint> endpoints) {
    return endpoints.stream().map(e -> new Leg(model, e)).toList();
  }

  /** A model's name with OpenRouter's way of ranking behind it. */
  private record Variant(String model, Optional<Preferences.Sort> sort) {
    static Variant of(String name, Catalog catalog) {
      int colon = name.lastIndexOf(':');
      if (colon > 0 && catalog.find(name).isEmpty()) {
        String base = name.substring(0, colon);
        switch (name.substring(colon + 1)) {
          case "nitro" -> {
            return new Variant(base, Optional.of(Preferences.Sort.THROUGHPUT));
          }
          case "floor" -> {
            return new Variant(base, Optional.of(Preferences.Sort.PRICE));
          }
          default -> {}
        }
      }
      return new Variant(name, Optional.empty());
    }
  }

  /** A model that everybody may ask. */
  Outcome<Model> model(String id) {
    return model(id, "");
  }

  private Outcome<Model> model(String id, String pool) {
    Optional<Model> model = pool.isEmpty() ? catalog.findOpen(id) : catalog.find(id);
    if (model.isPresent()) {
      return Outcome.ok(model.get());
    }
    String shown = id.length() <= SHOWN_MAX ? id : id.substring(0, SHOWN_MAX) + "…";
    String nearest = catalog.nearest(id).map(n -> " Did you mean '" + n + "'?").orElse("");
    String message =
        "There is no model '%s' here.%s GET /v1/models lists all.".formatted(shown, nearest);
    return Outcome.refused(
        new ApiError(ApiError.Kind.NOT_FOUND, "model_not_found", message, "model"));
  }

  /**
   * A conversation is what it began with: the system's words and the user's first, or the name that
   * the client gives it.
   */
  private static String conversation(
      String account, String model, JsonNode json, Optional<ChatRequest> request) {
    String given = Json.text(json, "prompt_cache_key");
    String session = given == null ? Json.text(json, "session_id") : given;
    String begin =
        session != null
            ? session
            : request
                .map(
                    r ->
                        r.messages().stream()
                            .filter(m -> m.role() != Message.Role.ASSISTANT)
                            .limit(2)
                            .map(Message::text)
                            .collect(Collectors.joining("\n")))
                .orElse("");
    byte[] hash = Hashes.sha256((account + "\n" + model + "\n" + begin).getBytes(UTF_8));
    return HexFormat.of().formatHex(hash, 0, 16);
  }
}
