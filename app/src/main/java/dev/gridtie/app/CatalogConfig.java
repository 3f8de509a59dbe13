package dev.gridtie.app;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.gridtie.base.Secret;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** The hosted models that are offered, as their YAML file has them. */
record CatalogConfig(
    @JsonProperty(required = true) List<Provider> providers,
    @JsonProperty(required = true) List<Model> models) {

  /**
   * A server that gives answers.
   *
   * @param name in preferences, prices and receipts
   * @param dialect {@code openai}, {@code responses}, {@code anthropic} or {@code gemini}
   * @param url the base, version included
   * @param keys where to find its keys; several are used in turn
   * @param extensions {@code openrouter} for a server that knows OpenRouter's additions
   * @param regions where it runs
   * @param collectsData whether it may keep prompts or train on them
   * @param zeroRetention whether it has agreed to keep nothing
   * @param payMaxUsdPerRequest for a server that is paid by x402: the most for one request
   * @param payMaxUsdPerDay and for a day
   * @param marginPercent what is added to its prices, for the operator; then they are what it
   *     costs, and the books have both. Left out, its prices are what is charged, and what it costs
   *     is not known
   */
  record Provider(
      @JsonProperty(required = true) String name,
      @JsonProperty(required = true) String dialect,
      @JsonProperty(required = true) String url,
      @Nullable List<Key> keys,
      @Nullable String extensions,
      @Nullable List<String> regions,
      boolean collectsData,
      boolean zeroRetention,
      @Nullable String payMaxUsdPerRequest,
      @Nullable String payMaxUsdPerDay,
      @Nullable Integer marginPercent) {}

  /**
   * Where a key is: never in this file itself.
   *
   * @param env the environment's variable
   * @param file a file that holds it on one line, relative to this one
   */
  record Key(@Nullable String env, @Nullable String file) {
    /**
     * Looks it up.
     *
     * @param where it is named, for messages
     * @param namedIn the file that a path is relative to
     * @param environment looks a variable up
     * @throws IOException saying what is wrong, and never the key
     */
    Secret read(String where, Path namedIn, UnaryOperator<@Nullable String> environment)
        throws IOException {
      if ((env == null) == (file == null)) {
        throw new IOException(
            where + ": a key names either env or file, and is never written here");
      }
      if (env != null) {
        String value = environment.apply(env);
        if (value == null || value.isBlank()) {
          throw new IOException(where + ": the environment has no " + env);
        }
        return new Secret(value.strip());
      }
      Path at = namedIn.toAbsolutePath().resolveSibling(String.valueOf(file));
      if (!Files.isReadable(at)) {
        throw new IOException(where + ": the key's file " + at + " cannot be read");
      }
      return new Secret(Files.readString(at).strip());
    }
  }

  /**
   * A model.
   *
   * @param created Unix seconds
   * @param defaultMaxTokens of an answer that is paid before it is given, where none are named
   */
  record Model(
      @JsonProperty(required = true) String id,
      @Nullable String name,
      @Nullable String description,
      long created,
      int defaultMaxTokens,
      @JsonProperty(required = true) List<Endpoint> endpoints) {}

  /**
   * A model at one provider. Prices are dollars for a million tokens.
   *
   * @param model what the provider calls it
   * @param tag names it where a provider has several
   * @param imageTokensMax what an image may count as, at most
   */
  record Endpoint(
      @JsonProperty(required = true) String provider,
      @JsonProperty(required = true) String model,
      @Nullable String tag,
      @JsonProperty(required = true) String promptUsdPerMillion,
      @JsonProperty(required = true) String completionUsdPerMillion,
      @Nullable String cacheReadUsdPerMillion,
      @Nullable String cacheWriteUsdPerMillion,
      @Nullable String requestUsd,
      @JsonProperty(required = true) int contextTokens,
      @JsonProperty(required = true) int maxCompletionTokens,
      @Nullable String quantization,
      @Nullable List<String> regions,
      @Nullable List<String> features,
      int imageTokensMax) {}
}
