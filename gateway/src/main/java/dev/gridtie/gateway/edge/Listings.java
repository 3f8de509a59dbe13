package dev.gridtie.gateway.edge;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Feature;
import dev.gridtie.gateway.catalog.Health;
import dev.gridtie.gateway.catalog.Model;
import dev.gridtie.gateway.catalog.Prices;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The catalog, in the form that each dialect's clients expect. */
final class Listings {
  private final Catalog catalog;

  Listings(Catalog catalog) {
    this.catalog = catalog;
  }

  // OpenAI

  ObjectNode openAi() {
    ObjectNode json = Json.object().put("object", "list");
    ArrayNode data = json.putArray("data");
    catalog.open().forEach(m -> data.add(openAi(m)));
    return json;
  }

  Optional<ObjectNode> openAi(String id) {
    return catalog.findOpen(id).map(Listings::openAi);
  }

  private static ObjectNode openAi(Model model) {
    ObjectNode json = Json.object();
    json.put("id", model.id());
    json.put("object", "model");
    json.put("created", model.created());
    json.put("owned_by", "gridtie");
    json.put("context_length", model.contextTokens());
    Endpoint cheapest = cheapest(model);
    json.put("quantization", cheapest.quantization());
    ObjectNode pricing = json.putObject("pricing").put("unit", "USD per token");
    pricing.put("prompt", cheapest.prices().prompt().dollars());
    pricing.put("completion", cheapest.prices().completion().dollars());
    return json;
  }

  private static Endpoint cheapest(Model model) {
    return model.endpoints().stream()
        .min(Comparator.comparing(e -> e.prices().prompt().plus(e.prices().completion())))
        .orElseThrow();
  }

  // Anthropic

  ObjectNode anthropic() {
    ObjectNode json = Json.object();
    ArrayNode data = json.putArray("data");
    catalog
        .open()
        .forEach(
            m -> {
              ObjectNode one = data.addObject().put("type", "model").put("id", m.id());
              one.put("display_name", m.name());
              one.put("created_at", Instant.ofEpochSecond(m.created()).toString());
            });
    json.put("has_more", false);
    json.put("first_id", data.isEmpty() ? null : data.get(0).path("id").stringValue());
    json.put("last_id", data.isEmpty() ? null : data.get(data.size() - 1).path("id").stringValue());
    return json;
  }

  // Gemini

  ObjectNode gemini() {
    ObjectNode json = Json.object();
    ArrayNode models = json.putArray("models");
    catalog.open().forEach(m -> models.add(gemini(m)));
    return json;
  }

  Optional<ObjectNode> gemini(String id) {
    return catalog.findOpen(id).map(Listings::gemini);
  }

  private static ObjectNode gemini(Model model) {
    ObjectNode json = Json.object();
    json.put("name", "models/" + model.id());
    json.put("displayName", model.name());
    json.put("description", model.description());
    json.put("inputTokenLimit", model.contextTokens());
    json.put("outputTokenLimit", longest(model));
    ArrayNode methods = json.putArray("supportedGenerationMethods");
    methods.add("generateContent").add("streamGenerateContent").add("countTokens");
    if (features(model).contains(Feature.EMBEDDINGS)) {
      methods.add("embedContent");
    }
    return json;
  }

  private static int longest(Model model) {
    return model.endpoints().stream().mapToInt(Endpoint::maxCompletionTokens).max().orElse(0);
  }

  private static Set<Feature> features(Model model) {
    Set<Feature> features = EnumSet.noneOf(Feature.class);
    model.endpoints().forEach(e -> features.addAll(e.features()));
    return features;
  }

  // OpenRouter

  ObjectNode openRouter() {
    ObjectNode json = Json.object();
    ArrayNode data = json.putArray("data");
    catalog.open().forEach(m -> data.add(openRouter(m)));
    json.put("total_count", data.size());
    json.putObject("links").putNull("next");
    return json;
  }

  private static ObjectNode openRouter(Model model) {
    ObjectNode json = Json.object();
    json.put("id", model.id());
    json.put("canonical_slug", model.id());
    json.putNull("hugging_face_id");
    json.put("name", model.name());
    json.put("created", model.created());
    json.put("description", model.description());
    json.put("context_length", model.contextTokens());
    json.set("architecture", architecture(model));
    json.set("pricing", pricing(cheapest(model).prices()));
    ObjectNode top = json.putObject("top_provider");
    top.put("context_length", model.contextTokens());
    top.put("max_completion_tokens", longest(model));
    top.put("is_moderated", false);
    json.putNull("per_request_limits");
    json.set("supported_parameters", parameters(features(model)));
    json.putObject("default_parameters");
    json.putNull("supported_voices");
    json.putNull("knowledge_cutoff");
    json.putNull("expiration_date");
    json.putObject("links").put("details", "/api/v1/models/" + model.id() + "/endpoints");
    return json;
  }

