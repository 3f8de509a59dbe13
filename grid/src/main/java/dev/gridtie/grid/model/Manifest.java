package dev.gridtie.grid.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What a model is: its shape, and its files by content. Whoever has the same hash has the same
 * model.
 *
 * @param id what clients call it
 * @param licence an SPDX name, or what its maker says
 * @param template SHA-256 of its chat template, hexadecimal
 * @param contextTokens that it was trained on
 * @param activeParameters that compute each token
 * @param totalParameters that are held in memory; more than the active ones in a mixture of experts
 * @param layers of its transformer
 * @param attentionWidth of all query heads together: what a token's attention computes with
 * @param cacheWidth of all key and value heads together: what a token keeps in each layer, keys and
 *     values both
 * @param variants finest first
 */
public record Manifest(
    String id,
    String licence,
    String template,
    int contextTokens,
    long activeParameters,
    long totalParameters,
    int layers,
    int attentionWidth,
    int cacheWidth,
    List<Variant> variants) {
  public static final int VARIANTS_MAX = 64;

  /** Bytes of a number in the cache (F16). */
  private static final int CACHE_NUMBER_BYTES = 2;

  public Manifest {
    require(id.matches("[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}"), "id is a model's name");
    require(licence.length() <= 200, "licence is a short name");
    require(Variant.isSha256(template), "template is a SHA-256");
    require(contextTokens > 0 && contextTokens <= 1 << 24, "contextTokens is positive");
    require(
        activeParameters > 0 && activeParameters <= totalParameters && totalParameters < 1L << 46,
        "parameters are positive, and no more are active than there are");
    require(layers > 0 && layers <= 4096, "layers are from 1 to 4096");
    require(attentionWidth > 0 && attentionWidth <= 1 << 20, "attentionWidth is positive");
    require(cacheWidth > 0 && cacheWidth <= 1 << 21, "cacheWidth is positive");
    variants =
        variants.stream()
            .sorted((a, b) -> Precision.FINEST_FIRST.compare(a.quantization(), b.quantization()))
            .toList();
    require(!variants.isEmpty() && variants.size() <= VARIANTS_MAX, "variants are from 1 to 64");
    require(
        variants.stream().map(Variant::sha256).distinct().count() == variants.size(),
        "each variant is another file");
  }

  static void require(boolean condition, String what) {
    if (!condition) {
      throw new IllegalArgumentException("a manifest's " + what);
    }
  }

  /** Bytes that one token keeps in the cache. */
  public long cacheBytesPerToken() {
    return (long) layers * cacheWidth * CACHE_NUMBER_BYTES;
  }

  public Optional<Variant> variant(String sha256) {
    return variants.stream().filter(v -> v.sha256().equals(sha256)).findFirst();
  }

  /** SHA-256 of its canonical JSON, hexadecimal: the same model has the same everywhere. */
  public String hash() {
    return HexFormat.of().formatHex(Hashes.sha256(canonical().getBytes(UTF_8)));
  }

  /** Its canonical JSON (RFC 8785). */
  public String canonical() {
    return Json.canonical(json());
  }

  /**
   * Reads one.
   *
   * @throws IllegalArgumentException where it is none
   */
  public static Manifest of(JsonNode json) {
    return new Manifest(
        json.path("id").asString(""),
        json.path("licence").asString(""),
        json.path("template").asString(""),
        json.path("contextTokens").asInt(0),
        json.path("activeParameters").asLong(0),
        json.path("totalParameters").asLong(0),
        json.path("layers").asInt(0),
        json.path("attentionWidth").asInt(0),
        json.path("cacheWidth").asInt(0),
        json.path("variants").valueStream().map(Manifest::variant).toList());
  }

  private static Variant variant(JsonNode json) {
    return new Variant(
        json.path("quantization").asString(""),
        json.path("sha256").asString(""),
        json.path("bytes").asLong(0),
        json.path("pieceBytes").asInt(0),
        json.path("pieces").valueStream().map(p -> p.asString("")).toList());
  }

  private ObjectNode json() {
    ObjectNode json = Json.object();
    json.put("id", id);
    json.put("licence", licence);
    json.put("template", template);
    json.put("contextTokens", contextTokens);
    json.put("activeParameters", activeParameters);
    json.put("totalParameters", totalParameters);
    json.put("layers", layers);
    json.put("attentionWidth", attentionWidth);
    json.put("cacheWidth", cacheWidth);
    ArrayNode list = json.putArray("variants");
    for (Variant v : variants) {
      ObjectNode one = list.addObject();
      one.put("quantization", v.quantization());
      one.put("sha256", v.sha256());
      one.put("bytes", v.bytes());
      one.put("pieceBytes", v.pieceBytes());
      ArrayNode pieces = one.putArray("pieces");
      v.pieces().forEach(pieces::add);
    }
    return json;
  }
}
