package dev.gridtie.grid.engine;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.interpret.OutputTooBigException;
import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.objects.SafeString;
import com.hubspot.jinjava.objects.collections.PyList;
import com.hubspot.jinjava.util.ForLoop;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;
import jinjava.javax.el.PropertyNotWritableException;
import org.jspecify.annotations.Nullable;

/**
 * What a template may do with a value: look into maps and lists, ask a loop where it is, and call
 * the few methods of Python's strings and dictionaries that chat templates use. There is no
 * reflection: an object of any other class has no properties and no methods.
 */
final class TemplateValues extends ELResolver {
  private final long textMax;

  /**
   * @param textMax the longest text that may come out of a method, in characters
   */
  TemplateValues(long textMax) {
    this.textMax = textMax;
  }

  @Override
  public @Nullable Object getValue(ELContext context, @Nullable Object base, Object property) {
    context.setPropertyResolved(true);
    return switch (base) {
      case Map<?, ?> map -> map.get(property);
      case List<?> list -> element(list, String.valueOf(property));
      case Map.Entry<?, ?> entry ->
          switch (String.valueOf(property)) {
            case "key" -> entry.getKey();
            case "value" -> entry.getValue();
            default -> null;
          };
      case ForLoop loop ->
          switch (String.valueOf(property)) {
            case "index" -> loop.getIndex();
            case "index0" -> loop.getIndex0();
            case "revindex" -> loop.getRevindex();
            case "revindex0" -> loop.getRevindex0();
            case "length" -> loop.getLength();
            case "first" -> loop.isFirst();
            case "last" -> loop.isLast();
            case "depth" -> loop.getDepth();
            case "depth0" -> loop.getDepth0();
            default -> null;
          };
      case String text -> character(text, String.valueOf(property));
      case SafeString text -> character(text.toString(), String.valueOf(property));
      case null, default -> null;
    };
  }

  private static @Nullable Object element(List<?> list, String property) {
    int index = index(property, list.size());
    return index < 0 ? null : list.get(index);
  }

  private static @Nullable Object character(String text, String property) {
    int index = index(property, text.length());
    return index < 0 ? null : text.substring(index, index + 1);
  }

  /** As Python counts, from the end where it is negative; −1 where there is no such element. */
  private static int index(String property, int size) {
    if (!property.matches("-?\\d{1,9}")) {
      return -1;
    }
    int index = Integer.parseInt(property);
    int from = index < 0 ? index + size : index;
    return from < size ? Math.max(from, -1) : -1;
  }

  @Override
  public @Nullable Object invoke(
      ELContext context,
      Object base,
      Object method,
      Class<?> @Nullable [] types,
      Object @Nullable [] given) {
    context.setPropertyResolved(true);
    String name = String.valueOf(method);
    Object[] parameters = given == null ? new Object[0] : given;
    Object result =
        switch (base) {
          case Filter filter when name.equals("filter") -> filtered(filter, parameters);
          case ExpTest test when name.startsWith("evaluate") -> tested(test, name, parameters);
          case String text -> ofText(text, name, parameters);
          case SafeString text -> ofText(text.toString(), name, parameters);
          case Map<?, ?> map -> ofMap(map, name, parameters);
          case null, default -> throw unknown(name);
        };
    if (result instanceof CharSequence text && text.length() > textMax) {
      throw new OutputTooBigException(textMax, text.length());
    }
    return result;
  }

  /** Called with the value, the interpreter, the arguments, and the named ones. */
  @SuppressWarnings("unchecked")
  private static @Nullable Object filtered(Filter filter, Object[] parameters) {
    return filter.filter(
        parameters[0],
        (JinjavaInterpreter) parameters[1],
        (Object[]) parameters[2],
        (Map<String, Object>) parameters[3]);
  }

  /** Called with the value, the interpreter, and the arguments. */
  private static boolean tested(ExpTest test, String name, Object[] parameters) {
    Object[] arguments =
        parameters.length == 3 && parameters[2] instanceof Object[] array
            ? array
            : Arrays.copyOfRange(parameters, 2, parameters.length);
    JinjavaInterpreter interpreter = (JinjavaInterpreter) parameters[1];
    return name.equals("evaluateNegated")
        ? test.evaluateNegated(parameters[0], interpreter, arguments)
        : test.evaluate(parameters[0], interpreter, arguments);
  }

  private Object ofText(String text, String method, Object[] given) {
    return switch (method) {
      case "strip", "trim" -> given.length == 0 ? strip(text) : strip(text, string(given, 0), 3);
      case "lstrip" -> strip(text, given.length == 0 ? null : string(given, 0), 1);
      case "rstrip" -> strip(text, given.length == 0 ? null : string(given, 0), 2);
      case "startswith", "startsWith" -> text.startsWith(string(given, 0));
      case "endswith", "endsWith" -> text.endsWith(string(given, 0));
      case "contains" -> text.contains(string(given, 0));
      case "find" -> text.indexOf(string(given, 0));
      case "upper", "toUpperCase" -> text.toUpperCase(Locale.ROOT);
      case "lower", "toLowerCase" -> text.toLowerCase(Locale.ROOT);
      case "capitalize" ->
          text.isEmpty()
              ? text
              : text.substring(0, 1).toUpperCase(Locale.ROOT)
                  + text.substring(1).toLowerCase(Locale.ROOT);
      case "replace" -> replace(text, string(given, 0), string(given, 1), textMax);
      case "split" -> split(text, given);
      default -> throw unknown(method);
    };
  }