  private static ObjectNode architecture(Model model) {
    Set<Feature> features = features(model);
    ObjectNode json = Json.object();
    ArrayNode input = Json.array().add("text");
    if (features.contains(Feature.IMAGES)) {
      input.add("image");
    }
    if (features.contains(Feature.DOCUMENTS)) {
      input.add("file");
    }
    if (features.contains(Feature.AUDIO)) {
      input.add("audio");
    }
    json.put("modality", features.contains(Feature.IMAGES) ? "text+image->text" : "text->text");
    json.set("input_modalities", input);
    json.putArray("output_modalities").add("text");
    json.put("tokenizer", "Other");
    json.putNull("instruct_type");
    return json;
  }

  /** Dollars for one token, as texts. */
  private static ObjectNode pricing(Prices prices) {
    ObjectNode json = Json.object();
    json.put("prompt", prices.prompt().dollars());
    json.put("completion", prices.completion().dollars());
    json.put("request", prices.request().dollars());
    json.put("input_cache_read", prices.cacheRead().dollars());
    json.put("input_cache_write", prices.cacheWrite().dollars());
    return json;
  }

  private static ArrayNode parameters(Set<Feature> features) {
    Set<String> names = new TreeSet<>(Set.of("max_tokens", "temperature", "top_p", "stop", "seed"));
    if (features.contains(Feature.TOOLS)) {
      names.addAll(Set.of("tools", "tool_choice"));
    }
    if (features.contains(Feature.JSON_SCHEMA)) {
      names.addAll(Set.of("response_format", "structured_outputs"));
    }
    if (features.contains(Feature.REASONING)) {
      names.addAll(Set.of("reasoning", "include_reasoning"));
    }
    if (features.contains(Feature.LOGPROBS)) {
      names.addAll(Set.of("logprobs", "top_logprobs"));
    }
    ArrayNode list = Json.array();
    names.forEach(list::add);
    return list;
  }

  /** {@code /models/{author}/{slug}/endpoints}. */
  Optional<ObjectNode> endpoints(String id) {
    return catalog
        .findOpen(id)
        .map(
            model -> {
              ObjectNode json = Json.object();
              ObjectNode data = json.putObject("data");
              data.put("id", model.id());
              data.put("name", model.name());
              data.put("created", model.created());
              data.put("description", model.description());
              data.set("architecture", architecture(model));
              ArrayNode list = data.putArray("endpoints");
              model.endpoints().forEach(e -> list.add(endpoint(model, e)));
              return json;
            });
  }

  private static ObjectNode endpoint(Model model, Endpoint e) {
    Health health = e.health();
    ObjectNode json = Json.object();
    json.put("name", e.provider() + " | " + model.id());
    json.put("model_id", model.id());
    json.put("model_name", model.name());
    json.put("context_length", e.contextTokens());
    json.set("pricing", pricing(e.prices()));
    json.put("provider_name", e.provider());
    json.put("tag", e.id());
    json.put("quantization", e.quantization());
    json.put("max_completion_tokens", e.maxCompletionTokens());
    json.put("max_prompt_tokens", e.contextTokens());
    json.set("supported_parameters", parameters(e.features()));
    json.put("status", health.hasOutage() ? -1 : 0);
    json.put("uptime_last_5m", 100 * health.uptime(Duration.ofMinutes(5)));
    json.put("uptime_last_30m", 100 * health.uptime(Duration.ofMinutes(30)));
    json.put("uptime_last_1d", 100 * health.uptime(Duration.ofDays(1)));
    boolean tools = e.features().contains(Feature.TOOLS);
    ObjectNode choice = json.putObject("supports_tool_choice");
    choice.put("none", tools).put("auto", tools);
    choice.put("required", tools).put("function", tools);
    json.put(
        "supports_implicit_caching", e.prices().cacheRead().compareTo(e.prices().prompt()) < 0);
    ObjectNode latency = Json.object();
    ObjectNode throughput = Json.object();
    for (int percent : new int[] {50, 75, 90, 99}) {
      latency.put("p" + percent, health.firstByte(percent).toMillis());
      throughput.put("p" + percent, health.tokensPerSecond(percent));
    }
    json.set("latency_last_30m", health.requests() == 0 ? null : latency);
    json.set("throughput_last_30m", health.requests() == 0 ? null : throughput);
    return json;
  }

  ObjectNode providers() {
    ObjectNode json = Json.object();
    ArrayNode data = json.putArray("data");
    Set<String> seen = new TreeSet<>();
    catalog.open().forEach(m -> m.endpoints().forEach(e -> seen.add(e.provider())));
    for (String name : seen) {
      ObjectNode one = data.addObject().put("name", name);
      one.put("slug", name.toLowerCase(Locale.ROOT));
      one.putNull("privacy_policy_url");
      one.putNull("terms_of_service_url");
      one.putNull("status_page_url");
      one.putNull("headquarters");
      one.putNull("datacenters");
    }
    return json;
  }
}
