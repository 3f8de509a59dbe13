package dev.gridtie.wire;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.Dialect;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/**
 * What fields of a request cost beside the tokens of its words, one table for each dialect. What a
 * field costs is bounded here, or the field is refused where a server that bills it would see it.
 * Fields that stand in no table cost nothing of their own.
 */
public final class Costs {
  private Costs() {}

  /**
   * What a request may cost beside its words.
   *
   * @param promptUnknown whether its prompt may be as long as the model's context, for part of it
   *     is stored elsewhere
   * @param answerTokens that are billed as the answer's, beside those that its limit counts
   * @param keepsLong whether its prompt is written to a cache for an hour, which vendors bill
   *     higher than for minutes
   */
  public record Found(boolean promptUnknown, long answerTokens, boolean keepsLong) {}

  /** What is to be thought of a field. */
  private sealed interface Rule {
    /** It costs nothing with these values, in lower case, and is refused with others. */
    record Only(Set<String> values) implements Rule {}

    /** It has a price of its own, which nothing here knows. */
    record Never(String why) implements Rule {}

    /** It stands for words that are stored elsewhere. */
    record Stored() implements Rule {}

    /** Its words may be billed as the answer's. */
    record Answered() implements Rule {}

    /** Every tool in it must be of a kind that costs tokens alone. */
    record Tools(Set<String> kinds) implements Rule {}
  }

  private static final Rule SEARCH = new Rule.Never("is billed by the search");
  private static final Rule MEDIA = new Rule.Only(Set.of("text"));
  private static final Rule ELSEWHERE =
      new Rule.Never("runs at the vendor, and is billed by its use");

  private static final Map<Dialect, Map<String, Rule>> TABLES =
      Map.of(
          Dialect.OPENAI,
          Map.of(
              "service_tier", new Rule.Only(Set.of("auto", "default", "standard", "flex")),
              "modalities", MEDIA,
              "best_of", new Rule.Only(Set.of("1")),
              "prediction", new Rule.Answered(),
              "web_search_options", SEARCH,
              "search_parameters", SEARCH,
              "enable_search", new Rule.Only(Set.of("false")),
              "plugins", new Rule.Never("is billed by the use of each plugin"),
              "tools", new Rule.Tools(Set.of("function", "custom"))),
          Dialect.RESPONSES,
          Map.of(
              "service_tier", new Rule.Only(Set.of("auto", "default", "flex")),
              "background",
                  new Rule.Only(Set.of("false")), // its usage would come when it is asked for again
              "previous_response_id", new Rule.Stored(),
              "conversation", new Rule.Stored(),
              "prompt", new Rule.Stored(),
              "context_management",
                  new Rule.Never("lets the vendor write summaries, and bill them"),
              "tools", new Rule.Tools(Set.of("function", "custom", "local_shell", "apply_patch"))),
          Dialect.ANTHROPIC,
          Map.of(
              "service_tier", new Rule.Only(Set.of("auto", "standard_only")),
              "speed", new Rule.Only(Set.of("standard", "normal")),
              "inference_geo", new Rule.Only(Set.of("global", "not_available")),
              "mcp_servers", ELSEWHERE,
              "container", ELSEWHERE,
              "tools",
                  new Rule.Tools(Set.of("custom", "bash", "text_editor", "computer", "memory"))),
          Dialect.GEMINI,
          Map.of(
              "serviceTier", new Rule.Only(Set.of("standard", "flex", "unspecified")),
              "cachedContent", new Rule.Stored(),
              "generationConfig.responseModalities", MEDIA,
              "tools", new Rule.Tools(Set.of("functionDeclarations"))));

  /** How each dialect limits an answer's length. */
  private static final Map<Dialect, Set<String>> LIMITS =
      Map.of(
          Dialect.OPENAI, Set.of("max_completion_tokens", "max_tokens"),
          Dialect.RESPONSES, Set.of("max_output_tokens"),
          Dialect.ANTHROPIC, Set.of("max_tokens"),
          Dialect.GEMINI, Set.of("maxOutputTokens"));

  /** The fields that limit an answer's length. */
  static Set<String> limits(Dialect dialect) {
    return LIMITS.getOrDefault(dialect, Set.of());
  }

  /** The kinds of parts, items, tools and schemas that are words and no more. */
  private static final Set<String> WORDS =
      Set.of(
          "text",
          "input_text",
          "output_text",
          "message",
          "function",
          "function_call",
          "function_call_output",
          "custom",
          "tool_use",
          "tool_result",
          "ephemeral",
          "json_object",
          "json_schema",
          "object",
          "array",
          "string",
          "number",
          "integer",
          "boolean",
          "null");

  /**
   * Whether a body may cost more than its words, as far as its outermost fields and the kinds of
   * its parts tell: then it has to be read.
   */
  public static boolean mayBe(Dialect dialect, BodyScan scan) {
    Map<String, Rule> table = TABLES.getOrDefault(dialect, Map.of());
    return scan.fields().stream()
            .anyMatch(
                f ->
                    (table.containsKey(f) && !(table.get(f) instanceof Rule.Tools))
                        || f.equals("thinking"))
        || limits(dialect).stream().filter(scan.fields()::contains).count() > 1
        || scan.hasOddLimit()
        || scan.keepsLong()
        || !WORDS.containsAll(scan.kinds());
  }

  /** What a request may cost beside its words; refused where that is not known. */
  public static Outcome<Found> of(Dialect dialect, JsonNode body) {
    return Fields.outcome(() -> new Reading(dialect).read(body));
  }

