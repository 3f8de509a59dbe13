package dev.gridtie.gateway.account;

import dev.gridtie.base.Json;
import dev.gridtie.base.PicoUsd;
import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a key may spend. Days and months are UTC's.
 *
 * @param total for ever
 * @param models by a model's name
 * @param places by a provider's name, or an endpoint's: {@code MODEL@ENDPOINT}
 * @param requestsPerMinute 0 for no limit
 * @param tokensPerMinute sent and received together; 0 for no limit
 * @param credits whose credits it spends; empty where its holder is billed in dollars
 * @param pool of nodes that alone may answer it; empty where it is bound to none
 */
public record KeyLimits(
    Optional<PicoUsd> total,
    Optional<PicoUsd> day,
    Optional<PicoUsd> month,
    Map<String, PicoUsd> models,
    Map<String, PicoUsd> places,
    int requestsPerMinute,
    int tokensPerMinute,
    Optional<String> credits,
    Optional<String> pool) {

  public static final KeyLimits NONE =
      new KeyLimits(Optional.empty(), Optional.empty(), Optional.empty(), Map.of(), Map.of(), 0, 0);

  /** Of a key whose holder is billed. */
  public KeyLimits(
      Optional<PicoUsd> total,
      Optional<PicoUsd> day,
      Optional<PicoUsd> month,
      Map<String, PicoUsd> models,
      Map<String, PicoUsd> places,
      int requestsPerMinute,
      int tokensPerMinute) {
    this(
        total,
        day,
        month,
        models,
        places,
        requestsPerMinute,
        tokensPerMinute,
        Optional.empty(),
        Optional.empty());
  }

  /** The same for a key that pays from a holder's credits. */
  public KeyLimits paidFrom(String holder) {
    return with(Optional.of(holder), pool);
  }

  /** The same for a key that only a pool's nodes may answer. */
  public KeyLimits within(String newPool) {
    return with(credits, Optional.of(newPool));
  }

  private KeyLimits with(Optional<String> newCredits, Optional<String> newPool) {
    return new KeyLimits(
        total, day, month, models, places, requestsPerMinute, tokensPerMinute, newCredits, newPool);
  }

  public KeyLimits {
    models = Map.copyOf(models);
    places = Map.copyOf(places);
  }

  /** Whether what it may spend is limited in any way. */
  boolean isLimited() {
    return total.isPresent()
        || day.isPresent()
        || month.isPresent()
        || !models.isEmpty()
        || !places.isEmpty();
  }

  ObjectNode toJson() {
    ObjectNode json = Json.object();
    total.ifPresent(v -> json.put("total", v.pico().toString()));
    day.ifPresent(v -> json.put("day", v.pico().toString()));
    month.ifPresent(v -> json.put("month", v.pico().toString()));
    ObjectNode byModel = json.putObject("models");
    models.forEach((name, v) -> byModel.put(name, v.pico().toString()));
    ObjectNode byPlace = json.putObject("endpoints");
    places.forEach((name, v) -> byPlace.put(name, v.pico().toString()));
    json.put("requestsPerMinute", requestsPerMinute);
    json.put("tokensPerMinute", tokensPerMinute);
    credits.ifPresent(holder -> json.put("credits", holder));
    pool.ifPresent(name -> json.put("pool", name));
    return json;
  }

  static KeyLimits fromJson(JsonNode json) {
    return new KeyLimits(
        pico(json, "total"),
        pico(json, "day"),
        pico(json, "month"),
        picos(json.path("models")),
        picos(json.path("endpoints")),
        json.path("requestsPerMinute").asInt(0),
        json.path("tokensPerMinute").asInt(0),
        Optional.ofNullable(Json.text(json, "credits")),
        Optional.ofNullable(Json.text(json, "pool")));
  }

  private static Optional<PicoUsd> pico(JsonNode json, String key) {
    return Optional.ofNullable(Json.text(json, key)).map(v -> new PicoUsd(new BigInteger(v)));
  }

  private static Map<String, PicoUsd> picos(JsonNode json) {
    Map<String, PicoUsd> values = new LinkedHashMap<>();
    json.properties()
        .forEach(p -> values.put(p.getKey(), new PicoUsd(new BigInteger(p.getValue().asString()))));
    return values;
  }
}
