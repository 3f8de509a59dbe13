package dev.gridtie.grid.engine;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.el.JinjavaProcessors;
import com.hubspot.jinjava.interpret.Context;
import com.hubspot.jinjava.interpret.Context.Library;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.Importable;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/**
 * The Jinja template in a model's file. The file may come from anybody: the template has the tags,
 * filters, functions and methods of the lists here and in {@link TemplateValues}, which touch
 * nothing but the conversation, and it has budgets of steps, time, text and recursion.
 */
final class JinjaTemplate implements ChatTemplate {
  /** The longest template, in characters. The longest in use are about 30,000. */
  static final int TEMPLATE_MAX = 1 << 18;

  /** How many nodes of the template one rendering may visit, and how many more for each turn. */
  private static final int STEPS = 20_000;

  private static final int STEPS_PER_TURN = 500;

  /** How long one rendering may take, on a machine that has something else to do. */
  static final long NANOS_MAX = 10_000_000_000L;

  /** A text may be so long, and so many times as long as the conversation besides. */
  private static final int TEXT_CHARS = 1 << 18;

  private static final int TEXT_TIMES = 4;
  private static final int LIST_MAX = 16_384;
  private static final int MACRO_DEPTH_MAX = 32;

  /**
   * How deep brackets may stand in each other. Templates in use need five or so; the parser looks
   * for the end of each bracket from its beginning, and would not end with thousands.
   */
  static final int BRACKETS_MAX = 64;

  private static final int RENDER_DEPTH_MAX = 32;

  /** How much of a template's own refusal is passed on. */
  private static final int MESSAGE_MAX = 300;

  private static final Set<String> TAGS =
      Set.of("if", "elif", "else", "for", "set", "macro", "raw", "break", "continue");

  private static final Set<String> FUNCTIONS =
      Set.of(":range", ":namespace", ":raise_exception", "fn:list", "fn:map_entry");

  private static final Set<String> TESTS =
      Set.of(
          "defined",
          "undefined",
          "none",
          "string",
          "mapping",
          "iterable",
          "sequence",
          "number",
          "boolean",
          "true",
          "false",
          "integer",
          "float",
          "eq",
          "equalto",
          "==",
          "ne",
          "!=",
          "in",
          "odd",
          "even",
          "divisibleby",
          "lower",
          "upper",
          "sameas",
          "gt",
          "ge",
          "lt",
          "le",
          ">",
          ">=",
          "<",
          "<=");

  private final Jinjava jinja;
  private final String template;
  private final String bos;
  private final String eos;
  private final Map<Library, Set<String>> disabled;
  private final LongSupplier nanos;

  /** The rendering is over its budget; an error, so that nothing on the way out catches it. */
  private static final class Exhausted extends Error {
    private static final long serialVersionUID = 1L;

    Exhausted(String message) {
      super(message, null, false, false);
    }
  }

