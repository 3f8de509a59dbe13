package dev.gridtie.grid.engine;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.interpret.OutputTooBigException;
import com.hubspot.jinjava.lib.filter.AdvancedFilter;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.objects.SafeString;
import dev.gridtie.base.Json;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The filters of a chat template: those of the library that look at nothing but the value, and our
 * own for those whose result can be larger than what went in, or whose value could be any object.
 */
final class TemplateFilters {
  /** How deep a value may be nested that is written as JSON. */
  private static final int DEPTH_MAX = 64;

  private static final int INDENT_MAX = 16;

  private static final Map<String, Body> OWN =
      Map.of(
          "trim", (value, given, named, max) -> TemplateValues.strip(text(value)),
          "replace",
              (value, given, named, max) ->
                  TemplateValues.replace(text(value), text(given[0]), text(given[1]), max),
          "join", TemplateFilters::join,
          "indent", TemplateFilters::indent,
          "items",
              (value, given, named, max) ->
                  value instanceof Map<?, ?> map ? TemplateValues.items(map) : List.of(),
          "tojson", TemplateFilters::json,
          "safe", (value, given, named, max) -> text(value));

  /** Names of all filters that a template may use. */
  static final Set<String> ALLOWED =
      Stream.concat(
              OWN.keySet().stream(),
              Stream.of(
                  "abs",
                  "bool",
                  "capitalize",
                  "count",
                  "d",
                  "default",
                  "dictsort",
                  "first",
                  "float",
                  "int",
                  "last",
                  "length",
                  "list",
                  "lower",
                  "map",
                  "reject",
                  "rejectattr",
                  "reverse",
                  "round",
                  "select",
                  "selectattr",
                  "sort",
                  "string",
                  "sum",
                  "title",
                  "unique",
                  "upper"))
          .collect(Collectors.toUnmodifiableSet());

  private TemplateFilters() {}

  /** What a filter does. */
  private interface Body {
    Object apply(@Nullable Object value, Object[] given, Map<String, Object> named, long textMax);
  }

  private record Own(String name, Body body) implements AdvancedFilter {
    @Override
    public Object filter(
        Object value, JinjavaInterpreter interpreter, Object[] given, Map<String, Object> named) {
      return body.apply(value, given, named, interpreter.getConfig().getMaxOutputSize());
    }

    @Override
    public String getName() {
      return name;
    }
  }

  /** Our own. */
  static List<Filter> all() {
    return OWN.entrySet().stream().<Filter>map(e -> new Own(e.getKey(), e.getValue())).toList();
  }

  private static String text(@Nullable Object value) {
    return value == null ? "" : value.toString();
  }

  private static String join(
      @Nullable Object value, Object[] given, Map<String, Object> named, long max) {
    StringBuilder out = new StringBuilder();
    String between = given.length == 0 ? text(named.get("d")) : text(given[0]);
    boolean first = true;
    for (Object one : value instanceof Collection<?> all ? all : List.of(text(value))) {
      append(out, first ? "" : between, max);
      append(out, text(one), max);
      first = false;
    }
    return out.toString();
  }

  private static String indent(
      @Nullable Object value, Object[] given, Map<String, Object> named, long max) {
    Object width = given.length > 0 ? given[0] : named.getOrDefault("width", 4);
    Object first = given.length > 1 ? given[1] : named.getOrDefault("first", false);
    String spaces = " ".repeat(width instanceof Number n ? Math.clamp(n.intValue(), 0, 16) : 4);
    StringBuilder out = new StringBuilder();
    boolean begin = true;
    for (String line : text(value).split("\n", -1)) {
      append(out, begin ? "" : "\n", max);
      boolean indented = begin ? Boolean.TRUE.equals(first) : !line.isEmpty();
      append(out, indented ? spaces : "", max);
      append(out, line, max);
      begin = false;
    }
    return out.toString();
  }

  private static void append(StringBuilder out, String text, long max) {
    if (out.length() + (long) text.length() > max) {
      throw new OutputTooBigException(max, out.length() + (long) text.length());
    }
    out.append(text);
  }

  /** As Python's {@code json.dumps} writes with {@code ensure_ascii=False}. */
  private static String json(
      @Nullable Object value, Object[] given, Map<String, Object> named, long max) {
    Object indent = given.length > 0 ? given[0] : named.get("indent");
    int width = indent instanceof Number n ? Math.clamp(n.intValue(), 0, INDENT_MAX) : -1;
    StringBuilder out = new StringBuilder();
    write(value, width, 0, out, max);
    return out.toString();
  }

  private static void write(
      @Nullable Object value, int width, int depth, StringBuilder out, long max) {
    if (depth > DEPTH_MAX) {
      throw new IllegalStateException("a value is nested too deep");
    }
    switch (value) {
      case null -> append(out, "null", max);
      case String text -> append(out, quoted(text), max);
      case SafeString text -> append(out, quoted(text.toString()), max);
      case Number number -> append(out, number.toString(), max);
      case Boolean truth -> append(out, truth.toString(), max);
      case Map<?, ?> map -> {
        append(out, "{", max);
        String between = "";
        for (Map.Entry<?, ?> entry : map.entrySet()) {
          append(out, between + line(width, depth + 1), max);
          append(out, quoted(text(entry.getKey())) + ": ", max);
          write(entry.getValue(), width, depth + 1, out, max);
          between = width < 0 ? ", " : ",";
        }
        append(out, (map.isEmpty() ? "" : line(width, depth)) + "}", max);
      }
      case Collection<?> list -> {
        append(out, "[", max);
        String between = "";
        for (Object one : list) {
          append(out, between + line(width, depth + 1), max);
          write(one, width, depth + 1, out, max);
          between = width < 0 ? ", " : ",";
        }
        append(out, (list.isEmpty() ? "" : line(width, depth)) + "]", max);
      }
      default -> throw new IllegalStateException("only data can be written as JSON");
    }
  }

  private static String line(int width, int depth) {
    return width < 0 ? "" : "\n" + " ".repeat(width * depth);
  }

  private static String quoted(String text) {
    return Json.quote(text);
  }
}
