package dev.gridtie.gateway.provider;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Json;
import dev.gridtie.wire.ApiError;
import dev.gridtie.wire.UpstreamErrors;
import dev.gridtie.wire.anthropic.AnthropicUsage;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.FinishReason;
import dev.gridtie.wire.chat.Usage;
import dev.gridtie.wire.gemini.GeminiUsage;
import dev.gridtie.wire.openai.OpenAiUsage;
import dev.gridtie.wire.responses.ResponsesUsage;
import io.vertx.core.buffer.Buffer;
import java.util.Arrays;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/**
 * Watches the lines of a stream go by and takes note of what accounting needs: the usage, whether
 * the answer came to its end, and errors. Parses only the few lines that may hold these.
 */
final class UsageTap {
  private static final byte[] DATA = ascii("data:");
  private static final byte[] EVENT = ascii("event:");
  private static final byte[] DONE = ascii("[DONE]");
  private static final byte[] USAGE = ascii("\"usage\"");
  private static final byte[] FINISH = ascii("\"finish_reason\"");
  private static final byte[] GEMINI_FINISH = ascii("\"finishReason\"");
  private static final byte[] GEMINI_USAGE = ascii("\"usageMetadata\"");
  private static final byte[] ERROR = ascii("\"error\"");
  private static final byte[] TYPED_ERROR = ascii("error");

  private static final byte[] BLOCK_START = ascii("content_block_start");
  private static final byte[] BLOCK_STOP = ascii("content_block_stop");

  private final Dialect dialect;
  private final Meter meter;
  private final AnswerScan scan;
  private final StringBuilder words = new StringBuilder();
  private final EarlyEnd earlyEnd;
  private Usage usage = Usage.NONE;
  private FinishReason finish = FinishReason.STOP;
  private boolean finished;
  private boolean done;
  private long events;
  private boolean namedEvent;
  private boolean interesting;
  private byte[] lastUsage = new byte[0];
  private Optional<ApiError> error = Optional.empty();

  /** What accounting needs of an answer. */
  record Seen(Usage usage, FinishReason finish) {}

  /** What is to be done with a line. */
  enum Line {
    PASS,
    /** It is the usage that we asked for and the client did not. */
    USAGE_ONLY,
    ERROR
  }

  UsageTap(Dialect dialect, Meter meter) {
    this.dialect = dialect;
    this.meter = meter;
    this.scan = AnswerScan.ofStream(dialect);
    this.earlyEnd = new EarlyEnd(dialect);
  }

  private static byte[] ascii(String text) {
    return text.getBytes(US_ASCII);
  }

  /** Looks at a line, from {@code from} to before its line feed. */
  Line line(byte[] bytes, int from, int to) {
    int end = to > from && bytes[to - 1] == '\r' ? to - 1 : to;
    if (startsWith(bytes, from, end, EVENT)) {
      event(bytes, skipBlanks(bytes, from + EVENT.length, end), end);
      return Line.PASS;
    }
    if (!startsWith(bytes, from, end, DATA)) {
      return Line.PASS;
    }
    events++;
    int data = skipBlanks(bytes, from + DATA.length, end);
    scan.read(bytes, data, end, words);
    meter.said(words);
    earlyEnd.heard(bytes, data, end, words);
    words.setLength(0);
    return data(bytes, data, end);
  }

  /** How the stream ends where it is cut at its limit, in its own dialect. */
  Buffer closing(Usage spent, boolean withUsage) {
    return Buffer.buffer(earlyEnd.write(spent, withUsage));
  }

  /** Anthropic and OpenAI's responses name their events: that alone tells which matter. */
  private void event(byte[] bytes, int from, int to) {
    namedEvent = true;
    if (startsWith(bytes, from, to, BLOCK_START)) {
      earlyEnd.blockBegan();
    } else if (startsWith(bytes, from, to, BLOCK_STOP)) {
      earlyEnd.blockEnded();
    }
    interesting =
        startsWith(bytes, from, to, ascii("message_"))
            || startsWith(bytes, from, to, ascii("response.completed"))
            || startsWith(bytes, from, to, ascii("response.incomplete"))
            || startsWith(bytes, from, to, ascii("response.failed"))
            || startsWith(bytes, from, to, TYPED_ERROR);
  }

  private Line data(byte[] bytes, int from, int to) {
    return switch (dialect) {
      case OPENAI -> openAi(bytes, from, to);
      case GEMINI -> gemini(bytes, from, to);
      case ANTHROPIC, RESPONSES -> {
        if (namedEvent && !interesting) {
          yield Line.PASS;
        }
        yield typed(parse(bytes, from, to));
      }
    };
  }