  /** One reading of one body. */
  private static final class Reading {
    private final Dialect dialect;
    private final Map<String, Rule> table;
    private boolean promptUnknown;
    private long answerTokens;

    Reading(Dialect dialect) {
      this.dialect = dialect;
      this.table = TABLES.getOrDefault(dialect, Map.of());
    }

    Found read(JsonNode body) throws Fields.RefusedException {
      limits(body);
      if (dialect == Dialect.GEMINI) {
        JsonNode given = camel(body, "");
        for (var field : given.properties()) {
          look(field.getKey(), field.getValue());
        }
        for (var field : camel(given.path("generationConfig"), "generationConfig").properties()) {
          look("generationConfig." + field.getKey(), field.getValue());
        }
      } else {
        for (var field : body.properties()) {
          look(field.getKey(), field.getValue());
        }
      }
      return new Found(promptUnknown, answerTokens, keepsLong(body));
    }

    /** Two limits that differ say nothing: servers take one, and not all the same. */
    private void limits(JsonNode body) throws Fields.RefusedException {
      List<String> said = new ArrayList<>();
      for (String limit : Costs.limits(dialect)) {
        if (!body.path(limit).isMissingNode() && !body.path(limit).isNull()) {
          said.add(limit);
        }
      }
      if (said.size() > 1 && !body.path(said.get(0)).equals(body.path(said.get(1)))) {
        throw differ();
      }
      JsonNode budget = body.path("thinking").path("budget_tokens");
      JsonNode most = body.path("max_tokens");
      if (dialect == Dialect.ANTHROPIC
          && budget.isNumber()
          && most.isNumber()
          && budget.asDouble(0) >= most.asDouble(0)) {
        throw new Fields.RefusedException(
            "invalid_value",
            "'thinking.budget_tokens' must be less than 'max_tokens', which bounds what the answer"
                + " may cost.",
            "thinking.budget_tokens");
      }
    }

    private void look(String field, JsonNode value) throws Fields.RefusedException {
      Rule rule = table.get(field);
      if (rule == null || value.isNull() || (value.isContainer() && value.isEmpty())) {
        return;
      }
      switch (rule) {
        case Rule.Only only -> {
          for (JsonNode each : value.isArray() ? value : List.of(value)) {
            String said = each.asString("?").toLowerCase(Locale.ROOT);
            if (!only.values().contains(said)) {
              throw refused(field, "is '" + Fields.clip(said) + "', which has a price of its own");
            }
          }
        }
        case Rule.Never never -> throw refused(field, never.why());
        case Rule.Stored stored -> promptUnknown = true;
        case Rule.Answered answered -> answerTokens += Json.write(value).getBytes(UTF_8).length;
        case Rule.Tools tools -> {
          for (JsonNode tool : value) {
            tool(field, tools, tool);
          }
        }
      }
    }

    private void tool(String field, Rule.Tools tools, JsonNode tool)
        throws Fields.RefusedException {
      if (dialect == Dialect.GEMINI) {
        for (String kind : camel(tool, field).propertyNames()) {
          if (!tools.kinds().contains(kind)) {
            throw refused(
                field, "holds '" + Fields.clip(kind) + "', which the vendor runs and bills");
          }
        }
        return;
      }
      String given = tool.path("type").asString("");
      // Anthropic's kinds end in a date, and a tool without one is the client's own.
      String kind =
          given.isEmpty() && dialect == Dialect.ANTHROPIC
              ? "custom"
              : given.replaceAll("_\\d{8}$", "");
      if (!tools.kinds().contains(kind)) {
        throw refused(field, "holds '" + Fields.clip(given) + "', which the vendor runs and bills");
      }
      promptUnknown |= !Set.of("function", "custom").contains(kind); // the vendor describes it
    }

    private static Fields.RefusedException refused(String field, String why) {
      return new Fields.RefusedException(
          "unpriced_parameter",
          "'"
              + field
              + "' "
              + why
              + ", and this gateway has no price for it. Leave it out; nothing was charged.",
          field);
    }
  }

  /** Refuses two limits that differ. */
  public static Fields.RefusedException differ() {
    return new Fields.RefusedException(
        "conflicting_parameters",
        "'max_tokens' and 'max_completion_tokens' are the same limit and differ here: send one.",
        "max_tokens");
  }

  /** Whether a mark to cache its prompt asks for an hour, anywhere in it. */
  private static boolean keepsLong(JsonNode json) {
    if (json.isObject() && json.path("ttl").asString("").equals(BodyScan.LONG)) {
      return true;
    }
    for (JsonNode each : json) {
      if (keepsLong(each)) {
        return true;
      }
    }
    return false;
  }

  /**
   * An object whose names are in camel case, as Gemini takes them besides its own snake case; one
   * that says the same in both is refused.
   */
  public static JsonNode camel(JsonNode json, String path) throws Fields.RefusedException {
    var out = Json.object();
    Map<String, String> said = new HashMap<>();
    for (var field : json.properties()) {
      String name = camel(field.getKey());
      String before = said.put(name, field.getKey());
      if (before != null) {
        String at = path.isEmpty() ? name : path + "." + name;
        throw new Fields.RefusedException(
            "conflicting_parameters",
            "'" + before + "' and '" + field.getKey() + "' are the same field: send one.",
            at);
      }
      out.set(name, field.getValue());
    }
    return out;
  }

  private static String camel(String name) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < name.length(); i++) {
      boolean hump = name.charAt(i) == '_' && i > 0 && i + 1 < name.length();
      out.append(hump ? Character.toUpperCase(name.charAt(++i)) : name.charAt(i));
    }
    return out.toString();
  }
}