  private static Object ofMap(Map<?, ?> map, String method, Object[] given) {
    return switch (method) {
      case "get" -> {
        Object value = given.length == 0 ? null : map.get(given[0]);
        yield value != null ? value : given.length > 1 ? given[1] : "";
      }
      case "items", "entrySet" -> items(map);
      case "keys", "keySet" -> new PyList(new ArrayList<>(map.keySet()));
      case "values" -> new PyList(new ArrayList<>(map.values()));
      default -> throw unknown(method);
    };
  }

  /** A dictionary's pairs. */
  static PyList items(Map<?, ?> map) {
    List<Object> pairs = new ArrayList<>();
    map.forEach((key, value) -> pairs.add(new PyList(new ArrayList<>(Arrays.asList(key, value)))));
    return new PyList(pairs);
  }

  private static IllegalStateException unknown(String method) {
    return new IllegalStateException("a template cannot call " + method + " here");
  }

  private static String string(Object[] given, int at) {
    if (given.length <= at || given[at] == null) {
      throw new IllegalStateException("an argument is missing");
    }
    return given[at].toString();
  }

  /** Without the white space around it, as Python understands white space. */
  static String strip(String text) {
    return strip(text, null, 3);
  }

  /**
   * Without some characters at its ends.
   *
   * @param characters empty of a value for white space
   * @param ends 1 for the left one, 2 for the right one, 3 for both
   */
  private static String strip(String text, @Nullable String characters, int ends) {
    int from = 0;
    int to = text.length();
    while ((ends & 1) != 0 && from < to && goes(text.charAt(from), characters)) {
      from++;
    }
    while ((ends & 2) != 0 && to > from && goes(text.charAt(to - 1), characters)) {
      to--;
    }
    return text.substring(from, to);
  }

  private static boolean goes(char c, @Nullable String characters) {
    return characters == null ? isSpace(c) : characters.indexOf(c) >= 0;
  }

  /** What Python's {@code str.isspace} calls so. */
  static boolean isSpace(char c) {
    return c >= 9 && c <= 13 || c >= 28 && c <= 32 || c == 0x85 || Character.isSpaceChar(c);
  }

  /** Every occurrence of one text replaced by another. */
  static String replace(String text, String old, String by, long textMax) {
    if (old.isEmpty()) {
      throw new IllegalStateException("a template cannot replace what is empty");
    }
    StringBuilder out = new StringBuilder();
    int from = 0;
    for (int at = text.indexOf(old); at >= 0; at = text.indexOf(old, from)) {
      out.append(text, from, at).append(by);
      from = at + old.length();
      if (out.length() > textMax) {
        throw new OutputTooBigException(textMax, out.length());
      }
    }
    return out.append(text, from, text.length()).toString();
  }

  /** As Python splits: at a text, at most so often; or at white space. */
  private static PyList split(String text, Object[] given) {
    List<Object> parts = new ArrayList<>();
    if (given.length == 0 || given[0] == null) {
      int from = -1;
      for (int i = 0; i <= text.length(); i++) {
        boolean space = i == text.length() || isSpace(text.charAt(i));
        if (space && from >= 0) {
          parts.add(text.substring(from, i));
        }
        from = space ? -1 : from < 0 ? i : from;
      }
      return new PyList(parts);
    }
    String separator = string(given, 0);
    if (separator.isEmpty()) {
      throw new IllegalStateException("an empty separator");
    }
    long left = given.length > 1 && given[1] instanceof Number n ? n.longValue() : -1;
    int from = 0;
    for (int at = text.indexOf(separator); at >= 0 && left != 0; left--) {
      parts.add(text.substring(from, at));
      from = at + separator.length();
      at = text.indexOf(separator, from);
    }
    parts.add(text.substring(from));
    return new PyList(parts);
  }

  @Override
  public void setValue(ELContext context, Object base, Object property, Object value) {
    throw new PropertyNotWritableException();
  }

  @Override
  public boolean isReadOnly(ELContext context, Object base, Object property) {
    context.setPropertyResolved(true);
    return true;
  }

  @Override
  public Class<?> getType(ELContext context, Object base, Object property) {
    context.setPropertyResolved(true);
    return Object.class;
  }

  @Override
  public Class<?> getCommonPropertyType(ELContext context, Object base) {
    return Object.class;
  }

  @Override
  @SuppressWarnings({"rawtypes", "NullAway"})
  public @Nullable Iterator getFeatureDescriptors(ELContext context, Object base) {
    return null;
  }
}