  private Line openAi(byte[] bytes, int from, int to) {
    if (startsWith(bytes, from, to, DONE)) {
      done = true;
      return Line.PASS;
    }
    if (startsWith(bytes, from + 1, to, ERROR)) {
      return failed(parse(bytes, from, to));
    }
    int reason = find(bytes, from, to, FINISH);
    boolean ends = reason >= 0 && valueBegins(bytes, reason + FINISH.length, to) == '"';
    int counted = find(bytes, from, to, USAGE);
    boolean counts = counted >= 0 && valueBegins(bytes, counted + USAGE.length, to) == '{';
    if (!ends && !counts) {
      return Line.PASS;
    }
    JsonNode json = parse(bytes, from, to);
    JsonNode error = json.path("error");
    if (error.isObject()) {
      return failed(json);
    }
    if (json.path("usage").isObject()) {
      usage = usage.merge(OpenAiUsage.read(json.path("usage")));
    }
    String why = json.path("choices").path(0).path("finish_reason").asString("");
    if (!why.isEmpty()) {
      finished = true;
      finish = why.equals("length") ? FinishReason.LENGTH : FinishReason.STOP;
    }
    return json.path("choices").isEmpty() && json.path("usage").isObject()
        ? Line.USAGE_ONLY
        : Line.PASS;
  }

  private Line gemini(byte[] bytes, int from, int to) {
    if (startsWith(bytes, from + 1, to, ERROR)) {
      return failed(parse(bytes, from, to));
    }
    if (find(bytes, from, to, GEMINI_USAGE) >= 0) {
      lastUsage = Arrays.copyOfRange(bytes, from, to); // cumulative: only the last one counts
    }
    if (find(bytes, from, to, GEMINI_FINISH) >= 0) {
      finished = true;
    }
    return Line.PASS;
  }

  private Line typed(JsonNode json) {
    switch (json.path("type").asString("")) {
      case "message_start" ->
          usage = usage.merge(AnthropicUsage.read(json.path("message").path("usage")));
      case "message_delta" -> {
        usage = usage.merge(AnthropicUsage.read(json.path("usage")));
        finished = true;
        if (json.path("delta").path("stop_reason").asString("").equals("max_tokens")) {
          finish = FinishReason.LENGTH;
        }
      }
      case "message_stop" -> done = true;
      case "response.completed", "response.incomplete" -> {
        usage = usage.merge(ResponsesUsage.read(json.path("response").path("usage")));
        finished = true;
        done = true;
      }
      case "response.failed" -> {
        return failed(json.path("response"));
      }
      case "error" -> {
        return failed(json);
      }
      default -> {}
    }
    return Line.PASS;
  }

  private Line failed(JsonNode json) {
    JsonNode inner = json.path("error");
    String message = inner.path("message").asString(json.path("message").asString(""));
    error = Optional.of(UpstreamErrors.streamed(message));
    return Line.ERROR;
  }

  private static JsonNode parse(byte[] bytes, int from, int to) {
    try {
      return Json.parse(Arrays.copyOfRange(bytes, from, to));
    } catch (Json.MalformedJsonException e) {
      return Json.object();
    }
  }

  /** Whether the answer came to its end, as its dialect marks it. */
  boolean isWhole() {
    return switch (dialect) {
      case OPENAI -> done || finished;
      case GEMINI -> finished;
      case ANTHROPIC, RESPONSES -> done;
    };
  }

  Optional<ApiError> error() {
    return error;
  }

  Seen seen() {
    if (lastUsage.length > 0) {
      JsonNode last = parse(lastUsage, 0, lastUsage.length);
      usage = usage.merge(GeminiUsage.read(last.path("usageMetadata")));
      lastUsage = new byte[0];
    }
    return new Seen(usage, finish);
  }

  /** How many events carried data: at least as many tokens were received, give or take two. */
  long events() {
    return events;
  }

  /** What accounting needs of a whole document. */
  static Seen whole(Dialect dialect, JsonNode json) {
    return switch (dialect) {
      case OPENAI ->
          new Seen(
              OpenAiUsage.read(json.path("usage")),
              json.path("choices").path(0).path("finish_reason").asString("").equals("length")
                  ? FinishReason.LENGTH
                  : FinishReason.STOP);
      case RESPONSES -> new Seen(ResponsesUsage.read(json.path("usage")), FinishReason.STOP);
      case ANTHROPIC -> new Seen(AnthropicUsage.read(json.path("usage")), FinishReason.STOP);
      case GEMINI -> new Seen(GeminiUsage.read(json.path("usageMetadata")), FinishReason.STOP);
    };
  }

  private static int skipBlanks(byte[] bytes, int from, int to) {
    int at = from;
    while (at < to && bytes[at] == ' ') {
      at++;
    }
    return at;
  }

  private static byte valueBegins(byte[] bytes, int from, int to) {
    int at = from;
    while (at < to && (bytes[at] == ' ' || bytes[at] == ':')) {
      at++;
    }
    return at < to ? bytes[at] : 0;
  }

  private static boolean startsWith(byte[] bytes, int from, int to, byte[] prefix) {
    return to - from >= prefix.length
        && Arrays.equals(bytes, from, from + prefix.length, prefix, 0, prefix.length);
  }

  private static int find(byte[] bytes, int from, int to, byte[] what) {
    int last = to - what.length;
    for (int i = from; i <= last; i++) {
      if (bytes[i] == what[0]
          && bytes[i + what.length - 1] == what[what.length - 1]
          && startsWith(bytes, i, to, what)) {
        return i;
      }
    }
    return -1;
  }
}
