package dev.gridtie.wire;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.wire.chat.Dialect;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/**
 * A look at the outermost fields of a JSON body, without building it: enough to pass the body on
 * with another model's name and every other byte as it was.
 */
public final class BodyScan {
  /**
   * Servers differ in which of two fields of one name they take: so none stands twice, anywhere.
   */
  private static final JsonFactory FACTORY =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  /** How long a prompt is kept where that costs more. */
  static final String LONG = "1h";

  private final byte[] body;
  private final Set<String> fields = new HashSet<>();
  private int open = -1;
  private @Nullable Span model;
  private @Nullable Span streamOptions;
  private @Nullable Span usageIncluded;
  private String modelName = "";
  private boolean stream;
  private final Map<String, Integer> limits = new HashMap<>();
  private final Set<String> kinds = new HashSet<>();
  private boolean oddLimit;
  private boolean keepsLong;

  /** Bytes from one place to another. */
  private record Span(int from, int to) {}

  private BodyScan(byte[] body) {
    this.body = body;
  }

  /**
   * Scans a body.
   *
   * @throws Json.MalformedJsonException where it is not a JSON object
   */
  public static BodyScan of(byte[] body) throws Json.MalformedJsonException {
    Json.requireUtf8(body); // a parser that guesses would count UTF-16's characters, not bytes
    BodyScan scan = new BodyScan(body);
    try (JsonParser parser = FACTORY.createParser(ObjectReadContext.empty(), body)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw Json.malformed("the body is not a JSON object");
      }
      scan.open = (int) parser.currentTokenLocation().getByteOffset() + 1;
      scan.fields(parser);
      return scan;
    } catch (JacksonException e) {
      throw Json.malformed("the body is not valid JSON");
    }
  }

  private void fields(JsonParser parser) throws Json.MalformedJsonException {
    while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
      String name = parser.currentName();
      if (!fields.add(name)) {
        throw Json.malformed("'" + Fields.clip(name) + "' stands twice");
      }
      JsonToken value = parser.nextToken();
      int from = (int) parser.currentTokenLocation().getByteOffset();
      switch (name) {
        case "model" -> {
          if (value == JsonToken.VALUE_STRING) {
            modelName = parser.getString();
            model = new Span(from, (int) parser.currentLocation().getByteOffset());
          }
        }
        case "stream" -> stream = value == JsonToken.VALUE_TRUE;
        case "max_tokens", "max_completion_tokens", "max_output_tokens" -> {
          limit(name, value, parser);
        }
        case "stream_options" -> {
          streamOptions = new Span(from, from + 1);
          if (value == JsonToken.START_OBJECT) {
            options(parser);
            continue;
          }
        }
        default -> {}
      }
      within(parser);
    }
  }

  private void limit(String name, JsonToken value, JsonParser parser) {
    if (value == JsonToken.VALUE_NUMBER_INT
        && parser.getNumberType() == JsonParser.NumberType.INT) {
      limits.put(name, parser.getIntValue());
      oddLimit |= parser.getIntValue() < 1;
    } else {
      oddLimit |= value != JsonToken.VALUE_NULL;
    }
  }

  /** Passes over a value, and notes what kinds of parts are in it. */
  private void within(JsonParser parser) {
    int depth = parser.currentToken().isStructStart() ? 1 : 0;
    while (depth > 0) {
      JsonToken token = parser.nextToken();
      if (token == null) {
        return;
      }
      if (token.isStructStart()) {
        depth++;
      } else if (token.isStructEnd()) {
        depth--;
      } else if (token == JsonToken.VALUE_STRING) {
        String name = parser.currentName();
        if ("type".equals(name) && kinds.size() <= KINDS_MAX) {
          kinds.add(parser.getString());
        } else if ("ttl".equals(name)) {
          keepsLong |= parser.getString().equals(LONG);
        }
      }
    }
  }

  /** As many kinds as are told apart. */
  private static final int KINDS_MAX = 64;

  private void options(JsonParser parser) {
    int depth = 1;
    while (depth > 0) {
      JsonToken token = parser.nextToken();
      if (token == null) {
        return;
      }
      if (token.isStructStart()) {
        depth++;
      } else if (token.isStructEnd()) {
        depth--;
      } else if (depth == 1
          && token == JsonToken.PROPERTY_NAME
          && parser.currentName().equals("include_usage")) {
        JsonToken value = parser.nextToken();
        int from = (int) parser.currentTokenLocation().getByteOffset();
        if (value == JsonToken.VALUE_TRUE) {
          usageIncluded = new Span(from, from);
        } else {
          usageIncluded = new Span(from, (int) parser.currentLocation().getByteOffset());
        }
      }
    }
  }

  /** The model that is named; empty where none is. */
  public String model() {
    return modelName;
  }

  public boolean stream() {
    return stream;
  }

  /** The limit of the answer that a server of this dialect acts on; 0 where none is named. */
  public int maxTokens(Dialect dialect) {
    return Costs.limits(dialect).stream()
        .mapToInt(name -> limits.getOrDefault(name, 0))
        .max()
        .orElse(0);
  }

  /** Whether a limit is named that is no number of tokens. */
  boolean hasOddLimit() {
    return oddLimit;
  }

  /** The {@code type} of everything in it that names one, at any depth. */
  Set<String> kinds() {
    return kinds;
  }

  /** Whether its prompt is to be kept for long. */
  boolean keepsLong() {
    return keepsLong;
  }

  public Set<String> fields() {
    return fields;
  }

  /** Whether a stream is to end with its usage (OpenAI chat). */
  public boolean includesUsage() {
    Span at = usageIncluded;
    return at != null && at.from() == at.to();
  }

  /** Changes to a body, every other byte left as it is. */
  public Splice splice() {
    return new Splice();
  }

  /** Collects changes and applies them. */
  public final class Splice {
    private final java.util.TreeMap<Integer, Change> changes = new java.util.TreeMap<>();

    private record Change(int to, String text) {}

    private Splice() {}

    /** Names another model. */
    public Splice model(String name) {
      Span at = model;
      if (at != null && !name.equals(modelName)) {
        changes.put(at.from(), new Change(at.to(), Json.quote(name)));
      }
      return this;
    }

    /** Adds a field at the front; one that is there already must not be added. */
    public Splice add(String field, String json) {
      String before = changes.containsKey(open) ? changes.get(open).text() : "";
      String comma = fields.isEmpty() ? "" : ",";
      String addition = Json.quote(field) + ":" + json + comma;
      changes.put(open, new Change(open, before + addition));
      return this;
    }

    /** Asks for the usage at the end of an OpenAI chat stream. */
    public Splice includeUsage() {
      Span options = streamOptions;
      Span usage = usageIncluded;
      if (options == null) {
        return add("stream_options", "{\"include_usage\":true}");
      }
      if (usage != null) {
        changes.put(usage.from(), new Change(usage.to(), usage.from() == usage.to() ? "" : "true"));
      } else if (body[options.from()] == '{') {
        boolean empty = isEmptyObject(options.to());
        changes.put(
            options.to(), new Change(options.to(), "\"include_usage\":true" + (empty ? "" : ",")));
      } else {
        // null stands there
        changes.put(
            options.from(),
            new Change(options.from() + "null".length(), "{\"include_usage\":true}"));
      }
      return this;
    }

    private boolean isEmptyObject(int at) {
      int i = at;
      while (i < body.length && Character.isWhitespace(body[i])) {
        i++;
      }
      return i < body.length && body[i] == '}';
    }

    /** The changed body; the body itself where nothing changed. */
    public byte[] apply() {
      if (changes.isEmpty()) {
        return body;
      }
      java.nio.ByteBuffer out =
          java.nio.ByteBuffer.allocate(
              body.length
                  + changes.values().stream().mapToInt(c -> c.text().getBytes(UTF_8).length).sum());
      int from = 0;
      for (var change : changes.entrySet()) {
        out.put(body, from, change.getKey() - from);
        out.put(change.getValue().text().getBytes(UTF_8));
        from = change.getValue().to();
      }
      out.put(body, from, body.length - from);
      return Arrays.copyOf(out.array(), out.position());
    }
  }
}