  /** The template has refused the conversation. */
  private static final class Refused extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Refused(String message) {
      super(message);
    }
  }

  JinjaTemplate(String template, String bos, String eos, LongSupplier nanos)
      throws TemplateException {
    if (template.length() > TEMPLATE_MAX) {
      throw refusal("has " + template.length() + " characters; " + TEMPLATE_MAX + " are the most");
    }
    if (brackets(template) > BRACKETS_MAX) {
      throw refusal("has brackets more than " + BRACKETS_MAX + " deep");
    }
    if (template.contains("int3rpr3t3r")) {
      throw refusal("names a part of the program that renders it");
    }
    this.template = template;
    this.bos = bos;
    this.eos = eos;
    this.nanos = nanos;
    this.jinja = new Jinjava(config(TEXT_CHARS, Map.of()).build());
    Context context = jinja.getGlobalContext();
    context.registerFunction(
        new ELFunctionDefinition(
            "", "raise_exception", JinjaTemplate.class, "raiseException", String.class));
    TemplateFilters.all().forEach(context::registerFilter);
    this.disabled =
        Map.of(
            Library.TAG, others(context.getAllTags(), TAGS),
            Library.FILTER, others(context.getAllFilters(), TemplateFilters.ALLOWED),
            Library.EXP_TEST, others(context.getAllExpTests(), TESTS),
            Library.FUNCTION, others(context.getAllFunctions(), FUNCTIONS));
  }

  /** How deep brackets stand in each other at most; what closes nothing is text. */
  private static int brackets(String template) {
    int depth = 0;
    int deepest = 0;
    for (int i = 0; i < template.length(); i++) {
      switch (template.charAt(i)) {
        case '(', '[', '{' -> deepest = Math.max(deepest, ++depth);
        case ')', ']', '}' -> depth = Math.max(0, depth - 1);
        default -> {}
      }
    }
    return deepest;
  }

  private static Set<String> others(Collection<? extends Importable> all, Set<String> allowed) {
    return all.stream()
        .map(Importable::getName)
        .filter(name -> !allowed.contains(name) && !name.startsWith("end"))
        .collect(Collectors.toUnmodifiableSet());
  }

  private static JinjavaConfig.Builder config(long textMax, Map<Library, Set<String>> disabled) {
    return JinjavaConfig.newBuilder()
        .withNestedInterpretationEnabled(false)
        .withElResolver(new TemplateValues(textMax))
        .withDisabled(disabled)
        .withMaxOutputSize(textMax)
        .withMaxStringLength(textMax)
        .withMaxListSize(LIST_MAX)
        .withMaxMapSize(LIST_MAX)
        .withRangeLimit(LIST_MAX)
        .withMaxRenderDepth(RENDER_DEPTH_MAX)
        .withEnableRecursiveMacroCalls(true)
        .withMaxMacroRecursionDepth(MACRO_DEPTH_MAX)
        .withTrimBlocks(true)
        .withLstripBlocks(true)
        .withLocale(Locale.ROOT)
        .withFailOnUnknownTokens(false);
  }

  /** What templates call to refuse a conversation. */
  public static String raiseException(String message) {
    throw new Refused(message);
  }

  @Override
  public String render(List<Turn> turns) throws TemplateException {
    List<Map<String, Object>> messages = new ArrayList<>();
    long chars = 0;
    for (Turn turn : turns) {
      messages.add(Map.of("role", turn.role(), "content", turn.content()));
      chars += turn.content().length();
    }
    Map<String, Object> bindings = new HashMap<>();
    bindings.put("messages", messages);
    bindings.put("add_generation_prompt", true);
    bindings.put("bos_token", bos);
    bindings.put("eos_token", eos);
    try {
      return render(
          bindings, STEPS + (long) STEPS_PER_TURN * turns.size(), TEXT_CHARS + TEXT_TIMES * chars);
    } catch (Exhausted e) {
      throw refusal(String.valueOf(e.getMessage()));
    } catch (StackOverflowError e) {
      throw refusal("calls itself too often");
    }
  }

  private String render(Map<String, Object> bindings, long steps, long textMax)
      throws TemplateException {
    long[] left = {steps};
    long until = nanos.getAsLong() + NANOS_MAX;
    JinjavaConfig config =
        config(textMax, disabled)
            .withProcessors(
                JinjavaProcessors.newBuilder()
                    .withNodePreProcessor((node, interpreter) -> step(left, until))
                    .build())
            .build();
    RenderResult result = jinja.renderForResult(template, bindings, config);
    for (TemplateError error : result.getErrors()) {
      if (error.getSeverity() == TemplateError.ErrorType.FATAL) {
        String message = message(error);
        throw new TemplateException(
            "the model's chat template refuses this conversation: "
                + message.substring(0, Math.min(message.length(), MESSAGE_MAX)));
      }
    }
    return result.getOutput();
  }

  /** What the template itself says where it refuses, else what is wrong with it. */
  private static String message(TemplateError error) {
    for (Throwable e = error.getException(); e != null; e = e.getCause()) {
      if (e instanceof Refused) {
        return String.valueOf(e.getMessage());
      }
    }
    return String.valueOf(error.getMessage());
  }

  private void step(long[] left, long until) {
    if (--left[0] < 0) {
      throw new Exhausted("takes more steps than a template may for such a conversation");
    }
    if (nanos.getAsLong() - until > 0 || Thread.currentThread().isInterrupted()) {
      throw new Exhausted("takes longer than " + NANOS_MAX / 1_000_000_000L + " s");
    }
  }

  private static TemplateException refusal(String why) {
    return new TemplateException("the model's chat template " + why);
  }
}
